"""``python -m signer --config FILE``."""

import sys

from sealcore.platform.service import main
from signer.app import build
from signer.settings import SignerSettings

if __name__ == "__main__":
    sys.exit(main("signer", SignerSettings, build))
