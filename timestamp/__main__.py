"""``python -m timestamp --config FILE``."""

import sys

import timestamp.app
from sealcore.clock import Clock
from sealcore.platform.prefork import Prefork
from sealcore.platform.service import Composed, main
from timestamp.settings import TimestampSettings


def build(settings: TimestampSettings, *, clock: Clock) -> Composed:
    """Forks the first workers, then makes the process that watches them."""
    prefork = Prefork.begin("timestamp.worker:main", count=settings.process_count)
    return timestamp.app.build(settings, clock=clock, prefork=prefork)


if __name__ == "__main__":
    sys.exit(main("timestamp", TimestampSettings, build))
