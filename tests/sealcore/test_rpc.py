"""Who may call what over gRPC and HTTPS: real mTLS, real CRLs, every refusal with its code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import Listen, TlsSettings
from sealcore.platform.http import HttpEndpoint, install_errors, peer
from sealcore.platform.http_client import client_context
from sealcore.platform.revocation import CrlWatch
from sealcore.platform.rpc import client as rpc_client
from sealcore.platform.rpc import server as rpc
from sealcore.platform.rpc.error_messages import from_message, to_message
from sealcore.platform.rpc.errors import from_rpc_error
from tests.pki import InfrastructureCa
from tests.serving import serving_http
from tests.support.http_server import HttpServer

METHOD = "/vermilion.v1.CertificateAuthority/"
RULES: rpc.Rules = {METHOD + "ListCertificates": frozenset({"operator"}), METHOD + "Revoke": frozenset({"operator", "service:signer"})}


class _Servicer(ca_pb2_grpc.CertificateAuthorityServicer):
    async def ListCertificates(self, request: Any, context: Any) -> Any:
        record = ca_pb2.CertificateRecord(subject=rpc.caller().uri)
        return ca_pb2.ListCertificatesResponse(certificates=[record])

    async def Revoke(self, request: Any, context: Any) -> Any:
        raise RuntimeError("a fault whose text must stay inside")

    async def Issue(self, request: Any, context: Any) -> Any:
        raise AssertionError("a method without a rule was reached")


@pytest.fixture
def ca(tmp_path: Path) -> InfrastructureCa:
    return InfrastructureCa(tmp_path / "pki")


@pytest.fixture
def crl_url(ca: InfrastructureCa) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = ca.crl()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HttpServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/infrastructure.crl"
        server.shutdown()


@pytest.fixture
def watch(ca: InfrastructureCa, crl_url: str, tmp_path: Path) -> CrlWatch:
    tls = ca.identity("server", "https://vermilion.internal/service/ca").model_copy(
        update={"crl_urls": (crl_url,), "crl_cache": tmp_path / "cache.crl"}
    )
    return CrlWatch(tls, SystemClock())


@pytest.fixture
def target(ca: InfrastructureCa, watch: CrlWatch, free_port: Callable[[], int]) -> Iterator[str]:
    address, started, loop = f"127.0.0.1:{free_port()}", Future[None](), asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        server = rpc.server(ca.identity("server", "https://vermilion.internal/service/ca"), RULES, watch, target=address)
        ca_pb2_grpc.add_CertificateAuthorityServicer_to_server(_Servicer(), server)
        await server.start()
        started.set_result(None)
        await done.wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.result(10)
    yield address
    loop.call_soon_threadsafe(done.set)
    thread.join()


def _call(target: str, tls: TlsSettings, method: str = "ListCertificates") -> Any:
    request = {"ListCertificates": ca_pb2.ListCertificatesRequest, "Revoke": ca_pb2.RevokeRequest, "Issue": ca_pb2.IssueRequest}[method]()
    with rpc_client.channel(target, tls) as channel:
        try:
            return getattr(ca_pb2_grpc.CertificateAuthorityStub(channel), method)(request, timeout=10)
        except grpc.RpcError as fault:
            raise from_rpc_error(fault) from None


def _code(target: str, tls: TlsSettings, method: str = "ListCertificates") -> Code:
    with pytest.raises(VermilionError) as refusal:
        _call(target, tls, method)
    assert "must stay inside" not in str(refusal.value)
    return refusal.value.code


def test_a_listed_caller_is_known_by_its_uri(target: str, ca: InfrastructureCa) -> None:
    answer = _call(target, ca.identity("operator", "https://vermilion.internal/operator/desk"))
    assert answer.certificates[0].subject == "https://vermilion.internal/operator/desk"


def test_everyone_else_is_refused(target: str, ca: InfrastructureCa) -> None:
    assert _code(target, ca.identity("client", "https://vermilion.internal/client/1")) is Code.PERMISSION_DENIED
    assert _code(target, ca.identity("signer", "https://vermilion.internal/service/signer")) is Code.PERMISSION_DENIED
    assert _code(target, ca.identity("stray", "urn:example:other")) is Code.PERMISSION_DENIED
    assert _code(target, ca.identity("nameless", None)) is Code.UNAUTHENTICATED


def test_a_method_without_a_rule_is_closed_to_all(target: str, ca: InfrastructureCa) -> None:
    assert _code(target, ca.identity("operator", "https://vermilion.internal/operator/desk"), "Issue") is Code.PERMISSION_DENIED


def test_a_fault_leaves_as_internal_without_its_text(target: str, ca: InfrastructureCa) -> None:
    assert _code(target, ca.identity("operator", "https://vermilion.internal/operator/desk"), "Revoke") is Code.INTERNAL


def test_a_revoked_certificate_is_refused_on_an_open_connection(target: str, ca: InfrastructureCa, watch: CrlWatch) -> None:
    tls = ca.identity("operator", "https://vermilion.internal/operator/desk")
    with rpc_client.channel(target, tls) as channel:
        stub = ca_pb2_grpc.CertificateAuthorityStub(channel)
        stub.ListCertificates(ca_pb2.ListCertificatesRequest(), timeout=10)
        ca.revoked.append(ca.serial(tls))
        assert watch.refresh()
        with pytest.raises(grpc.RpcError) as refusal:
            stub.ListCertificates(ca_pb2.ListCertificatesRequest(), timeout=10)
    assert from_rpc_error(refusal.value).code is Code.CERTIFICATE_REVOKED


def test_another_ca_opens_no_connection(target: str, ca: InfrastructureCa, tmp_path: Path) -> None:
    foreign = InfrastructureCa(tmp_path / "foreign").identity("operator", "https://vermilion.internal/operator/desk")
    theirs = foreign.model_copy(update={"trust_file": ca.identity("x", "urn:x").trust_file})
    assert _code(target, theirs) is Code.SERVICE_UNAVAILABLE


def test_without_a_current_crl_nobody_is_let_in(ca: InfrastructureCa, tmp_path: Path) -> None:
    tls = ca.identity("server", "https://vermilion.internal/service/ca").model_copy(
        update={"crl_urls": ("http://127.0.0.1:9/none.crl",), "crl_cache": tmp_path / "none.crl"}
    )
    with pytest.raises(VermilionError) as refusal:
        CrlWatch(tls, SystemClock()).is_revoked(1)
    assert refusal.value.code is Code.REVOCATION_UNAVAILABLE


def test_https_knows_the_caller_and_refuses_the_nameless(ca: InfrastructureCa, watch: CrlWatch, free_port: Callable[[], int]) -> None:
    def who(request: Request) -> JSONResponse:
        return JSONResponse({"uri": peer(request, frozenset({"operator"}), watch).uri})

    app = Starlette(routes=[Route("/who", who)])
    install_errors(app)

    port = free_port()
    with serving_http(HttpEndpoint(app, Listen(port=port), ca.identity("https", "https://vermilion.internal/service/workflow"))):
        url = f"https://127.0.0.1:{port}/who"
        operator = ca.identity("operator", "https://vermilion.internal/operator/desk")
        assert httpx.get(url, verify=client_context(operator)).json() == {"uri": "https://vermilion.internal/operator/desk"}
        refused = httpx.get(url, verify=client_context(ca.identity("nameless", None)))
        assert (refused.status_code, refused.json()["code"]) == (401, Code.UNAUTHENTICATED)
        assert refused.headers["content-type"] == "application/problem+json"


def test_an_error_crosses_the_wire_whole() -> None:
    error = VermilionError(Code.DOCUMENT_ENCRYPTED, "it asks for a password", document="a.pdf")
    assert from_message(to_message(error)).as_dict() == error.as_dict()
