"""Accepts connections for one listening socket, plain or with TLS.

asyncio's own way of accepting counts nothing before a TLS handshake is over. When the process has no descriptor left it logs a line for
each place of the backlog, and tries again as often.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sealcore.platform.front import connections as reasons
from sealcore.platform.front.address import share_of
from sealcore.platform.front.connections import Connections
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.front.protocol import FrontProtocol
from sealcore.platform.front.refusal import FULL
from sealcore.platform.log import get as get_log
from sealcore.platform.throttle import Throttled

AT_ONCE: Final = (
    64  # accepted before others have their turn: half an address's share, so that a newcomer's request is read before it gives way
)
REST_S: Final = 0.25  # without accepting, after a failure that is not the peer's
SHED: Final = 16  # connections that end when there is no descriptor left
_SHUTDOWN_S: Final = 5.0  # for the end of a TLS connection
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Lets connections in, as long as ``front`` has room. Used from one event loop; ``make`` makes the protocol for an address."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[str], FrontProtocol],
        front: Connections,
        limits: HttpLimits,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._socket, self._make, self._front, self._tls = listening, make, front, tls
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[bool]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._log = Throttled(get_log("http"))
        self._secured: dict[str, Any] = (
            {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": float(limits.handshake_s), "ssl_shutdown_timeout": _SHUTDOWN_S}
        )

    def start(self) -> None:
        """Accepts from now on."""
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def close(self) -> None:
        """Accepts nothing more; handshakes end."""
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._socket.fileno())
        for task in self._opening:
            task.cancel()

    async def wait_closed(self) -> None:
        """Returns when no handshake is left."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as fault:
                self._rest(fault)
                return
            self._let_in(accepted, share_of(peer[0]) if peer else "")

    def _let_in(self, accepted: socket.socket, address: str) -> None:
        if not self._front.has_room(address):
            self._turn_away(accepted)
            return
        protocol = self._make(address)
        self._front.add(protocol)
        protocol.opening = task = self._loop.create_task(self._open(accepted, protocol))
        self._opening.add(task)
        task.add_done_callback(partial(self._opened, accepted, protocol))

    async def _open(self, accepted: socket.socket, protocol: FrontProtocol) -> bool:
        try:
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: protocol, accepted, **self._secured)
            return True
        except (OSError, ValueError, EOFError):  # a handshake that fails, or takes too long, and peers that are gone
            self._front.ended(reasons.HANDSHAKE)
        except Exception as fault:  # noqa: BLE001  (one connection is no reason to lose the others)
            self._log.error("connection not opened", fault=type(fault).__name__, reason=str(fault))
        return False

    def _opened(self, accepted: socket.socket, protocol: FrontProtocol, task: asyncio.Task[bool]) -> None:
        """Not at the end of ``_open``, which does not even begin where the connection gives way at once."""
        self._opening.discard(task)
        protocol.opening = None
        if task.cancelled() or not task.result():
            self._front.remove(protocol)
            accepted.close()

    def _turn_away(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), accepted:
            accepted.setblocking(False)
            if self._tls is None:
                accepted.send(FULL)
                accepted.shutdown(socket.SHUT_WR)
                accepted.recv(65536)  # a close with something unread would take the answer back

    def _rest(self, fault: OSError) -> None:
        """Not a line for each attempt, nor an attempt for each turn of the loop."""
        self._front.ended(reasons.DESCRIPTORS)
        self._log.error("no connection can be accepted", reason=fault.strerror, open=self._front.count)
        if fault.errno in _NO_DESCRIPTOR:
            self._front.shed(SHED)
        self._loop.remove_reader(self._socket.fileno())
        self._resting = self._loop.call_later(REST_S, self.start)
