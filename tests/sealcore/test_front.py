"""The HTTP front against peers that are slow, many, or send too much at once. Over real sockets; what counts is who ends and who is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sealcore.platform.config import Listen
from sealcore.platform.front import server
from sealcore.platform.front.address import NOBODY, share_of, share_of_rpc
from sealcore.platform.front.connections import Connections
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.front.protocol import FrontProtocol
from sealcore.platform.http import HttpEndpoint, install_errors
from sealcore.platform.http_client import client_context
from sealcore.platform.metrics import HttpMetrics
from sealcore.platform.throttle import Throttle
from tests.pki import InfrastructureCa
from tests.serving import serving_http
from tests.support.waiting import WITHIN_S, until

HASTY: Final = HttpLimits(
    connections=24, connections_of_one=8, head_s=1, idle_s=1, grace_s=1, body_rate=1000, stalled_s=1, handshake_s=1, pipelined=4, headers=20
)
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE_BYTES: Final = 16 * 1024 * 1024
OTHER: Final = "127.0.0.2"  # another peer's address


@dataclass
class Front:
    """A small application behind the front."""

    port: int
    registry: CollectorRegistry
    go_on: threading.Event
    tls: ssl.SSLContext | None = None

    def connect(self, source: str = "127.0.0.1", *, plain: bool = False) -> socket.socket:
        """A connection, past its handshake unless ``plain``."""
        raw = socket.create_connection(("127.0.0.1", self.port), WITHIN_S, source_address=(source, 0))
        return raw if self.tls is None or plain else self.tls.wrap_socket(raw, server_hostname="localhost")

    def ask(self, request: bytes = GET, source: str = "127.0.0.1") -> bytes:
        """All that comes back for a request that says that it is the last one."""
        with self.connect(source) as connection:
            connection.sendall(request.replace(b"Host: x", b"Host: x\r\nConnection: close", 1))
            return rest(connection)

    def ended(self, reason: str) -> float:
        return self.registry.get_sample_value("vermilion_http_connections_ended_total", {"reason": reason}) or 0

    @property
    def open(self) -> float:
        return self.registry.get_sample_value("vermilion_http_connections") or 0


def rest(connection: socket.socket) -> bytes:
    """What comes until the front ends the connection."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            received += part
    return bytes(received)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def application(go_on: threading.Event) -> Starlette:
    async def root(request: Request) -> Response:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    async def early(_request: Request) -> Response:
        return PlainTextResponse("answered before the body")

    def large(_request: Request) -> Response:
        return Response(bytes(LARGE_BYTES))

    async def wait(_request: Request) -> Response:
        await asyncio.to_thread(go_on.wait, WITHIN_S)
        return PlainTextResponse("waited")

    post = ["GET", "POST"]
    app = Starlette(
        routes=[Route("/", root, methods=post), Route("/early", early, methods=post), Route("/large", large), Route("/wait", wait)]
    )
    install_errors(app)
    return app


@pytest.fixture(params=["plain", "tls"])
def front(request: pytest.FixtureRequest, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Front]:
    with _front(request.param, tmp_path, free_port()) as made:
        yield made


@pytest.fixture
def plain_front(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Front]:
    with _front("plain", tmp_path, free_port()) as made:
        yield made


@contextlib.contextmanager
def _front(way: str, folder: Path, port: int, limits: HttpLimits = HASTY) -> Iterator[Front]:
    registry, go_on, tls, context = CollectorRegistry(), threading.Event(), None, None
    if way == "tls":
        ca = InfrastructureCa(folder / "pki")
        tls = ca.identity("server", "https://vermilion.internal/service/workflow")
        context = client_context(ca.identity("client", "https://vermilion.internal/operator/desk"))
    with serving_http(HttpEndpoint(application(go_on), Listen(port=port), tls, limits=limits, metrics=HttpMetrics(registry))):
        yield Front(port, registry, go_on, context)
        go_on.set()


def test_every_way_to_be_slow_ends_the_connection(front: Front) -> None:
    dribbled = threading.Event()
    with contextlib.ExitStack() as stack:
        silent, half, idle, blank, slow_body, after, reader = (stack.enter_context(front.connect()) for _ in range(7))
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        idle.sendall(GET)
        blank.sendall(GET)
        slow_body.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        after.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        reader.sendall(GET.replace(b"GET /", b"GET /large"))

        def dribble() -> None:
            """A byte now and then: of a head, between two requests, of bodies."""
            while not dribbled.wait(0.1):
                for connection, byte in ((half, b"a"), (blank, b"\r\n"), (slow_body, b"a"), (after, b"a")):
                    with contextlib.suppress(OSError):
                        connection.sendall(byte)

        thread = threading.Thread(target=dribble)
        thread.start()
        try:
            assert (rest(silent), rest(half)) == (b"", b"")
            assert [status(rest(one)) for one in (idle, blank)] == [200, 200]
            answer = rest(slow_body)
            assert status(answer) in (408, 0), "a reset may take the answer back"
            assert rest(after).count(b"HTTP/1.1 ") == 1, "nothing is said twice"
            until(lambda: front.ended("unread") == 1)
            assert len(rest(reader)) < LARGE_BYTES
        finally:
            dribbled.set()
            thread.join()
    assert status(front.ask()) == 200
    assert (front.ended("head"), front.ended("idle"), front.ended("body")) == (2, 2, 2)
    until(lambda: front.open == 0)


