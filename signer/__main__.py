"""``python -m signer --config FILE``."""

import sys

from sealcore.clock import Clock
from sealcore.platform.prefork import Prefork
from sealcore.platform.service import Composed, main
from signer.settings import SignerSettings


def build(settings: SignerSettings, *, clock: Clock) -> Composed:
    """Forks the first workers, then makes the front, which loads gRPC."""
    wanted = settings.workers.bulk_count + settings.workers.interactive
    prefork = Prefork.begin("signer.worker.process:main", "--channel", count=wanted)

    from signer import app  # noqa: PLC0415  (not before the fork)

    return app.build(settings, clock=clock, prefork=prefork)


if __name__ == "__main__":
    sys.exit(main("signer", SignerSettings, build))
