"""``python -m verify --config FILE``."""

import sys

from sealcore.platform.service import main
from verify.app import build
from verify.settings import VerifySettings

if __name__ == "__main__":
    sys.exit(main("verify", VerifySettings, build))
