"""``python -m ca --config FILE``."""

import sys

from ca.app import build
from ca.settings import CaSettings
from sealcore.platform.service import main

if __name__ == "__main__":
    sys.exit(main("ca", CaSettings, build))
