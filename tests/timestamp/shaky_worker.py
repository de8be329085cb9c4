"""A worker whose clock is off by up to a quarter of a second, each time by another amount."""

from __future__ import annotations

import random
import sys
from datetime import datetime, timedelta

from sealcore.clock import SystemClock
from timestamp.worker import main


class ShakyClock(SystemClock):
    """What a unit must make up for: the accuracy is a second."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=random.uniform(-0.25, 0.25))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], clock=ShakyClock()))
