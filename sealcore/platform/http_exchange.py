"""One request and its answer as bytes on a connection (HTTP/1.1, RFC 9112): what a client takes from a server that may be hostile.

Nothing here waits or knows a socket. Each byte is counted as it arrives, before anything is made of it, and an answer is taken as it
stands on the wire: no compression (a few kilobytes could become gigabytes), no redirects, no upgrade.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlsplit

import h11

from sealcore.errors import Code, VermilionError

HEAD_MOST: Final = 64 * 1024  # bytes of a status line with its headers, of what precedes them, and of trailers
HEADERS_MOST: Final = 256
INTERIM_MOST: Final = 8  # answers before the answer (1xx, RFC 9110 §15.2)
PORTS: Final = {"http": 80, "https": 443}
_QUOTED: Final = 120  # characters of what a server sent that a reason repeats
_SHOWN: Final = 200  # characters of an address that a reason repeats
_ALLOWED: Final = "%/?:@!$&'()*+,;=-._~"  # in a path with a query (RFC 3986 §3.3, §3.4); anything else is sent as %XX
_VERSIONS: Final = (b"1.1", b"1.0")
_SWITCHING: Final = 101
_HEAD_TOO_LARGE: Final = 431  # as h11 hints that what it waits for has grown too large


class Failure(StrEnum):
    """Why there is no answer."""

    UNREACHABLE = "unreachable"  # no connection, or it broke off
    SLOW = "slow"
    TOO_LARGE = "too large"
    MALFORMED = "malformed"


class HttpError(VermilionError):
    """SERVICE_UNAVAILABLE, with the kind of failure: whoever knows what was asked for turns it into a code of its own."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(Code.SERVICE_UNAVAILABLE, reason)
        self.failure = failure


@dataclass(frozen=True)
class Target:
    """Where an http or https URL points to.

    path  with the query, as it is sent
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """INVALID_ARGUMENT for any other scheme, for user names and passwords, and for what is no URL."""
        try:
            parts = urlsplit(url)
            port = parts.port if parts.port is not None else PORTS[parts.scheme]
            host = _ascii(parts.hostname or "")
            path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_ALLOWED)
        except (ValueError, KeyError):  # UnicodeError, too: half a pair of surrogates
            raise VermilionError(Code.INVALID_ARGUMENT, f"{shown(url)!r} is no http or https URL") from None
        if parts.scheme not in PORTS or not host or port == 0:
            raise VermilionError(Code.INVALID_ARGUMENT, f"{shown(url)!r} is no http or https URL with a host")
        if parts.username is not None or parts.password is not None:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the address of {host} carries a user name or password; it must not")
        return cls(parts.scheme, host, port, path)

    @property
    def origin(self) -> str:
        """``host:port``."""
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """For the Host header: without the scheme's own port (RFC 9110 §4.2.3)."""
        return self._bracketed if self.port == PORTS[self.scheme] else self.origin

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        """For people and logs: without the query, which may hold a secret."""
        return shown(f"{self.scheme}://{self.authority}{self.path}")


def shown(url: str) -> str:
    """A URL as reasons and logs may repeat it: without user name, password, query and fragment, and not too long."""
    head, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/") if slashes else ("", "", head)
    bare = head + slashes + place.rpartition("@")[2] + slash + path if slashes else path.rpartition("@")[2]
    bare = bare.partition("?")[0].partition("#")[0]
    return bare if len(bare) <= _SHOWN else bare[:_SHOWN] + "…"


