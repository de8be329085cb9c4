"""One HTTP connection: uvicorn's protocol over llhttp, with the bounds that a door to strangers needs.

uvicorn ends a connection that is idle after an answer, and none for any other reason; its parser keeps heads of any size for any time,
and a request for each eighteen bytes that a peer sends ahead. What is counted here is looks, of which there is one a second, and not
seconds: after each, what a peer has sent meanwhile is read before the next, so that a process that was held up does not take it out
on its peers.
"""

from __future__ import annotations

import asyncio
import ssl
from enum import Enum, auto
from typing import Any, Final, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sealcore.errors import Code, VermilionError
from sealcore.platform.front import connections as reasons
from sealcore.platform.front import refusal
from sealcore.platform.front.connections import Connections
from sealcore.platform.front.direct import Direct, DirectCycle
from sealcore.platform.front.limits import HttpLimits

PEER_SCOPE_KEY: Final = "vermilion.peer_pem"
"""In an ASGI scope: the certificate (PEM) of an mTLS connection's other side, or None."""
_SLOW_RATES: Final = 16  # a body that comes at less than so many times the least rate gives way when places are short


class _Reading(Enum):
    BETWEEN = auto()  # requests: nothing of the next one has come
    HEAD = auto()
    BODY = auto()


class _RefusedError(Exception):
    """Raised inside a callback of the parser, which then stops."""


