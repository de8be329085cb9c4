"""Renewed certificates and new trust are taken up without a restart, and without a call that fails; what ended opens nothing."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.clock import FixedClock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import Listen, TlsSettings
from sealcore.platform.http import HttpEndpoint, install_errors, peer
from sealcore.platform.http_client import client_context
from sealcore.platform.identity import LOOK_S
from sealcore.platform.peer import Revocations, authorise
from sealcore.platform.revocation import CrlWatch
from sealcore.platform.rpc import client as rpc_client
from sealcore.platform.rpc import server as rpc
from sealcore.platform.rpc.errors import from_rpc_error
from sealcore.platform.rpc.renewed_channel import RenewedChannel
from tests.pki import InfrastructureCa, NeverRevoked
from tests.sealcore.serials import DEADLINE_S, served_serial
from tests.serving import serving_http
from tests.support.http_server import HttpServer
from tests.support.waiting import until

SERVER, DESK = "https://vermilion.internal/service/ca", "https://vermilion.internal/operator/desk"
METHOD = "/vermilion.v1.CertificateAuthority/"
ECHO = "/vermilion.v1.Echo/Stream"
RULES: rpc.Rules = {
    METHOD + "ListCertificates": frozenset({"operator"}),
    METHOD + "Issue": frozenset({"operator"}),
    ECHO: frozenset({"operator"}),
}


class _Servicer(ca_pb2_grpc.CertificateAuthorityServicer):
    """Tells a caller the serial number that it shows; ``Issue`` does so when ``go_on`` is set."""

    def __init__(self) -> None:
        self.waiting, self.go_on = threading.Event(), threading.Event()

    async def ListCertificates(self, request: Any, context: Any) -> Any:
        return ca_pb2.ListCertificatesResponse(certificates=[ca_pb2.CertificateRecord(subject=f"{rpc.caller().serial:x}")])

    async def Issue(self, request: Any, context: Any) -> Any:
        self.waiting.set()
        await asyncio.to_thread(self.go_on.wait, DEADLINE_S)
        return ca_pb2.IssueResponse(certificate=f"{rpc.caller().serial:x}".encode())


async def _echo(messages: Any, context: Any) -> Any:
    async for message in messages:
        yield message


class Server:
    """A gRPC service of ours in a thread."""

    def __init__(self, tls: TlsSettings, revocations: Revocations, port: int) -> None:
        self.target, self.servicer = f"127.0.0.1:{port}", _Servicer()
        self._tls, self._revocations = tls, revocations
        self._loop, self._done, self._started = asyncio.new_event_loop(), asyncio.Event(), Future[None]()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    async def _serve(self) -> None:
        server = rpc.server(self._tls, RULES, self._revocations, target=self.target)
        ca_pb2_grpc.add_CertificateAuthorityServicer_to_server(self.servicer, server)
        handlers = {"Stream": grpc.stream_stream_rpc_method_handler(_echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("vermilion.v1.Echo", handlers),))
        await server.start()
        self._started.set_result(None)
        await self._done.wait()
        await server.stop(0)

    def __enter__(self) -> Server:
        self._thread.start()
        self._started.result(DEADLINE_S)
        return self

    def __exit__(self, *_fault: object) -> None:
        self.servicer.go_on.set()
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()


def shown_serial(stub: Any) -> int:
    """The serial number that the server sees of us."""
    answer = stub.ListCertificates(ca_pb2.ListCertificatesRequest(), timeout=DEADLINE_S)
    return int(answer.certificates[0].subject, 16)


@pytest.fixture
def ca(tmp_path: Path) -> InfrastructureCa:
    return InfrastructureCa(tmp_path / "pki")


def test_a_server_shows_its_new_certificate_to_new_connections_and_keeps_the_old_ones(
    ca: InfrastructureCa, free_port: Callable[[], int]
) -> None:
    tls, desk = ca.bundle("server", SERVER), ca.identity("desk", DESK)
    with Server(tls, NeverRevoked(), free_port()) as server, rpc_client.channel(server.target, desk) as line:
        stub = ca_pb2_grpc.CertificateAuthorityStub(line)
        failures, stopped, answered = list[Exception](), threading.Event(), [0]

        def load() -> None:
            while not stopped.is_set():
                try:
                    assert shown_serial(stub) == ca.serial(desk)
                    answered[0] += 1
                except Exception as fault:  # noqa: BLE001  (every kind counts)
                    failures.append(fault)

        callers = [threading.Thread(target=load) for _ in range(3)]
        for caller in callers:
            caller.start()
        assert served_serial(server.target, desk) == ca.serial(tls)
        for _ in range(3):
            serial = ca.switch(tls, SERVER)
            until(lambda serial=serial: served_serial(server.target, desk) == serial)  # type: ignore[misc]
        stopped.set()
        for caller in callers:
            caller.join()
        assert not failures and answered[0] > 0


def _is_closed(channel: grpc.Channel) -> bool:
    """gRPC raises ValueError for a call on a channel that is closed; RpcError where it is closed during the call."""
    try:
        channel.unary_unary(METHOD + "ListCertificates", None, None)(b"", timeout=1)
    except ValueError:
        return True
    except grpc.RpcError:
        return False
    return False


def test_a_channel_takes_up_our_new_certificate_and_ends_the_old_connection_after_its_last_call(
    ca: InfrastructureCa, free_port: Callable[[], int]
) -> None:
    tls, desk = ca.identity("server", SERVER), ca.bundle("desk", DESK)
    first = ca.serial(desk)
    with Server(tls, NeverRevoked(), free_port()) as server:
        channel = rpc_client.channel(server.target, desk)
        assert isinstance(channel, RenewedChannel)
        stub = ca_pb2_grpc.CertificateAuthorityStub(channel)
        slow = stub.Issue.future(ca_pb2.IssueRequest(), timeout=DEADLINE_S)
        assert server.servicer.waiting.wait(DEADLINE_S)
        old_connection = channel._current
        serial = ca.switch(desk, DESK)
        until(lambda: shown_serial(stub) == serial)
        assert not slow.done() and old_connection.busy
        server.servicer.go_on.set()
        assert int(slow.result().certificate, 16) == first
        until(lambda: not old_connection.busy)
        until(lambda: _is_closed(old_connection.channel))
        channel.close()
        with pytest.raises(ValueError, match="closed"):
            shown_serial(stub)


def test_a_second_generation_of_the_ca_is_trusted_when_the_file_says_so(
    ca: InfrastructureCa, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    second = InfrastructureCa(tmp_path / "second")
    newcomer = second.identity("desk", DESK)
    newcomer.trust_file.write_bytes(ca.identity("x", DESK).trust_file.read_bytes())
    with _crls(ca, second) as url:
        tls = ca.bundle("server", SERVER).model_copy(update={"crl_urls": (f"{url}/{{key}}.crl",), "crl_cache": tmp_path / "crls.pem"})
        watch = CrlWatch(tls, SystemClock())
        with Server(tls, watch, free_port()) as server:
            assert not watch.is_revoked(1)
            with rpc_client.channel(server.target, newcomer) as line, pytest.raises(grpc.RpcError):
                shown_serial(ca_pb2_grpc.CertificateAuthorityStub(line))
            tls.trust_file.write_bytes(tls.trust_file.read_bytes() + second.identity("y", DESK).trust_file.read_bytes())
            assert watch.refresh()

            def let_in() -> bool:
                with rpc_client.channel(server.target, newcomer) as line:
                    try:
                        return shown_serial(ca_pb2_grpc.CertificateAuthorityStub(line)) == ca.serial(newcomer)
                    except grpc.RpcError:
                        return False

            until(let_in)
            second.revoked.append(ca.serial(newcomer))
            assert watch.refresh() and watch.is_revoked(ca.serial(newcomer))
            kept = CrlWatch(tls.model_copy(update={"crl_urls": ("http://127.0.0.1:9/none.crl",)}), SystemClock())
            assert kept.is_revoked(ca.serial(newcomer)), "both CRLs are in the cache"


def test_without_the_crl_of_every_generation_nobody_is_let_in(ca: InfrastructureCa, tmp_path: Path) -> None:
    second = InfrastructureCa(tmp_path / "second")
    with _crls(ca) as url:
        tls = ca.bundle("server", SERVER).model_copy(update={"crl_urls": (f"{url}/{{key}}.crl",), "crl_cache": tmp_path / "crls.pem"})
        watch = CrlWatch(tls, SystemClock())
        assert not watch.is_revoked(1)
        tls.trust_file.write_bytes(tls.trust_file.read_bytes() + second.identity("y", DESK).trust_file.read_bytes())
        assert not watch.refresh()
        with pytest.raises(VermilionError) as refusal:
            watch.is_revoked(1)
        assert refusal.value.code is Code.REVOCATION_UNAVAILABLE


def test_an_unchanged_crl_is_not_fetched_again(ca: InfrastructureCa, tmp_path: Path) -> None:
    with _crls(ca) as url:
        tls = ca.bundle("server", SERVER).model_copy(update={"crl_urls": (f"{url}/{{key}}.crl",), "crl_cache": tmp_path / "crls.pem"})
        watch = CrlWatch(tls, SystemClock())
        assert watch.refresh() and watch.refresh()
        assert _statuses(url) == [200, 304]
        ca.revoked.append(7)
        assert watch.refresh() and watch.is_revoked(7)
        assert _statuses(url)[2] == 200


GRACE_S = 900  # tls.crl_grace_s unless somebody says otherwise


def _unavailable(watch: CrlWatch) -> str:
    with pytest.raises(VermilionError) as refusal:
        watch.is_revoked(1)
    assert refusal.value.code is Code.REVOCATION_UNAVAILABLE
    return refusal.value.reason


def test_peers_count_for_minutes_while_the_ca_is_away_and_not_until_the_crl_ends(ca: InfrastructureCa, tmp_path: Path) -> None:
    """The CRL counts for seven days by itself; a service that is stolen in the meantime must not be trusted for so long."""
    clock, away = FixedClock(datetime.now(UTC)), threading.Event()
    with _crls(ca, away=away) as url:
        tls = ca.bundle("server", SERVER).model_copy(update={"crl_urls": (f"{url}/{{key}}.crl",), "crl_cache": tmp_path / "crls.pem"})
        watch = CrlWatch(tls, clock)
        assert watch.refresh()
        away.set()
        clock.advance(GRACE_S - 1)  # a restart of the CA is nothing
        assert not watch.is_revoked(1) and watch.seconds_left == 1
        restarted = CrlWatch(tls, clock)  # nor does a restart of the service begin a new grace
        assert not restarted.is_revoked(1)
        clock.advance(2)
        for one in (watch, restarted, CrlWatch(tls, clock)):
            assert not one.refresh()
            assert "tls.crl_grace_s" in _unavailable(one)
            assert one.seconds_left < 0
        away.clear()
        assert watch.refresh() and not watch.is_revoked(1)  # unmodified, and that is news enough
        assert _statuses(url)[-1] == 304


def test_an_older_crl_or_a_cache_of_tomorrow_confirms_nothing(ca: InfrastructureCa, tmp_path: Path) -> None:
    clock, away = FixedClock(datetime.now(UTC)), threading.Event()
    with _crls(ca, away=away) as url:
        tls = ca.bundle("server", SERVER).model_copy(update={"crl_urls": (f"{url}/{{key}}.crl",), "crl_cache": tmp_path / "crls.pem"})
        watch = CrlWatch(tls, clock)
        assert watch.refresh()
        _later_second()
        ca.revoked.append(7)
        assert watch.refresh() and watch.is_revoked(7)
        ca.revoked.clear()  # whoever stands between replays the CRL of before
        clock.advance(GRACE_S + 1)
        assert not watch.refresh()
        _unavailable(watch)
        away.set()
        tomorrow = clock.now().timestamp() + 86_400
        os.utime(tmp_path / "crls.pem", (tomorrow, tomorrow))
        _unavailable(CrlWatch(tls, clock))


def _later_second() -> None:
    """CRLs are dated in whole seconds."""
    second = int(time.time())
    until(lambda: int(time.time()) > second)


def test_a_revoked_caller_sends_no_further_message_on_an_open_stream(
    ca: InfrastructureCa, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    desk = ca.identity("desk", DESK)
    with _crls(ca) as url:
        tls = ca.bundle("server", SERVER).model_copy(update={"crl_urls": (f"{url}/{{key}}.crl",), "crl_cache": tmp_path / "crls.pem"})
        watch = CrlWatch(tls, SystemClock())
        with Server(tls, watch, free_port()) as server, rpc_client.channel(server.target, desk) as line:
            going = threading.Semaphore(1)

            def messages() -> Iterator[bytes]:
                for number in range(1000):
                    going.acquire()
                    yield b"%d" % number

            answers: Any = line.stream_stream(ECHO, None, None)(messages(), timeout=DEADLINE_S)
            assert next(answers) == b"0"
            ca.revoked.append(ca.serial(desk))
            assert watch.refresh()
            going.release()
            with pytest.raises(grpc.RpcError) as refusal:
                next(answers)
            going.release(1000)
            assert from_rpc_error(refusal.value).code is Code.CERTIFICATE_REVOKED


def test_what_has_expired_opens_nothing_and_says_the_way_out(ca: InfrastructureCa, free_port: Callable[[], int]) -> None:
    expired = ca.identity("desk", DESK, lifetime=timedelta(hours=-1))

    async def serve() -> None:
        rpc.server(expired, RULES, NeverRevoked(), target=f"127.0.0.1:{free_port()}")

    uses: list[Callable[[], object]] = [
        lambda: rpc_client.channel("127.0.0.1:9", expired),
        lambda: asyncio.run(serve()),
        lambda: client_context(expired),
        lambda: authorise(expired.certificate_file.read_bytes(), frozenset({"operator"}), NeverRevoked()),
    ]
    for use in uses:
        with pytest.raises(VermilionError) as refusal:
            use()
        assert refusal.value.code is Code.CERTIFICATE_EXPIRED and "vermilion up" in refusal.value.way_out


def test_https_follows_the_files_too(ca: InfrastructureCa, free_port: Callable[[], int]) -> None:
    def who(request: Request) -> JSONResponse:
        return JSONResponse({"uri": peer(request, frozenset({"operator"}), NeverRevoked()).uri})

    app = Starlette(routes=[Route("/who", who)])
    install_errors(app)

    tls, desk, port = ca.bundle("https", SERVER), ca.identity("desk", DESK), free_port()
    with serving_http(HttpEndpoint(app, Listen(port=port), tls)):
        url = f"https://127.0.0.1:{port}/who"
        with httpx.Client(verify=client_context(desk)) as kept:
            assert kept.get(url).json() == {"uri": DESK}
            serial = ca.switch(tls, SERVER)
            until(lambda: _https_serial(port, desk) == serial)
            assert kept.get(url).json() == {"uri": DESK}
        assert httpx.get(url, verify=client_context(desk)).json() == {"uri": DESK}
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        nobody.load_verify_locations(cafile=str(desk.trust_file))
        with pytest.raises(httpx.HTTPError):
            httpx.get(url, verify=nobody)
        foreign = InfrastructureCa(ca.folder / "foreign").identity("desk", DESK)
        newcomer = client_context(foreign.model_copy(update={"trust_file": desk.trust_file}))
        with pytest.raises(httpx.HTTPError):
            httpx.get(url, verify=newcomer)
        tls.trust_file.write_bytes(tls.trust_file.read_bytes() + foreign.trust_file.read_bytes())
        time.sleep(LOOK_S)
        assert httpx.get(url, verify=newcomer).json() == {"uri": DESK}


def _https_serial(port: int, tls: TlsSettings) -> int:
    context = client_context(tls)
    with httpx.Client(verify=context) as client, client.stream("GET", f"https://127.0.0.1:{port}/who") as answer:
        der = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)
    return x509.load_der_x509_certificate(der).serial_number


_SERVED: dict[str, list[int]] = {}


def _statuses(url: str) -> list[int]:
    return _SERVED[url]


@contextmanager
def _crls(*authorities: InfrastructureCa, away: threading.Event | None = None) -> Iterator[str]:
    """Serves the CRL of each CA under its key identifier, with an ETag; a new CRL is made when a serial was revoked. ``away``: none is."""
    by_key = {one.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex(): one for one in authorities}
    made: dict[tuple[str, int], bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = self.path.strip("/").removesuffix(".crl")
            authority = by_key.get(key)
            tag = f'"{len(authority.revoked)}"' if authority is not None else ""
            status = 404 if authority is None else 304 if self.headers["If-None-Match"] == tag else 200
            status = 503 if away is not None and away.is_set() else status
            body = b""
            if authority is not None and status == 200:
                body = made.setdefault((key, len(authority.revoked)), authority.crl())
            _SERVED.setdefault(address, []).append(status)
            self.send_response(status)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HttpServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        address = f"http://127.0.0.1:{server.server_port}"
        _SERVED.pop(address, None)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield address
        server.shutdown()
