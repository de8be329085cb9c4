"""``python -m ledger --config FILE``."""

import sys

from ledger.app import build
from ledger.settings import LedgerSettings
from sealcore.platform.service import main

if __name__ == "__main__":
    sys.exit(main("ledger", LedgerSettings, build))
