"""The nursery of the CA's programs."""

import ca.app
import ca.ceremony
import ca.ocsp.app
import sealcore.service
import tests.ca.office  # noqa: F401
from tests.nursed.programs import main

__all__ = ["ca", "main", "sealcore"]