def test_a_body_that_comes_too_slowly_is_told_so(plain_front: Front) -> None:
    with plain_front.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert status(head) == 408 and b"application/problem+json" in head and json.loads(body)["code"] == "DEADLINE_EXCEEDED"


def test_a_broken_body_among_requests_sent_ahead_takes_no_answer_from_those_before_it(plain_front: Front) -> None:
    with plain_front.connect() as connection:
        broken = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno number\r\n"
        connection.sendall(GET.replace(b"GET /", b"GET /wait") + GET + broken)
        until(lambda: plain_front.ended("malformed") == 1)
        plain_front.go_on.set()
        answers = rest(connection)
    assert answers.count(b"HTTP/1.1 200") == answers.count(b"HTTP/1.1 ") == 2 and b"waited" in answers and b"0 bytes" in answers


@pytest.mark.parametrize(
    "lines",
    [
        b"X: " + b"a" * 70_000,
        b"\r\n".join(b"X-%d: " % number + b"a" * 1000 for number in range(19)) + b"\r\nY: " + b"a" * 60_000,
        b"a:\r\n" * 25 + b"b:",
        b"Content-Length: " + b"9" * 5000,
        "Content-Length: ²".encode("latin-1"),
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    ],
)
def test_a_head_that_is_too_large_or_no_head_is_refused(lines: bytes, plain_front: Front) -> None:
    answer = plain_front.ask(b"POST / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\n")
    assert status(answer) in (400, 431, 0) and b"200" not in answer
    assert plain_front.ended("head") + plain_front.ended("malformed") == 1
    assert status(plain_front.ask()) == 200


def test_trailers_and_chunk_extensions_are_bounded_too(plain_front: Front) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for endless in (chunked + b"0\r\n" + b"X: " + b"a" * 1_000_000, chunked + b"1;" + b"a" * 1_000_000):
        assert b"HTTP/1.1 200" not in plain_front.ask(endless)
    assert plain_front.ended("head") + plain_front.ended("malformed") == 2


