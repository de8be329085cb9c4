"""The nursery of the workflow's programs."""

import workflow.app
import workflow.directory.seed
from tests.nursed.programs import main

__all__ = ["main", "workflow"]
