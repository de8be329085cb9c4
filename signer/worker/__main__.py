"""``python -m signer.worker --channel FD``; started by the front."""

import sys

from signer.worker.process import main

if __name__ == "__main__":
    sys.exit(main())
