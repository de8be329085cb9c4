"""``python -m workflow --config FILE``."""

import sys

from sealcore.platform.service import main
from workflow.app import build
from workflow.settings import WorkflowSettings

if __name__ == "__main__":
    sys.exit(main("workflow", WorkflowSettings, build))
