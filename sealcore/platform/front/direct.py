"""Requests that an application takes without parser, task and ASGI messages: those of one kind, as programs send them, whole in one piece.

What is taken this way is recognised to the last byte: the one request line, no header but those listed, each once, and a body of the length
that was said with nothing behind it. Whatever else a peer sends goes the usual way, and means there what it always meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Headers = Sequence[tuple[bytes, bytes]]
Tell = Callable[[int, Headers, bytes], None]
"""Takes status, headers and body of the answer, on the event loop, once."""

_HEAD_BYTES: Final = 2048  # of a head that is looked at; they are kept, as each client sends its own again and again
_HEADS_KEPT: Final = 256
_FIELD: Final = re.compile(rb"([A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*")
_WITHOUT_MEANING: Final = frozenset(
    {
        b"host",
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"pragma",
        b"x-request-id",
        b"traceparent",
    }
)
"""For how the request is read, and for what it asks."""
_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,6}")


@dataclass(frozen=True)
class Direct:
    """One kind of request: POST to a path.

    most_bytes  of a body
    take        given a body and whom to tell the answer; False where the request has to go the usual way. Never raises
    """

    path: bytes
    content_type: bytes
    most_bytes: int
    take: Callable[[bytes, Tell], bool]

    def body(self, data: bytes) -> bytes | None:
        """The body of the one request that ``data`` is; None where it is anything else."""
        head, _end, body = data.partition(b"\r\n\r\n")
        if not body or len(head) > _HEAD_BYTES or len(body) > self.most_bytes:
            return None
        return body if _length(head, self.path, self.content_type) == len(body) else None


@lru_cache(_HEADS_KEPT)
def _length(head: bytes, path: bytes, content_type: bytes) -> int | None:
    """The length of the body that a head announces; None for any head but those of the one kind."""
    line, *lines = head.split(b"\r\n")
    if line != b"POST " + path + b" HTTP/1.1":
        return None
    fields: dict[bytes, bytes] = {}
    for each in lines:
        field = _FIELD.fullmatch(each)
        name = field[1].lower() if field is not None else b""
        if field is None or name in fields:
            return None
        fields[name] = field[2]
    length = fields.pop(b"content-length", b"")
    if fields.pop(b"content-type", b"") != content_type or fields.pop(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return int(length) if _LENGTH.fullmatch(length) and fields.keys() <= _WITHOUT_MEANING else None


class _Nobody:
    def set(self) -> None:
        """Nobody waits for anything more of the request."""


class DirectCycle:
    """What uvicorn knows of a request and its answer, for one that was whole when it came."""

    more_body = False
    message_event = _Nobody()

    def __init__(self, transport: Any, default_headers: Headers, on_response: Callable[[], None]) -> None:
        self._transport, self._default_headers, self._on_response = transport, default_headers, on_response
        self.response_started = self.response_complete = self.disconnected = False
        self.keep_alive = True

    def tell(self, status: int, headers: Headers, body: bytes) -> None:
        """Writes the answer."""
        if self.disconnected or self.response_complete:
            return
        self.response_started = self.response_complete = True
        content = [STATUS_LINE[status]]
        for name, value in (*self._default_headers, *headers):
            content += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            content.append(b"connection: close\r\n")
        content += (b"content-length: %d\r\n\r\n" % len(body), body)
        self._transport.write(b"".join(content))
        if not self.keep_alive:
            self._transport.close()
        self._on_response()
