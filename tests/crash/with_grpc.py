"""The nursery of front and log process."""

import ledger.app
import sealcore.platform.service  # noqa: F401
import signer.app
import signer.ceremony  # noqa: F401
from tests.crash.services import main

__all__ = ["ledger", "main"]
