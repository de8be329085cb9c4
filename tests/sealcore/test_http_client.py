"""The one HTTP client: whatever a server does, an exchange ends within its deadline, in bounded memory, with a fault that says why."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sealcore.errors import VermilionError
from sealcore.platform.http_client import AsyncHttpClient, Failure, HttpClient, HttpError, client_context
from sealcore.platform.http_exchange import Target
from tests.pki import InfrastructureCa
from tests.support import hostile
from tests.support.hostile import ENDLESS, LIES, OK, SLOW, Hostile, Script, asked, says, serving
from tests.support.waiting import until

MOST = 100_000
MEMORY = 8 * 1024 * 1024  # of a whole exchange: far less than what is sent or would be unpacked, far more than a limit and a head
SHORT_S = 0.3
LONG_S = 60.0  # nothing waits for it unless something hangs


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(within_s=LONG_S)
    yield made
    made.close()


def refusal(client: HttpClient, url: str, **how: Any) -> HttpError:
    with pytest.raises(HttpError) as refused:
        client.ask("GET", url, most_bytes=MOST, **how)
    return refused.value


def in_bounded_memory(client: HttpClient, script: Script) -> HttpError:
    with Hostile(script) as server:
        tracemalloc.start()
        try:
            fault = refusal(client, server.url)
            assert tracemalloc.get_traced_memory()[1] < MEMORY
        finally:
            tracemalloc.stop()
    return fault


# --- memory ----------------------------------------------------------------------------------------------------------------------


def test_a_compressed_answer_is_refused_before_it_is_unpacked(client: HttpClient) -> None:
    for name, bomb in hostile.bombs():
        fault = in_bounded_memory(client, says(bomb))
        assert fault.failure is Failure.MALFORMED, name
        assert "compressed" in fault.reason or "no HTTP" in fault.reason, name


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_off(client: HttpClient, what: str) -> None:
    fault = in_bounded_memory(client, ENDLESS[what])
    assert fault.failure in (Failure.TOO_LARGE, Failure.MALFORMED)


def test_a_length_that_is_too_great_is_refused_before_the_body_comes(client: HttpClient) -> None:
    with Hostile(says(OK + b"Content-Length: 100001\r\n\r\n", stays=True)) as server:
        assert refusal(client, server.url).failure is Failure.TOO_LARGE


def test_honest_answers_of_every_form_are_read_to_their_limit(client: HttpClient) -> None:
    body = os.urandom(MOST)
    chunks = b"".join(b"%x; name=value\r\n%b\r\n" % (len(part), part) for part in (body[i : i + 64] for i in range(0, MOST, 64)))
    for answer in (
        OK + b"Content-Length: %d\r\n\r\n" % MOST + body,
        OK + b"Transfer-Encoding: chunked\r\nTrailer: a\r\n\r\n" + chunks + b"0\r\na: b\r\n\r\n",
        OK + b"\r\n" + body,
        b"HTTP/1.0 200\r\n\r\n" + body,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Encoding: identity\r\n\r\n" + body,
    ):
        with Hostile(says(answer)) as server:
            got = client.ask("GET", server.url, most_bytes=MOST)
            assert (got.status, got.body) == (200, body)


# --- time ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", SLOW)
def test_what_drips_or_stalls_ends_with_the_deadline(client: HttpClient, what: str) -> None:
    with Hostile(SLOW[what]) as server:
        fault = refusal(client, server.url, within_s=SHORT_S)
        assert (fault.failure, server.whole) == (Failure.SLOW, 0)


def test_a_tls_handshake_that_stalls_ends_with_the_deadline(client: HttpClient) -> None:
    with Hostile(hostile.stalls) as server:
        fault = refusal(client, server.url.replace("http:", "https:"), within_s=SHORT_S)
        assert (fault.failure, server.whole) == (Failure.SLOW, 0)


def test_a_request_that_nobody_reads_ends_with_the_deadline(client: HttpClient) -> None:
    with Hostile(hostile.stalls) as server, pytest.raises(HttpError) as refused:
        client.ask("POST", server.url, body=bytes(32 * 1024 * 1024), most_bytes=MOST, within_s=SHORT_S)
    assert refused.value.failure is Failure.SLOW


def test_a_name_that_is_looked_up_without_end_ends_with_the_deadline(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    release, hung = threading.Event(), list[threading.Thread]()

    def look_up(*_arguments: object, **_named: object) -> list[object]:
        hung.append(threading.current_thread())
        assert release.wait(LONG_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)  # the system's resolver, which nothing here can make hang
    try:
        faults = [refusal(client, "http://hung.example/", within_s=0.01) for _ in range(20)]
    finally:
        release.set()
        for thread in hung:
            thread.join(LONG_S)
    assert [fault.failure for fault in faults[:16]] == [Failure.SLOW] * 16
    assert all("other names" in fault.reason for fault in faults[16:]) and len(hung) == 16


def test_slow_servers_do_not_keep_others_waiting_beyond_their_deadline() -> None:
    client = HttpClient(within_s=SHORT_S, at_once=2)
    with Hostile(SLOW["header"]) as server:
        threads = [threading.Thread(target=refusal, args=(client, server.url)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        assert not any(thread.is_alive() for thread in threads) and server.connections <= 6
    client.close()


# --- what an answer is -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", LIES)
def test_what_is_no_answer_is_none(client: HttpClient, what: str) -> None:
    with Hostile(LIES[what]) as server:
        fault = refusal(client, server.url)
    assert fault.failure is not Failure.SLOW
    assert fault.reason.isprintable() and fault.reason.isascii() and len(fault.reason) < 400


@pytest.mark.parametrize("place", ["/again", "http://127.0.0.1:1/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:1/x", ""])
def test_a_redirect_is_an_answer_and_is_not_followed(client: HttpClient, place: str) -> None:
    for status in (300, 301, 302, 303, 307, 308):
        with Hostile(says(b"HTTP/1.1 %d Elsewhere\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, place.encode()))) as server:
            assert client.ask("GET", server.url, most_bytes=MOST).status == status
            assert server.connections == 1


# --- connections -----------------------------------------------------------------------------------------------------------------


ONE, TWO = (OK + b"Content-Length: 3\r\n\r\n" + word for word in (b"one", b"two"))


def test_a_connection_is_kept_for_the_next_request(client: HttpClient) -> None:
    with Hostile(serving(ONE, TWO, ONE)) as server:
        assert [client.ask("GET", server.url, most_bytes=MOST).body for _ in range(3)] == [b"one", b"two", b"one"]
        assert server.connections == 1


@pytest.mark.parametrize("behind", [ONE, b"HTTP/1.1 200 OK\r\n", b"x", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_what_comes_behind_an_answer_is_never_the_next_answer(client: HttpClient, behind: bytes) -> None:
    with Hostile(serving(TWO + behind)) as server:
        assert [client.ask("GET", server.url, most_bytes=MOST).body for _ in range(3)] == [b"two"] * 3
        assert server.connections == 3


def test_what_comes_while_nothing_is_asked_ends_the_connection(client: HttpClient) -> None:
    answered = threading.Event()

    def script(connection: socket.socket) -> None:
        asked(connection)
        connection.sendall(TWO)
        assert answered.wait(LONG_S)
        connection.sendall(ONE)
        connection.recv(1)  # until the client closes it, as a reset or as an end

    with Hostile(script) as server:
        assert client.ask("GET", server.url, most_bytes=MOST).body == b"two"
        before = client._made[1]._idle.take(Target.of(server.url))
        assert before is not None
        answered.set()
        until(lambda: not before.open, "the connection is closed")


def test_a_kept_connection_that_is_closed_is_replaced_where_the_request_may_be_repeated(client: HttpClient) -> None:
    def closes_on_the_second(connection: socket.socket) -> None:
        asked(connection)
        connection.sendall(ONE)
        asked(connection)

    for repeatable in (True, False):
        with Hostile(closes_on_the_second) as server:
            client.ask("POST", server.url, body=b"", most_bytes=MOST)
            if repeatable:
                assert client.ask("POST", server.url, body=b"", most_bytes=MOST).body == b"one"
            else:
                with pytest.raises(HttpError) as refused:
                    client.ask("POST", server.url, body=b"", most_bytes=MOST, repeatable=False)
                assert refused.value.failure is Failure.UNREACHABLE
            assert server.connections == (2 if repeatable else 1)


def test_an_answer_that_comes_before_the_whole_request_is_taken(client: HttpClient) -> None:
    def early(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        while connection.recv(1 << 20):
            pass

    with Hostile(early) as server:
        assert client.ask("POST", server.url, body=bytes(32 * 1024 * 1024), most_bytes=MOST).status == 413


def test_of_all_servers_only_so_many_connections_are_kept() -> None:
    opened: list[int] = []
    closed: list[int] = []

    def stays(connection: socket.socket) -> None:
        opened.append(1)
        try:
            while True:
                asked(connection)
                connection.sendall(ONE)
        finally:
            closed.append(1)

    client = HttpClient(within_s=LONG_S, at_once=2)
    with ExitStack() as stack:
        servers = [stack.enter_context(Hostile(stays)) for _ in range(8)]
        for server in servers:
            client.ask("GET", server.url, most_bytes=MOST)
        until(lambda: len(opened) - len(closed) <= 2, "the connections that have waited longest are closed")
        for server in reversed(servers[-2:]):
            client.ask("GET", server.url, most_bytes=MOST)
        assert [server.connections for server in servers] == [1] * 8, "the newest are used again"
        client.close()


def test_a_cancelled_exchange_leaves_nothing_for_the_next() -> None:
    async def run() -> bytes:
        client = AsyncHttpClient(within_s=LONG_S)
        with Hostile(SLOW["body"]) as slow, Hostile(serving(ONE)) as honest:
            asking = asyncio.create_task(client.ask("GET", slow.url, most_bytes=MOST))
            while not slow.connections:
                await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            body = (await client.ask("GET", honest.url, most_bytes=MOST)).body
            await client.close()
            return body

    assert asyncio.run(run()) == b"one"


def test_a_forked_process_has_connections_of_its_own() -> None:
    code = """
