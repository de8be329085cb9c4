"""Requests that an application takes directly: they mean what the parser would have made of them, and change nothing about the connection."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import httptools
import pytest

from sealcore.platform.config import Listen
from sealcore.platform.front.direct import Direct, Tell
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.front.server import Server, config
from sealcore.platform.http import listening_socket
from tests.support.waiting import WITHIN_S, until

HEAD: Final = (
    b"POST / HTTP/1.1\r\nHost: x\r\nUser-Agent: a program\r\nAccept: */*\r\nContent-Type: application/asked\r\nContent-Length: 5\r\n\r\n"
)
ASKED: Final = HEAD + b"12345"
NEVER: Final = Direct(b"/", b"application/asked", 4096, lambda _body, _tell: False)


# --- what is recognised ----------------------------------------------------------------------------------------------------------


def changed(old: bytes, new: bytes) -> bytes:
    assert old in ASKED
    return ASKED.replace(old, new, 1)


def test_a_request_as_programs_send_it_is_recognised() -> None:
    assert NEVER.body(ASKED) == b"12345"
    assert NEVER.body(changed(b"Host: x", b"host:x")) == b"12345"
    assert NEVER.body(changed(b"Host: x", b"Connection: Keep-Alive\r\nHost: x ")) == b"12345"
    assert NEVER.body(HEAD.replace(b"5", b"4") + b"\r\n\r\n") == b"\r\n\r\n", "the first empty line ends the head"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        ASKED[:-1],
        ASKED + b"6",
        ASKED + ASKED,
        b"\r\n" + ASKED,
        changed(b"POST", b"post"),
        changed(b"POST / ", b"GET / "),
        changed(b"POST / ", b"POST /other "),
        changed(b"POST / ", b"POST  / "),
        changed(b"POST / ", b"POST http://x/ "),
        changed(b"POST / ", b"POST /? "),
        changed(b"HTTP/1.1", b"HTTP/1.0"),
        changed(b"HTTP/1.1", b"HTTP/1.1 "),
        changed(b"\r\nHost", b"\nHost"),
        changed(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\nTransfer-Encoding: chunked\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\nContent-Length: 5\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\nX-Anything: else\r\n"),
        changed(b"Host: x\r\n", b"Host: x\r\n folded\r\n"),
        changed(b"Host: x\r\n", b"Host : x\r\n"),
        changed(b"Host: x\r\n", b"Host: \x00\r\n"),
        changed(b"Host: x\r\n", b"Host: x\rContent-Length: 6\r\n"),
        changed(b"Host: x\r\n", b"Host\r\n"),
        changed(b"Length: 5", b"Length: +5"),
        changed(b"Length: 5", b"Length: 05"),
        changed(b"Length: 5", b"Length: 5, 5"),
        changed(b"Length: 5", b"Length: 5 5"),
        changed(b"Length: 5", b"Length: \xd9\xa5"),
        changed(b"Content-Length: 5\r\n", b""),
        changed(b"application/asked", b"application/asked; charset=binary"),
        changed(b"application/asked", b"application/other"),
        changed(b"Host: x", b"Host: " + b"x" * 3000),
        HEAD.replace(b"5", b"5000") + bytes(5000),
    ],
)
def test_anything_else_goes_the_usual_way(data: bytes) -> None:
    assert NEVER.body(data) is None


class Parsed:
    """What llhttp makes of bytes."""

    def __init__(self, data: bytes) -> None:
        self.url = self.read = b""
        self.begun = self.whole = 0
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(data)
        self.method, self.version = self._parser.get_method(), self._parser.get_http_version()
        self.goes_on = self._parser.should_keep_alive() and not self._parser.should_upgrade()

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.read += body

    def on_message_complete(self) -> None:
        self.whole += 1


def test_what_is_taken_is_one_whole_request_for_the_parser_too() -> None:
    """Over mutations of requests: whoever stands before us and reads with llhttp, as uvicorn does, sees the same request."""
    drawn, taken = random.Random(7), 0
    pieces = [
        b"\r",
        b"\n",
        b" ",
        b"\t",
        b":",
        b"5",
        b"0",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"Connection: keep-alive\r\n",
        b"a",
        b"\x80",
    ]
    for _ in range(20_000):
        data = bytearray(ASKED)
        for _ in range(drawn.randint(1, 2)):
            at = drawn.randrange(len(data) + 1)
            data[at : at + drawn.randint(0, 2)] = drawn.choice(pieces) if drawn.random() < 0.8 else bytes((drawn.randrange(256),))
        body = NEVER.body(bytes(data))
        if body is not None:
            taken += 1
            parsed = Parsed(bytes(data))
            assert (parsed.begun, parsed.whole, parsed.read, parsed.goes_on) == (1, 1, body, True), data
            assert (parsed.method, parsed.url, parsed.version) == (b"POST", b"/", "1.1"), data
    assert taken > 500


# --- over sockets ----------------------------------------------------------------------------------------------------------------


class Application:
    """Answers directly once ``go_on`` is set, and by ASGI at once; says which of the two it was."""

    def __init__(self) -> None:
        self.go_on, self.taken, self.asked = threading.Event(), 0, 0
        self.go_on.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (5 + len(message["body"])))]})
        await send({"type": "http.response.body", "body": b"asgi " + message["body"]})

    def take(self, body: bytes, tell: Tell) -> bool:
        if body == b"other":
            return False
        self.taken += 1
        loop = asyncio.get_running_loop()

        def answer() -> None:
            self.go_on.wait(WITHIN_S)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, 200, ((b"x-way", b"direct"),), b"direct " + body)

        threading.Thread(target=answer, daemon=True).start()
        return True


class Served:
    def __init__(self, application: Application, port: int) -> None:
        self.application, self.port = application, port
        limits = HttpLimits(idle_s=1, head_s=1, pipelined=2)
        direct = Direct(b"/", b"application/asked", 4096, application.take)
        self.server = Server(config(application, drain_s=5), limits, direct=direct)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        until(lambda: self.server.started, "it listens")

    async def _serve(self) -> None:
        await self.server.serve(sockets=[listening_socket(Listen(port=self.port))])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WITHIN_S)

    def close(self) -> None:
        self.application.go_on.set()
        self.server.should_exit = True
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()


@pytest.fixture
def served(free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(Server, "install_signal_handlers", lambda _server: None, raising=False)
    monkeypatch.setattr(Server, "capture_signals", lambda _server: contextlib.nullcontext())
    made = Served(Application(), free_port())
    yield made
    made.close()


def answers(connection: socket.socket, count: int) -> list[bytes]:
    """The bodies of so many answers; each begins with its status line."""
    received = b""
    while True:
        parts = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
        bodies = [part.partition(b"\r\n\r\n")[2] for part in parts]
        if len(bodies) == count and all(_is_whole(part) for part in parts):
            return bodies
        piece = connection.recv(65536)
        assert piece, received
        received += piece


def _is_whole(answer: bytes) -> bool:
    head, _end, body = answer.partition(b"\r\n\r\n")
    return any(int(line[16:]) == len(body) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))


def test_both_ways_take_turns_on_one_connection(served: Served) -> None:
    with served.connect() as connection:
        for data, body in ((ASKED, b"direct 12345"), (changed(b"Host", b"X-Other: y\r\nHost"), b"asgi 12345"), (ASKED, b"direct 12345")):
            connection.sendall(data)
            assert answers(connection, 1) == [body]
        connection.sendall(HEAD)
        connection.sendall(b"12345")
        assert answers(connection, 1)[0].endswith(b"12345")
        connection.sendall(HEAD + b"other")
        assert answers(connection, 1) == [b"asgi other"], "the application may leave a request to the usual way"
        connection.sendall(ASKED)
        assert answers(connection, 1) == [b"direct 12345"]


def test_an_answer_has_the_headers_of_any_other(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(ASKED)
        head = connection.recv(65536).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"HTTP/1.1 200 OK" and {line.partition(b":")[0] for line in head[1:]} == {b"date", b"x-way", b"content-length"}


def test_what_is_sent_ahead_is_answered_in_order(served: Served) -> None:
    served.application.go_on.clear()
    with served.connect() as connection:
        connection.sendall(ASKED)
        until(lambda: served.application.taken == 1, "the first was taken")
        connection.sendall(HEAD + b"ahead" + HEAD + b"again")
        served.application.go_on.set()
        assert answers(connection, 3) == [b"direct 12345", b"asgi ahead", b"asgi again"]


def test_who_sends_too_much_ahead_gets_the_first_answer_and_no_more(served: Served) -> None:
    served.application.go_on.clear()
    with served.connect() as connection:
        connection.sendall(ASKED)
        until(lambda: served.application.taken == 1, "the first was taken")
        connection.sendall(ASKED * 20)
        served.application.go_on.set()
        received = bytearray()
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
    assert received.startswith(b"HTTP/1.1 200 OK\r\n") and received.count(b"connection: close") == 1
    assert received.count(b"HTTP/1.1 ") <= 4


def test_an_answer_to_somebody_who_left_goes_nowhere(served: Served) -> None:
    served.application.go_on.clear()
    with served.connect() as connection:
        connection.sendall(ASKED)
        until(lambda: served.application.taken == 1, "it was taken")
    until(lambda: not served.server.server_state.connections, "the front knows")
    served.application.go_on.set()
    with served.connect() as connection:
        connection.sendall(ASKED)
        assert answers(connection, 1) == [b"direct 12345"]


def test_a_request_that_was_taken_is_answered_before_the_service_ends(served: Served) -> None:
    served.application.go_on.clear()
    with served.connect() as connection, served.connect() as idle:
        connection.sendall(ASKED)
        until(lambda: served.application.taken == 1, "it was taken")
        served.server.should_exit = True
        assert idle.recv(1) == b"", "who has asked nothing is not waited for"
        served.application.go_on.set()
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"connection: close\r\n" in received and received.endswith(b"direct 12345")


def test_a_connection_that_asks_nothing_more_is_ended(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(ASKED)
        assert answers(connection, 1) == [b"direct 12345"]
        assert connection.recv(1) == b""
