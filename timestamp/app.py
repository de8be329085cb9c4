"""The timestamp service: one unit, its key in a token of its own, over plain HTTP, served by as many processes as there are cores."""

from __future__ import annotations

from contextlib import ExitStack

from sealcore.clock import Clock
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.prefork import Prefork
from sealcore.platform.service import Composed, Steps
from timestamp.clock_watch import ClockWatch
from timestamp.settings import TimestampSettings
from timestamp.workers import Workers


def build(
    settings: TimestampSettings, *, clock: Clock, worker_module: str = "timestamp.worker", prefork: Prefork | None = None
) -> Composed:
    """Makes the service: this process watches, its workers serve.

    ``clock`` is this process's own, watched for monitoring; workers watch the machine's. Tests name a worker module of their own.
    ``prefork`` has the first workers; without it all are spawned.
    """
    workers = Workers(settings, module=worker_module, prefork=prefork)
    watch = ClockWatch(settings.clock, accuracy_ms=settings.accuracy_ms, clock=clock, chrony=settings.chrony)
    checks = {"clock": watch.require, "token": workers.require_token}
    monitoring = ObservabilityEndpoint(settings.metrics, workers.snapshots, checks, notes={"clock": watch.note})
    return Composed((workers, Steps(watch.start, watch.close)), monitoring, ExitStack())