class FrontProtocol(HttpToolsProtocol):
    """One connection, known to ``connections`` from its acceptance to its end."""

    def __init__(self, *, address: str, limits: HttpLimits, front: Connections, direct: Direct | None = None, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.address, self._direct = address, direct
        self.opening: asyncio.Task[bool] | None = None
        self._limits, self._front = limits, front
        self._peer_pem: bytes | None = None
        self._below: asyncio.Transport | None = None
        self._reading, self._looks, self._since = _Reading.BETWEEN, 0, self.loop.time()
        self._head_bytes = self._line_bytes = self._headers = self._body_bytes = self._requests = 0
        self._deaf = False  # nothing more is read: what was read before is answered, then the connection ends
        self._refusal: tuple[int, str, str] | None = None
        self._running: RequestResponseCycle | DirectCycle | None = None
        self._unread_before = self._unread_looks = self._stalled_looks = self._closing_looks = 0

    # --- the transport's calls

    def connection_made(self, transport: Any) -> None:
        """The first head is awaited from now on."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        self._peer_pem = ssl.DER_cert_to_PEM_cert(der).encode() if der else None
        if tls is not None:
            self._below = transport._ssl_protocol._transport  # asyncio's TLS hands all on at once: what is unread is unread there
        self._between()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its place is free."""
        self._front.remove(self)
        self._tell_application()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Ends the connection when a head (or a trailer) grows too large."""
        if self._deaf or (self._direct is not None and self._is_taken(self._direct, data)):
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self._limits.head_bytes and not self._deaf:
            self._refuse(431, "the head of the request is too large", reasons.HEAD)

    def pause_writing(self) -> None:
        """The reader does not take the answer as fast as it is written."""
        super().pause_writing()
        self._front.answer_waits(self)

    def resume_writing(self) -> None:
        """The reader took something of the answer."""
        self._unread_looks = self._stalled_looks = 0
        super().resume_writing()

    # --- the parser's calls

    def on_message_begin(self) -> None:
        """A head begins."""
        self._reading, self._looks, self._headers, self._line_bytes = _Reading.HEAD, 0, 0, 0
        super().on_message_begin()
        self.scope[PEER_SCOPE_KEY] = self._peer_pem  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        """A piece of it."""
        self._line_bytes += len(url)
        if self._line_bytes > self._limits.head_bytes:
            self._stop(414, "the address of the request is too long", reasons.HEAD)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Each is an object of some two hundred bytes, however short."""
        self._headers += 1
        self._line_bytes += len(name) + len(value)
        if self._headers > self._limits.headers:
            self._stop(431, f"a request has at most {self._limits.headers} headers", reasons.HEAD)
        if self._line_bytes > self._limits.head_bytes:
            self._stop(431, "the head of the request is too large", reasons.HEAD)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if len(self.pipeline) >= self._limits.pipelined and self._is_answering:
            self._stop(429, "too many requests wait on this connection", reasons.PIPELINED)
        super().on_headers_complete()
        self._requests += 1
        self._head_bytes = self._body_bytes = self._looks = 0
        self._reading = _Reading.BODY
        if self.parser.should_upgrade():  # which we never do (RFC 9110 §7.8); what follows would be read as another protocol
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """What the application bounds itself."""
        self._head_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Trailers included."""
        self._head_bytes = 0
        super().on_message_complete()
        self._between()

    def on_response_complete(self) -> None:
        """Begins with the next request, if one has come. Instead of uvicorn's timer for each answer, ``look`` counts."""
        self.server_state.total_requests += 1
        if self._below is not None:  # ``pause_writing`` is not called: asyncio's TLS has handed all on
            self._front.answer_waits(self)
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._reading is _Reading.BETWEEN:
            self._between()
        else:
            self._looks = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read, or was stopped from reading."""
        self._refuse(*(self._refusal or (400, "the request is not HTTP", reasons.MALFORMED)))

    # --- what ``Connections`` asks

    @property
    def unread_bytes(self) -> int:
        """Of answers that its reader has not taken."""
        if self.transport is None:
            return 0
        size: int = self.transport.get_write_buffer_size()
        return size if self._below is None else size + self._below.get_write_buffer_size()

    def patience(self) -> tuple[int, float] | None:
        """Nothing going on, then an answer that nobody takes, then a slow body; else None."""
        if self.transport is None or not (self._is_answering or self._reading is _Reading.BODY or self.unread_bytes):
            return 0, self._since
        if self._stalled_looks > 1 or self.transport.is_closing():
            return 1, self._since
        if self._reading is _Reading.BODY and self._is_late(_SLOW_RATES * self._limits.body_rate, self._limits.grace_s // 2):
            return 2, self._since
        return None

    def abort(self) -> None:
        """Ends it at once, also during its handshake."""
        self._deaf = True
        self._front.remove(self)
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    def look(self) -> None:
        """Once a second: ends it when it takes too long. The handshake has a limit of its own."""
        if self.transport is None:
            return
        if self.transport.is_closing():
            self._closing_looks += 1
            if self._closing_looks > self._limits.stalled_s:
                self._end(reasons.UNREAD)
        elif self._is_unread_for_long():
            self._end(reasons.UNREAD)
        elif self._reading is _Reading.BODY:
            self._look_at_body()
        elif not self._is_answering:
            self._look_at_head()

    # --- within

    def _is_taken(self, direct: Direct, data: bytes) -> bool:
        """Whether the application takes ``data`` as it is, as the one request that it is: nothing is being read, answered or waiting."""
        if self._reading is not _Reading.BETWEEN or self._head_bytes or self._is_answering:
            return False
        if self.flow.write_paused or self.transport.is_closing() or (body := direct.body(data)) is None:
            return False
        cycle = DirectCycle(self.transport, self.server_state.default_headers, self.on_response_complete)
        if not direct.take(body, cycle.tell):
            return False
        self.cycle = self._running = cycle  # type: ignore[assignment]
        self._requests += 1
        return True

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _between(self) -> None:
        self._reading, self._looks, self._since = _Reading.BETWEEN, 0, self.loop.time()

    def _is_unread_for_long(self) -> bool:
        unread = self.unread_bytes
        self._unread_looks = self._unread_looks + 1 if unread else 0
        self._stalled_looks = self._stalled_looks + 1 if unread and unread >= self._unread_before else 0
        self._unread_before = unread
        return self._stalled_looks > self._limits.stalled_s or self._unread_looks > self._limits.answer_s

    def _look_at_head(self) -> None:
        self._looks += 1
        is_idle = self._requests > 0 and self._reading is _Reading.BETWEEN
        if self._looks > (self._limits.idle_s if is_idle else self._limits.head_s):
            self._end(reasons.IDLE if is_idle else reasons.HEAD)

    def _look_at_body(self) -> None:
        if self.flow.read_paused:
            return  # the peer waits for us
        self._looks += 1
        if self._looks > self._limits.body_s or self._is_late(self._limits.body_rate, self._limits.grace_s):
            self._refuse(408, "the body of the request came too slowly", reasons.BODY)

    def _is_late(self, rate: int, grace_s: int) -> bool:
        return self._looks > grace_s and self._body_bytes < rate * self._looks

    def _end(self, reason: str) -> None:
        self._front.ended(reason)
        self.abort()

    def _stop(self, status: int, reason: str, why: str) -> NoReturn:
        """Ends the parser's work, from within; ``send_400_response`` is called then."""
        self._refusal = status, reason, why
        raise _RefusedError

    def _refuse(self, status: int, reason: str, why: str) -> None:
        """Says no to the request that is being read, after the answers to those before it."""
        self._front.ended(why)
        self._deaf = True
        newest: Any = self.cycle
        if self._is_answering and newest.more_body and newest is not self._running:  # read in part, and not begun
            self.pipeline.popleft()
            newest = self.pipeline[0][0] if self.pipeline else self._running
        if self._is_answering and not newest.more_body:
            newest.keep_alive = False
            return
        is_answered = self._reading is _Reading.BODY and (newest.response_complete or newest.response_started)
        if not is_answered:
            code = Code.DEADLINE_EXCEEDED if status == 408 else Code.INVALID_ARGUMENT
            self.transport.write(refusal.answer(status, VermilionError(code, reason)))
        self._tell_application()
        self.transport.close()

    def _tell_application(self) -> None:
        """The running request's sender is gone. uvicorn tells the newest request alone, which may be waiting behind it."""
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
