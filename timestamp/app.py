"""The timestamp service: one unit, its key in a token of its own, over plain HTTP, made by as many processes as there are cores."""

from __future__ import annotations

import asyncio

from sealcore.clock import Clock
from sealcore.platform.observability import ObservabilityEndpoint
from timestamp.clock_watch import ClockWatch
from timestamp.settings import TimestampSettings
from timestamp.workers import Workers


class TimestampService:
    """The running service: this process watches, its workers serve."""

    def __init__(self, workers: Workers, watch: ClockWatch, monitoring: ObservabilityEndpoint) -> None:
        self._workers = workers
        self._watch = watch
        self._monitoring = monitoring

    async def start(self) -> None:
        """Serves requests; raises CONFIGURATION_INVALID, HSM_*, SERVICE_UNAVAILABLE when a worker does not come up."""
        await self._workers.start()
        self._watch.start()
        await self._monitoring.start()

    async def stop(self) -> None:
        """Ends after the running requests; leaves no process behind."""
        self._monitoring.readiness.drain()
        await self._workers.stop()
        await asyncio.to_thread(self._watch.close)
        await self._monitoring.stop()


def build(settings: TimestampSettings, *, clock: Clock, worker_module: str = "timestamp.worker") -> TimestampService:
    """Makes the service. ``clock`` is the parent's, which watches it to tell monitoring; workers watch the machine's own. Tests name a worker module of theirs."""
    workers = Workers(settings, module=worker_module)
    watch = ClockWatch(settings.clock, accuracy_ms=settings.accuracy_ms, clock=clock, chrony=settings.chrony)
    checks = {"clock": watch.require, "token": workers.require_token}
    return TimestampService(workers, watch, ObservabilityEndpoint(settings.metrics, workers.snapshots, checks, notes={"clock": watch.note}))
