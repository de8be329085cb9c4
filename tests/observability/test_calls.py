"""A call over gRPC or HTTP carries its request id and its trace, is counted, and waits for a service that is coming back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform import log, tracing
from sealcore.platform.config import Listen, TlsSettings
from sealcore.platform.http import HttpEndpoint, install_errors
from sealcore.platform.http_client import client_context, request_headers
from sealcore.platform.metrics import CallMetrics, HttpMetrics, exposition
from sealcore.platform.rpc import client as rpc_client
from sealcore.platform.rpc import server as rpc
from sealcore.platform.tracing import TracingSettings
from tests.observability.collector import collecting
from tests.pki import InfrastructureCa
from tests.serving import Serving
from tests.support.waiting import until

SERVICE = "/vermilion.v1.Signer/"
RULES: rpc.Rules = {SERVICE + name: frozenset({"client"}) for name in ("Seal", "SealStream", "ListUses")}


class _Signer(signer_pb2_grpc.SignerServicer):
    """Answers with the request id that its code sees."""

    async def ListUses(self, request: Any, context: Any) -> Any:
        if request.jti == "refused":
            raise VermilionError(Code.NOT_FOUND, "there is no such token")
        with tracing.span("work"):
            return signer_pb2.ListUsesResponse(uses=[signer_pb2.Use(state=log.request_id())])

    async def SealStream(self, request_iterator: Any, context: Any) -> Any:
        async for _ in request_iterator:
            refusal = signer_pb2.Refused(error={"code": "INTERNAL", "reason": log.request_id()})
            yield signer_pb2.SealStreamResponse(results={"refused": [refusal]})


@dataclass
class Server:
    """A service over mTLS that can be killed and started again on its port."""

    ca: InfrastructureCa
    port: int
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.metrics = CallMetrics(self.registry, "rpc")

    @property
    def target(self) -> str:
        return f"localhost:{self.port}"

    def start(self) -> None:
        tls = self.ca.identity("server", "https://vermilion.internal/service/signer")
        add = partial(signer_pb2_grpc.add_SignerServicer_to_server, _Signer())
        self._serving = Serving(tls, RULES, self.port, add, metrics=self.metrics)

    def kill(self) -> None:
        self._serving.close()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> InfrastructureCa:
    return InfrastructureCa(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def client(ca: InfrastructureCa) -> TlsSettings:
    return ca.identity("client", "https://vermilion.internal/client/erp")


@pytest.fixture
def server(ca: InfrastructureCa, free_port: Callable[[], int]) -> Iterator[Server]:
    one = Server(ca, free_port())
    one.start()
    yield one
    one.kill()


@pytest.fixture
def channel(server: Server, client: TlsSettings) -> Iterator[grpc.Channel]:
    with rpc_client.channel(server.target, client) as one:
        yield one


def uses(channel: grpc.Channel, jti: str = "", *, repeatable: bool = True) -> str:
    """The request id that the service saw."""
    stub = signer_pb2_grpc.SignerStub(channel)
    answer = rpc_client.call(channel, stub.ListUses, signer_pb2.ListUsesRequest(jti=jti), timeout_s=30, repeatable=repeatable)
    return str(answer.uses[0].state)


def test_the_service_works_under_the_callers_request_id(channel: grpc.Channel) -> None:
    with log.request("from-the-command-line"):
        assert uses(channel) == "from-the-command-line"
        stub = signer_pb2_grpc.SignerStub(channel)
        messages = [signer_pb2.SealStreamRequest(open={"token": "x"})] * 2
        seen = [answer.results.refused[0].error.reason for answer in stub.SealStream(iter(messages), timeout=30)]
    assert seen == ["from-the-command-line"] * 2
    assert len(uses(channel)) == 36  # nobody named one: the service did


def test_a_refusal_names_the_request(channel: grpc.Channel) -> None:
    with pytest.raises(VermilionError) as refused, log.request("mine"):
        uses(channel, "refused")
    assert (refused.value.code, refused.value.request_id) == (Code.NOT_FOUND, "mine")
    with pytest.raises(VermilionError) as unnamed:
        uses(channel, "refused")
    assert unnamed.value.request_id is not None
    assert len(unnamed.value.request_id) == 36


def test_calls_are_counted_by_method_and_by_how_they_ended(server: Server, channel: grpc.Channel) -> None:
    uses(channel)
    uses(channel)
    with pytest.raises(VermilionError):
        uses(channel, "refused")
    while "vermilion_rpc_open 0.0" not in (told := exposition(server.registry.collect()).decode()):
        continue  # the client hears of its refusal before the call is over
    assert 'vermilion_rpc_calls_total{code="OK",method="Signer/ListUses"} 2.0' in told
    assert 'vermilion_rpc_calls_total{code="NOT_FOUND",method="Signer/ListUses"} 1.0' in told
    assert 'vermilion_rpc_seconds_count{method="Signer/ListUses"} 3.0' in told


def test_a_call_and_the_work_on_it_are_one_trace(server: Server, client: TlsSettings) -> None:
    with collecting() as collector:
        tracing.start("test", TracingSettings(endpoint=collector.endpoint))
        try:
            with rpc_client.channel(server.target, client) as channel, tracing.span("caller"):
                uses(channel)
        finally:
            tracing.stop()
        caller, call, work = (collector.named(name) for name in ("caller", "Signer/ListUses", "work"))
        assert (call.parent, work.parent) == (caller.id, call.id)
        assert caller.trace == call.trace == work.trace


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_service_that_starts_again_is_waited_for(server: Server, channel: grpc.Channel, repeatable: bool) -> None:
    uses(channel)
    for _ in range(3):
        server.kill()
        server.start()
        uses(channel, repeatable=repeatable)


def test_a_service_that_comes_back_a_little_later_is_waited_for(server: Server, channel: grpc.Channel) -> None:
    uses(channel)
    server.kill()
    with pytest.raises(VermilionError) as away:  # its channel now pauses between attempts
        uses(channel)
    assert away.value.code is Code.SERVICE_UNAVAILABLE
    back = threading.Timer(0.5, server.start)
    back.start()
    uses(channel)
    back.join()


@pytest.fixture
def website(ca: InfrastructureCa, free_port: Callable[[], int]) -> Iterator[tuple[str, CollectorRegistry]]:
    """An HTTPS service that answers with the request id that its code sees."""
    registry, port = CollectorRegistry(), free_port()

    def form(request: Request) -> JSONResponse:
        if request.path_params["number"] == "broken":
            raise RuntimeError("a text that must stay inside")
        return JSONResponse({"seen": log.request_id()})

    app = Starlette(routes=[Route("/forms/{number}", form)])
    install_errors(app)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    tls = ca.identity("server", "https://vermilion.internal/service/workflow")
    endpoint = HttpEndpoint(app, Listen(port=port), tls, metrics=HttpMetrics(registry))
    asyncio.run_coroutine_threadsafe(endpoint.start(), loop).result(30)
    yield f"https://localhost:{port}", registry
    asyncio.run_coroutine_threadsafe(endpoint.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_http_carries_the_request_id_and_counts_by_route(website: tuple[str, CollectorRegistry], client: TlsSettings) -> None:
    url, registry = website
    with httpx.Client(base_url=url, verify=client_context(client), trust_env=False, timeout=60) as http, log.request("mine"):
        for number in ("A-1", "A-2"):
            answer = http.get(f"/forms/{number}", headers=request_headers())
            assert (answer.json()["seen"], answer.headers["X-Request-Id"]) == ("mine", "mine")
        http.get("/a/strangers/path")
        fault = http.get("/forms/broken", headers=request_headers())
        assert (fault.status_code, fault.json()["request_id"]) == (500, "mine")
        assert "must stay inside" not in fault.text
    until(lambda: registry.get_sample_value("vermilion_http_open") == 0)  # the last answer came before its call had ended
    told = exposition(registry.collect()).decode()
    assert 'vermilion_http_calls_total{code="200",method="GET /forms/{number}"} 2.0' in told
    assert 'vermilion_http_calls_total{code="500",method="GET /forms/{number}"} 1.0' in told
    assert 'vermilion_http_calls_total{code="404",method="other"} 1.0' in told
    assert "strangers" not in told
