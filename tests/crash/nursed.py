"""What the crash harness's nursery (``tests/support/nursery.py``) brings up: the services of ``services.py``, with all that they import."""

import ledger.app
import sealcore.platform.service
import signer.app
import signer.ceremony
import signer.worker.process
import tests.crash.mutants
import tests.crash.sandboxed  # noqa: F401
from tests.crash.services import main

__all__ = ["ledger", "main", "sealcore", "signer"]
