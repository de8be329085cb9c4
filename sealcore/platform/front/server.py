"""uvicorn's server over our own listener: connections are bounded before uvicorn knows of them, and looked at once a second while there are any."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from sealcore.platform.front.connections import Connections
from sealcore.platform.front.direct import Direct
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.front.listener import Listener
from sealcore.platform.front.protocol import FrontProtocol
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import ConnectionMetrics
from sealcore.platform.throttle import Throttled

LOOK_S: Final = 1.0
BACKLOG: Final = 2048
_DESCRIPTORS_SHARE: Final = 4  # of the files that this process may open, a quarter at most are connections of one listener


class _ServerState(ServerState):
    """uvicorn's, with headers whose ``Date`` (RFC 9110 §6.6.1) is made when an answer needs it, not each second whether or not anyone asks."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._config, self._second, self._headers = config, -1, list[tuple[bytes, bytes]]()
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Of every answer; made anew once a second at most."""
        now_s = time.time()
        if (second := int(now_s)) != self._second:
            date = [(b"date", formatdate(now_s, usegmt=True).encode())] if self._config.date_header else []
            self._second, self._headers = second, [*date, *self._config.encoded_headers]
        return self._headers

    @default_headers.setter
    def default_headers(self, value: list[tuple[bytes, bytes]]) -> None:
        """Only for uvicorn, which starts with none."""


class Server(uvicorn.Server):
    """Serves one application on sockets that are given. It is told when to end, and of the first connection, instead of looking ten times a

    second, as uvicorn's own does: a service at rest that has two of them would do little else. ``should_exit`` may be set by any thread or
    signal handler. ``direct`` are requests that the application takes without ASGI.
    """

    def __init__(
        self, config: uvicorn.Config, limits: HttpLimits, metrics: ConnectionMetrics | None = None, direct: Direct | None = None
    ) -> None:
        self._exit, self._woken = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._should_exit = False
        self._log = Throttled(get_log("http"))
        self._limits, self._direct = limits, direct
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _DESCRIPTORS_SHARE
        self._connections = Connections(limits, most, *([metrics.ended] if metrics is not None else []), occupied=self._woken.set)
        if metrics is not None:
            metrics.watch(lambda: self._connections.count)
        super().__init__(config)
        self.server_state = _ServerState(config)

    @property
    def should_exit(self) -> bool:
        """Whether the server ends once the running requests are answered."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._exit.set()
        self._woken.set()

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Accepts connections on each of ``sockets``."""
        self.servers: list[Any] = []
        for each in sockets or ():
            listener = Listener(each, self._protocol, self._connections, self._limits, self.config.ssl)
            listener.start()
            self.servers.append(listener)
        self.started = True

    async def main_loop(self) -> None:
        """Until ``should_exit``."""
        self._loop = asyncio.get_running_loop()
        while not self._should_exit:
            self._woken.clear()
            if not self._connections.count:
                await self._woken.wait()
                continue
            try:
                self._connections.look()
            except Exception as fault:  # noqa: BLE001  (memory may be short for now; without looks no limit of time would count)
                self._log.error("connections are not looked at", fault=type(fault).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit.wait(), LOOK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends after the running requests, for which it waits as long as the configuration says."""
        try:
            await super().shutdown(sockets)
        finally:
            self._connections.abort_all()

    def _protocol(self, address: str) -> FrontProtocol:
        return FrontProtocol(
            address=address,
            limits=self._limits,
            front=self._connections,
            direct=self._direct,
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )


def config(app: Any, *, drain_s: int, tls: dict[str, Any] | None = None) -> uvicorn.Config:
    """uvicorn's configuration, the same for every service. ``tls`` are uvicorn's own options."""
    result = uvicorn.Config(
        app,
        http=FrontProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=drain_s,
        **(tls or {}),
    )
    result.load()
    return result
