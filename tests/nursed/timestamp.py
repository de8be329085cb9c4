"""The nursery of the timestamp service; its workers stay processes that Python started."""

import sealcore.platform.service
import timestamp.app
from tests.nursed.programs import main

__all__ = ["main", "sealcore", "timestamp"]