def test_an_address_of_a_thousand_digits_is_no_fault(plain_front: Front) -> None:
    for target in (b"/" + b"9" * 20_000, b"/%00%ff%2e%2e", b"/?" + b"a=%80&" * 3000):
        assert status(plain_front.ask(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (200, 404)
    for target in (b"*", b"x:443", b"http://[::1", b"/\xff"):
        assert status(plain_front.ask(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (400, 404)
    assert status(plain_front.ask(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n")) in (400, 405)


def test_requests_sent_ahead_are_answered_in_order_and_only_so_many(front: Front) -> None:
    with front.connect() as connection:
        sending = threading.Thread(target=lambda: _send_quietly(connection, GET * 5000))
        sending.start()
        answers = rest(connection)
        sending.join()
    assert 1 <= answers.count(b"HTTP/1.1 200") == answers.count(b"HTTP/1.1 ") <= 2 * HASTY.pipelined
    assert answers.count(b"connection: close") == 1 and front.ended("pipelined") == 1


def _send_quietly(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(data)


def test_a_request_to_become_another_protocol_is_answered_and_is_the_last(plain_front: Front) -> None:
    with plain_front.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")
        assert b"connection: close" in rest(connection)


def test_whoever_comes_takes_the_place_of_whoever_waits_longest(front: Front) -> None:
    """Half-open connections, before their handshake where there is one."""
    with contextlib.ExitStack() as stack:
        for _ in range(5 * HASTY.connections_of_one):
            stack.enter_context(front.connect(plain=True))
            assert front.open <= HASTY.connections_of_one
        assert status(front.ask()) == 200
        assert status(front.ask(source=OTHER)) == 200
        for number in range(2, 9):
            for _ in range(HASTY.connections_of_one):
                stack.enter_context(front.connect(f"127.0.1.{number}", plain=True))
                assert front.open <= HASTY.connections
        for source in ("127.0.0.1", OTHER, "127.0.1.2"):
            assert status(front.ask(source=source)) == 200
    assert front.ended("gave_way") > 0
    until(lambda: front.open == 0)


def test_who_is_at_work_does_not_give_way_and_whoever_is_turned_away_is_told(plain_front: Front) -> None:
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(plain_front.connect()) for _ in range(HASTY.connections_of_one)]
        for one in busy:
            one.sendall(GET.replace(b"GET /", b"GET /wait").replace(b"Host: x", b"Host: x\r\nConnection: close"))
        until(lambda: plain_front.registry.get_sample_value("vermilion_http_open") == len(busy))
        with plain_front.connect() as turned_away:
            head, _, body = rest(turned_away).partition(b"\r\n\r\n")
        assert status(head) == 503 and b"retry-after: 1" in head and json.loads(body)["code"] == "OVERLOADED"
        assert status(plain_front.ask(source=OTHER)) == 200
        plain_front.go_on.set()
        assert [status(rest(one)) for one in busy] == [200] * len(busy)
    assert plain_front.ended("address_share") == 1


@pytest.mark.parametrize("way", ["plain", "tls"])
def test_answers_that_nobody_reads_are_bounded_at_once(
    way: str, tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only at the next look: until then there could be any number of them."""
    monkeypatch.setattr(server, "LOOK_S", 10 * WITHIN_S)
    tight = HASTY.model_copy(update={"unread_bytes": LARGE_BYTES // 16})
    with _front(way, tmp_path, free_port(), tight) as front, contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(front.connect()).sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: front.ended("unread") >= 3, "those that hold the most end")
        assert status(front.ask(source=OTHER)) == 200


def test_a_connection_that_ends_before_it_is_opened_is_closed(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those do that give way to others of the same moment; their descriptors would be held while their places are free."""
    monkeypatch.setattr(FrontProtocol, "look", FrontProtocol.abort)  # the first look comes with the first connection
    with front.connect(plain=True) as ended:
        assert rest(ended) == b""
    assert front.open == 0


def test_connections_are_looked_at_again_after_a_look_that_failed(plain_front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = iter([MemoryError()]), Connections.look

    def short_of_memory(connections: Connections) -> None:
        for fault in looks:
            raise fault
        look(connections)

    monkeypatch.setattr(Connections, "look", short_of_memory)
    with plain_front.connect() as silent:
        assert rest(silent) == b""
    assert next(looks, None) is None and plain_front.ended("head") == 1


def test_handshakes_that_fail_or_stop_are_ended_and_counted(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with _front("tls", tmp_path, free_port()) as front, contextlib.ExitStack() as stack:
        for opening in (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"):
            connection = stack.enter_context(front.connect(plain=True))
            connection.sendall(opening)
            rest(connection)
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError), nobody.wrap_socket(front.connect(plain=True)) as nameless:
            nameless.sendall(GET)
            assert rest(nameless) == b""
        until(lambda: front.ended("handshake") == 4 and front.open == 0)
        assert status(front.ask()) == 200


def test_whose_share_an_address_counts_against() -> None:
    assert share_of("192.0.2.1") == share_of("::ffff:192.0.2.1") == share_of_rpc("ipv4:192.0.2.1:443") == "192.0.2.1"
    assert share_of("2001:db8::1") == share_of("2001:db8::ffff:0:0:1") == share_of_rpc("ipv6:%5B2001:db8::2%5D:443") == "2001:db8::/64"
    assert share_of("2001:db8:0:1::1") != share_of("2001:db8::1")
    assert share_of("fe80::1%eth0") == "fe80::/64"
    assert share_of("") == share_of("a name") == share_of_rpc("unix:/run/x") == NOBODY


def test_a_kind_of_line_is_written_once_in_a_while_and_says_how_many_were_left_out() -> None:
    now_s = 0.0
    throttle = Throttle(10.0, lambda: now_s)
    assert [throttle.take("a") for _ in range(3)] + [throttle.take("b")] == [0, None, None, 0]
    now_s = 10.0
    assert (throttle.take("a"), throttle.take("a")) == (2, None)
    written = sum(throttle.take(number) is not None for number in range(100_000))
    assert written < 1000, "kinds are bounded as well"


def test_each_answer_has_the_date_of_its_second_also_after_a_time_in_which_nobody_came(
    plain_front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now_s, date in (
        (0.5, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (0.9, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (86_401.0, b"Fri, 02 Jan 1970 00:00:01 GMT"),
    ):
        monkeypatch.setattr("sealcore.platform.front.server.time", SimpleNamespace(time=lambda now_s=now_s: now_s))
        answer = plain_front.ask()
        assert status(answer) == 200 and answer.count(b"date: ") == 1 and b"date: " + date in answer


def test_without_connections_nothing_is_looked_at_and_the_first_after_a_time_is(
    plain_front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = Connections.look

    def counted(connections: Connections) -> None:
        looks.append(connections.count)
        look(connections)

    monkeypatch.setattr(Connections, "look", counted)
    for _ in range(2):
        until(lambda: plain_front.open == 0, "nobody is there")
        with plain_front.connect() as silent:
            assert rest(silent) == b"", "it is ended, since it says nothing"
        assert looks and all(looks), "by looks that found it"
        looks.clear()
