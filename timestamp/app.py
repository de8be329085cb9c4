"""The timestamp service: one unit, its key in a token of its own, over plain HTTP, made by as many processes as there are cores."""

from __future__ import annotations

from sealcore.clock import Clock
from sealcore.observability import ObservabilityEndpoint
from timestamp.settings import TimestampSettings
from timestamp.workers import Workers


class TimestampService:
    """The running service: this process watches, its workers serve."""

    def __init__(self, workers: Workers, monitoring: ObservabilityEndpoint) -> None:
        self._workers = workers
        self._monitoring = monitoring

    async def start(self) -> None:
        """Serves requests; raises CONFIGURATION_INVALID, HSM_*, SERVICE_UNAVAILABLE when a worker does not come up."""
        await self._workers.start()
        await self._monitoring.start()

    async def stop(self) -> None:
        """Ends after the running requests; leaves no process behind."""
        self._monitoring.readiness.drain()
        await self._workers.stop()
        await self._monitoring.stop()


def build(settings: TimestampSettings, *, clock: Clock, worker_module: str = "timestamp.worker") -> TimestampService:
    """Makes the service. ``clock`` is the parent's; workers read the machine's own. Tests name a worker module of theirs."""
    workers = Workers(settings, module=worker_module)
    return TimestampService(workers, ObservabilityEndpoint(settings.metrics, workers.snapshots, {"token": workers.require_token}))
