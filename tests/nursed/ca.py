"""The nursery of the CA's programs."""

import ca.app
import ca.ceremony.steps
import ca.ocsp.app
import sealcore.platform.service
import tests.ca.office  # noqa: F401
from tests.nursed.programs import main

__all__ = ["ca", "main", "sealcore"]
