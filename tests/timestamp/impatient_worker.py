"""A worker that waits for slow heads less long, so that a test need not."""

from __future__ import annotations

import sys

from timestamp import protocol
from timestamp.worker import main

if __name__ == "__main__":
    protocol.LOOK_S = 0.05  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