import os, sys
from sealcore.platform.http_client import HttpClient
client = HttpClient(within_s=20)
ask = lambda: print(os.getpid() == parent, client.ask("GET", sys.argv[1], most_bytes=99).body, flush=True)
parent = os.getpid()
ask()
child = os.fork()
if child == 0:
    ask()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
ask()
"""
    with Hostile(serving(ONE, TWO)) as server:
        told = subprocess.run([sys.executable, "-c", code, server.url], check=True, capture_output=True, text=True)
        assert told.stdout.splitlines() == ["True b'one'", "False b'one'", "True b'two'"]
        assert server.connections == 2


# --- what a server may not learn, and the environment not decide -----------------------------------------------------------------


def test_faults_name_the_address_without_its_secrets(client: HttpClient) -> None:
    with Hostile(says(b"")) as server:
        place = f"127.0.0.1:{server.port}"
        for url in (
            f"http://{place}/a?token=s3cret",
            f"http://user:s3cret@{place}/a",
            f"http://user:s3cret@{place}:bad/",
            "s3cret@?s3cret",
        ):
            fault = refusal(client, url)
            assert "s3cret" not in str(fault) and fault.way_out


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/", "unix:///run/x", "http+unix://x/", "data:,x", "x", ""),
        *("http://", "http:///x", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "http://[::1", "http://a..b/", f"http://{'a' * 64}/"),
        *("HTTP://user@127.0.0.1/", "http://:secret@127.0.0.1/", "http://\ud800/", "http://127.0.0.1/\ud800", "http://127.0.0.1/?\udfff"),
    ],
)
def test_other_schemes_and_odd_addresses_are_refused(client: HttpClient, url: str) -> None:
    with pytest.raises(VermilionError):
        Target.of(url)
    assert refusal(client, url).failure is Failure.UNREACHABLE


def test_what_is_odd_in_a_path_is_sent_as_data(client: HttpClient) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        seen.append(asked(connection))
        connection.sendall(ONE)

    with Hostile(script) as server:
        client.ask("GET", server.url + "/My CA\r\nX-Injected: 1/é%20.crl?a=b c", most_bytes=MOST)
        with pytest.raises(HttpError):
            client.ask("GET", server.url, headers={"X": "a\r\nX-Injected: 1"}, most_bytes=MOST)
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"GET /My%20CAX-Injected:%201/%C3%A9%20.crl?a=b%20c HTTP/1.1"
    assert b"accept-encoding: identity" in [line.lower() for line in lines]
    assert not any(line.startswith(b"X-Injected") for line in lines)


def _counts_logins(connection: socket.socket) -> None:
    """How many Authorization headers came."""
    count = asked(connection).lower().count(b"authorization")
    connection.sendall(OK + b"Content-Length: 1\r\n\r\n%d" % count)


def test_the_environment_has_no_say(tmp_path: Path) -> None:
    """Proxies, .netrc and the log of TLS keys, which other clients take from there."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    code = (
        "import sys; from sealcore.platform.http_client import HttpClient, public_context; "
        "print(public_context().keylog_filename, HttpClient(within_s=20).ask('GET', sys.argv[1], most_bytes=99).body)"
    )
    with Hostile(says(TWO)) as proxy, Hostile(_counts_logins) as server:
        names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        environment = {**os.environ, **dict.fromkeys(names, proxy.url), "HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc")}
        environment |= {"SSLKEYLOGFILE": str(tmp_path / "keys"), "no_proxy": "", "NO_PROXY": ""}
        told = subprocess.run([sys.executable, "-c", code, server.url], env=environment, check=True, capture_output=True, text=True)
        assert (told.stdout, proxy.connections) == ("None b'0'\n", 0)


def test_tls_is_checked(tmp_path: Path) -> None:
    ours, theirs = InfrastructureCa(tmp_path / "ours"), InfrastructureCa(tmp_path / "theirs")
    served = ours.identity("server", None)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(served.certificate_file, served.key_file)
    honest = HttpClient(within_s=LONG_S, tls=client_context(ours.identity("client", None)))
    stranger = HttpClient(within_s=LONG_S, tls=client_context(theirs.identity("client", None)))
    with Hostile(serving(ONE, TWO), tls=tls) as server:
        assert [honest.ask("GET", server.url, most_bytes=MOST).body for _ in range(2)] == [b"one", b"two"]
        for client in (stranger, HttpClient(within_s=LONG_S)):
            fault = refusal(client, server.url)
            assert fault.failure is Failure.UNREACHABLE and "TLS" in fault.reason
        assert refusal(honest, server.url.replace("127.0.0.1", "localhost.localdomain")).failure is Failure.UNREACHABLE
