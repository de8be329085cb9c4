"""The connections of the HTTP client: how one is made, what may come over it, and how long it is kept.

A connection belongs to one server and carries at most one exchange at a time. Whatever the server says outside of one ends it, so that
no answer can be taken for that to a later question.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import h11

from sealcore.platform.http_exchange import HEAD_MOST, Answer, Exchange, Failure, HttpError, Target, request_bytes

KEPT_S: Final = 30.0  # how long an idle connection is kept
LOOKUPS_AT_ONCE: Final = 16  # of names, in this process: a resolver that hangs must not collect threads
_PIECE_BYTES: Final = 64 * 1024


class LostError(Exception):
    """The connection ended before anything of the answer came."""


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None
    most_bytes: int


class Connection(asyncio.Protocol):
    """One connection: at most one exchange at a time. Bytes that come outside of one end it."""

    def __init__(self) -> None:
        self._wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MOST)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._listening: asyncio.TimerHandle | None = None
        self._heard_s = 0.0
        self.idle_since_s = 0.0

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, asked: Asked, silent_s: float) -> Answer:
        """Sends a request and waits for its answer. Raises ``HttpError``, or ``LostError`` when the server had closed the connection."""
        if self._transport is None or not self.open:
            raise LostError
        head, body = request_bytes(self._wire, asked.method, asked.target, asked.headers, asked.body)
        self._exchange = Exchange(self._wire, asked.target, asked.most_bytes)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(head + body if len(body) <= _PIECE_BYTES else head)
        if len(body) > _PIECE_BYTES:
            self._transport.write(body)
        self._heard_s = time.monotonic()
        self._listening = asyncio.get_running_loop().call_later(silent_s, self._listen, asked.target, silent_s)
        try:
            return await self._answer
        finally:
            self._listening.cancel()
            self._exchange = self._answer = None

    def ready_for_next(self) -> bool:
        """Whether the last exchange left the connection clean: all sent, all read, and nothing behind the answer."""
        clean = self.open and self._wire.our_state is h11.DONE and self._wire.their_state is h11.DONE
        if not clean or self._wire.trailing_data[0] or self._transport is None or self._transport.get_write_buffer_size():
            return False
        self._wire.start_next_cycle()
        return True

    def close(self) -> None:
        """Ends it at once; there is nothing left to say."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_s = time.monotonic()
        for start in range(0, len(data), _PIECE_BYTES):
            self._feed(data[start : start + _PIECE_BYTES])

    def eof_received(self) -> None:
        self._feed(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None and exc is not None and self._exchange.begun:
            self._fail(HttpError(Failure.UNREACHABLE, f"the connection breaks off in the middle of an answer ({_named(exc)})"))
        elif self._exchange is not None and exc is not None:
            self._fail(LostError(f" ({_named(exc)})"))
        elif self._exchange is not None:
            self._feed(b"")

    def _feed(self, data: bytes) -> None:
        """Takes bytes, or with none the end. What comes without being asked for, or behind an answer, ends the connection."""
        if self._exchange is None or self._answer is None or self._answer.done():
            self.close()
        elif not data and not self._exchange.begun:
            self._fail(LostError())
        else:
            try:
                answer = self._exchange.feed(data)
            except HttpError as fault:
                self._fail(fault)
            else:
                if answer is not None:
                    self._answer.set_result(answer)

    def _fail(self, fault: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)
        self.close()

    def _listen(self, target: Target, silent_s: float) -> None:
        """Ends the exchange when nothing has come for too long, and looks again when that may be so."""
        left_s = self._heard_s + silent_s - time.monotonic()
        if left_s > 0:
            self._listening = asyncio.get_running_loop().call_later(left_s, self._listen, target, silent_s)
        else:
            self._fail(HttpError(Failure.SLOW, f"{target} says nothing for {silent_s:g} s"))


@dataclass
class Idle:
    """Connections that wait for the next request to their server: ``most`` of all servers together, however many are asked.

    waiting  scheme and origin, connection; what has waited longest comes first
    """

    most: int
    waiting: list[tuple[tuple[str, str], Connection]] = field(default_factory=list)

    def take(self, target: Target) -> Connection | None:
        self._end_the_old()
        for number in reversed(range(len(self.waiting))):
            if self.waiting[number][0] == (target.scheme, target.origin):
                return self.waiting.pop(number)[1]
        return None

    def keep(self, target: Target, connection: Connection) -> None:
        connection.idle_since_s = time.monotonic()
        self.waiting.append(((target.scheme, target.origin), connection))
        self._end_the_old()

    def close(self) -> None:
        for _origin, connection in self.waiting:
            connection.close()
        self.waiting.clear()

    def _end_the_old(self) -> None:
        now_s, newest = time.monotonic(), self.waiting[-self.most :]
        kept = [one for one in newest if one[1].open and now_s - one[1].idle_since_s < KEPT_S]
        for one in self.waiting:
            if one not in kept:
                one[1].close()
        self.waiting = kept


async def connect(target: Target, tls: ssl.SSLContext | None, each_s: float) -> Connection:
    """A new connection, to the first of the host's addresses that takes one within ``each_s``. Raises ``HttpError``."""
    fault: Exception | None = None
    for address in await _addresses(target):
        try:
            async with asyncio.timeout(each_s):
                _transport, connection = await asyncio.get_running_loop().create_connection(
                    Connection, address, target.port, ssl=tls, server_hostname=target.host if tls is not None else None
                )
                return connection
        except OSError as raised:  # ssl.SSLError and TimeoutError are kinds of it
            fault = raised
    raise HttpError(Failure.UNREACHABLE, f"no connection to {target} ({_named(fault)})")


def _named(fault: Exception | None) -> str:
    """The cause in a few words, without what the other side wrote."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"TLS: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"TLS: {fault.reason or type(fault).__name__}"
    if isinstance(fault, TimeoutError):
        return "it takes too long"
    if isinstance(fault, OSError) and fault.errno is not None:
        return os.strerror(fault.errno) if fault.errno > 0 else "unknown error"
    return type(fault).__name__


_lookups = threading.BoundedSemaphore(LOOKUPS_AT_ONCE)


async def _addresses(target: Target) -> list[str]:
    """The host's addresses. The system's resolver cannot be interrupted, so each look-up has a thread that may be left behind."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(target.host))]
    if not _lookups.acquire(blocking=False):
        raise HttpError(Failure.UNREACHABLE, f"{target.host} is not looked up: {LOOKUPS_AT_ONCE} other names are being waited for")
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str]) -> None:
        if not found.done():
            found.set_result(addresses)

    def look_up() -> None:
        addresses: list[str] = []
        try:
            told = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(one[4][0]) for one in told))
        except (OSError, UnicodeError):
            pass
        finally:
            _lookups.release()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, addresses)

    try:
        threading.Thread(target=look_up, name="look-up", daemon=True).start()
    except RuntimeError:
        _lookups.release()
        raise HttpError(Failure.UNREACHABLE, f"{target.host} is not looked up: no more threads can be started") from None
    addresses = await found
    if not addresses:
        raise HttpError(Failure.UNREACHABLE, f"no connection to {target} (the name is not known)")
    return addresses
