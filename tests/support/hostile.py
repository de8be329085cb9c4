"""Servers that mean no good: plain sockets on loopback, each bounded in what it sends and for how long."""

from __future__ import annotations

import gzip
import itertools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Script = Callable[[socket.socket], None]
"""What is done with a connection, from its first byte on; it is closed afterwards."""

OK = b"HTTP/1.1 200 OK\r\n"
DRIP_S = 0.03
DRIPS = 200  # six seconds: far longer than any deadline of the tests, and an end
MOST_SENT = 96 * 1024 * 1024


@dataclass
class Hostile:
    """Runs ``script`` for every connection, each in a thread.

    connections  how many came
    whole        how many were taken to the end of the script: nobody had hung up
    """

    script: Script
    tls: ssl.SSLContext | None = None
    connections: int = 0
    whole: int = 0
    requests: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Hostile:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._listening.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(20)
            with self.tls.wrap_socket(plain, server_side=True) if self.tls else plain as connection:
                self.script(connection)
                self.whole += 1
        except OSError:
            pass  # the client has hung up, as it should


def asked(connection: socket.socket) -> bytes:
    """Reads a request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < (lengths[0] if lengths else 0):
        body += _more(connection)
    return head + b"\r\n\r\n" + body


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise ConnectionError
    return piece


def says(answer: bytes, *, stays: bool = False) -> Script:
    """Answers one request so; ``stays`` keeps the connection until the client closes it."""

    def script(connection: socket.socket) -> None:
        asked(connection)
        connection.sendall(answer)
        if stays:
            connection.recv(1)

    return script


def serving(*answers: bytes) -> Script:
    """Answers the requests on a connection in turn, and stays."""

    def script(connection: socket.socket) -> None:
        for answer in answers:
            asked(connection)
            connection.sendall(answer)
        connection.recv(1)

    return script


def drips(before: bytes, pieces: bytes = b"x") -> Script:
    """Answers with ``before`` at once, and then with ``pieces`` over and over, one byte at a time."""

    def script(connection: socket.socket) -> None:
        asked(connection)
        connection.sendall(before)
        for byte in itertools.islice(itertools.cycle(pieces), DRIPS):
            connection.sendall(bytes((byte,)))
            time.sleep(DRIP_S)

    return script


def floods(before: bytes, piece: bytes) -> Script:
    """Answers with ``before`` and then with ``piece`` over and over, as fast as it is taken."""

    def script(connection: socket.socket) -> None:
        asked(connection)
        connection.sendall(before)
        many = piece * max(1, 65536 // len(piece))
        for _ in range(MOST_SENT // len(many)):
            connection.sendall(many)

    return script


def stalls(_connection: socket.socket) -> None:
    """Says nothing, not even in the TLS handshake."""
    for _ in range(DRIPS):
        time.sleep(DRIP_S)


def _encoded(encoding: str, body: bytes) -> bytes:
    return OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def bombs() -> Iterator[tuple[str, bytes]]:
    """Answers that are small on the wire, and 96 MiB to whoever unpacks them."""
    zeros = bytes(MOST_SENT)
    once = gzip.compress(zeros, 6)
    twice = gzip.compress(once, 6)
    yield "gzip", _encoded("gzip", once)
    yield "stacked gzip", _encoded("gzip, gzip", twice)
    yield "stacked in two headers", _encoded("gzip\r\nContent-Encoding: gzip", twice)
    yield "deflate", _encoded("deflate", zlib.compress(zeros, 6))
    yield "in capitals", _encoded("GZIP", once)
    yield "by its old name", _encoded("x-gzip", once)
    yield "identity first", _encoded("identity, gzip", once)
    yield "br", _encoded("br", bytes(64))
    yield "as transfer coding", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(once) + once + b"\r\n0\r\n\r\n"


ENDLESS = {
    "body without a length": floods(OK + b"\r\n", b"x" * 4096),
    "chunks": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "chunks of one byte": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk extension": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096),
    "chunk extensions": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 4000 + b"\r\nx\r\n"),
    "a chunk size": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 4096),
    "trailers": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    "a status line": floods(b"HTTP/1.1 200 ", b"x" * 4096),
    "a header": floods(OK + b"a: ", b"x" * 4096),
    "headers": floods(OK, b"a: b\r\n"),
    "continuation lines": floods(OK + b"a: b\r\n", b" b\r\n"),
    "interim answers": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim answers with heads": floods(b"", b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </a>\r\n" * 300 + b"\r\n"),
    "empty lines": floods(b"", b"\r\n"),
    "no HTTP": floods(b"", b"220 ready when you are\r\n"),
}

SLOW = {
    "status line": drips(b"", b"HTTP/1.1 200 OK"),
    "reason": drips(b"HTTP/1.1 200 "),
    "header": drips(OK + b"a: "),
    "headers": drips(OK, b"a: b\r\n"),
    "body": drips(OK + b"Content-Length: 100000\r\n\r\n"),
    "chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk extension": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n1;"),
    "trailers": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    "interim answers": drips(b"", b"HTTP/1.1 100 C\r\n\r\n"),
    "nothing": stalls,
}

LIES = {
    "more promised than sent": says(OK + b"Content-Length: 100\r\n\r\nshort"),
    "two lengths": says(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "a negative length": says(OK + b"Content-Length: -3\r\n\r\nabc"),
    "a length that is none": says(OK + b"Content-Length: 0x3\r\n\r\nabc"),
    "a length beyond all bounds": says(OK + b"Content-Length: 99999999999999999999\r\n\r\nabc", stays=True),
    "a length of more digits": says(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc", stays=True),
    "a last chunk that is missing": says(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    "a chunk longer than it says": says(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"),
    "a chunk size that is none": says(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n"),
    "a chunk size beyond all bounds": says(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\nabc"),
    "an unknown transfer coding": says(OK + b"Transfer-Encoding: zip\r\n\r\nabc"),
    "another protocol": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\nabc", stays=True),
    "another version": says(b"HTTP/2.0 200 OK\r\n\r\nabc"),
    "a status that is none": says(b"HTTP/1.1 abc OK\r\n\r\nabc"),
    "nothing": says(b""),
    "bytes that are no text": says(b"\x00\xff\x16\x03\x01" * 100),
    "a header that is none": says(OK + b"\x00\x01: b\r\n\r\nabc"),
    "a colon that is missing": says(OK + b"nonsense\r\n\r\nabc"),
}
