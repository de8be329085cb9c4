"""A gRPC server as a part of a service: it starts, answers health checks and reflection, and ends after the running calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

GRACE_S: Final = 5.0  # for the running calls


class RpcEndpoint:
    """One server.

    make      the server with its servicers; called on the event loop; CONFIGURATION_INVALID when it cannot listen
    services  full names that health checks and reflection tell callers of; none where the callers are strangers
    """

    def __init__(self, make: Callable[[], Any], services: Sequence[str] = ()) -> None:
        self._make, self._services = make, tuple(services)
        self._server: Any = None

    async def start(self) -> None:
        """Answers calls."""
        self._server = self._make()
        if self._services:
            healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]  # public, says its source
            for name in ("", *self._services):
                await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(healthy, self._server)
            reflection.enable_server_reflection((*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        await self._server.start()

    async def stop(self) -> None:
        """Takes no new calls; ends after the running ones, which have ``GRACE_S``."""
        if self._server is not None:
            await self._server.stop(GRACE_S)
