"""``python -m ca.ocsp --config FILE``."""

import sys

from ca.ocsp.app import build
from ca.ocsp.settings import OcspSettings
from sealcore.platform.service import main

if __name__ == "__main__":
    sys.exit(main("ca.ocsp", OcspSettings, build))