def _ascii(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.encode("idna").decode("ascii")  # UnicodeError is a ValueError


@dataclass(frozen=True)
class Answer:
    """What came.

    headers  by name in lower case; several of one name are joined by ``, ``
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Content-Type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def request_bytes(wire: h11.Connection, method: str, target: Target, headers: Mapping[str, str], body: bytes | None) -> tuple[bytes, bytes]:
    """Head and body of a request. Raises ``HttpError`` for headers that HTTP does not allow."""
    sent = {"Host": target.authority, "Accept": "*/*", "User-Agent": "vermilion", **headers, "Accept-Encoding": "identity"}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    try:
        head = wire.send(h11.Request(method=method, target=target.path, headers=list(sent.items())))
    except (h11.LocalProtocolError, UnicodeError) as fault:
        raise HttpError(Failure.UNREACHABLE, f"the request to {target} cannot be sent ({type(fault).__name__})") from None
    parts = [wire.send(h11.Data(data=body))] if body else []
    parts.append(wire.send(h11.EndOfMessage()))
    return head or b"", b"".join(part for part in parts if part)


class Exchange:
    """The answer to one request, as its bytes arrive.

    most_bytes  of the body. The framing around it (chunks, trailers) may take as much again and a head's length, no more
    """

    def __init__(self, wire: h11.Connection, target: Target, most_bytes: int) -> None:
        self._wire, self._target, self._most_bytes = wire, target, most_bytes
        self._body = bytearray()
        self._head: h11.Response | None = None
        self._raw_bytes = 0
        self._interim = 0

    @property
    def begun(self) -> bool:
        """Whether any byte came."""
        return self._raw_bytes > 0

    def feed(self, data: bytes) -> Answer | None:
        """Takes bytes, or with none the end of the connection; the answer once it is whole. Raises ``HttpError``."""
        self._raw_bytes += len(data)
        try:
            self._wire.receive_data(data)
            while (event := self._wire.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    return self._whole()
                self._take(event)
        except h11.RemoteProtocolError as fault:
            raise self._broken(fault, ended=not data) from None
        if self._raw_bytes > 2 * (HEAD_MOST + len(self._body)):
            raise HttpError(Failure.TOO_LARGE, f"the answer of {self._target} has more around its body than a body needs")
        return None

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Data):
            self._body += event.data
            self._require_bounded(len(self._body))
        elif isinstance(event, h11.Response):
            self._head = event
            self._require_head(event)
        elif isinstance(event, h11.InformationalResponse) and event.status_code != _SWITCHING:
            self._interim += 1
            if self._interim > INTERIM_MOST:
                raise HttpError(Failure.MALFORMED, f"{self._target} does not come to its answer")
        else:  # another protocol, which nobody asked for
            raise HttpError(Failure.MALFORMED, f"{self._target} gives no answer")

    def _broken(self, fault: h11.RemoteProtocolError, *, ended: bool) -> HttpError:
        if ended:
            where = "in the middle of its answer" if self.begun else "without an answer"
            return HttpError(Failure.UNREACHABLE, f"{self._target} ends the connection {where}")
        if fault.error_status_hint == _HEAD_TOO_LARGE:
            return HttpError(Failure.TOO_LARGE, f"the head of the answer of {self._target} is too large")
        said = ascii(str(fault))[1 : 1 + _QUOTED]
        return HttpError(Failure.MALFORMED, f"the answer of {self._target} is no HTTP ({said})")

    def _require_head(self, head: h11.Response) -> None:
        if len(head.headers) > HEADERS_MOST or self._raw_bytes - len(self._wire.trailing_data[0]) > HEAD_MOST:
            raise HttpError(Failure.TOO_LARGE, f"the head of the answer of {self._target} is too large")
        if head.http_version not in _VERSIONS:
            raise HttpError(Failure.MALFORMED, f"the answer of {self._target} is no HTTP/1.1")
        for name, value in head.headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise HttpError(Failure.MALFORMED, f"the answer of {self._target} is compressed, which was not asked for")
            if name == b"content-length":
                self._require_bounded(int(value))

    def _require_bounded(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise HttpError(Failure.TOO_LARGE, f"the answer of {self._target} has more than {self._most_bytes} bytes")

    def _whole(self) -> Answer:
        assert self._head is not None
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Answer(self._head.status_code, headers, bytes(self._body))
