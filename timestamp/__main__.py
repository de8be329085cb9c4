"""``python -m timestamp --config FILE``."""

import sys

from sealcore.platform.service import main
from timestamp.app import build
from timestamp.settings import TimestampSettings

if __name__ == "__main__":
    sys.exit(main("timestamp", TimestampSettings, build))
