"""Garbage against every interface of a running office: each answer is typed, tells nothing of the inside, and leaves no traceback.

Nothing is listed by hand that could be forgotten: ports come from the launcher's table, paths from the sources, operations from the
workflow's own description, methods from the protos.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from google.protobuf.message_factory import GetMessageClass

from sealcore.platform.http_client import client_context
from sealcore.platform.rpc import ERROR_METADATA
from sealcore.platform.rpc.client import channel
from tests.ca.office import software_request
from tests.cli.garbage import Garbage
from tests.cli.running import RunningOffice
from timestamp.client.question import Question
from vermilion.remote.workflow_client import tls_of
from vermilion.services import SERVICES

ROOT: Final = Path(__file__).resolve().parents[2]
RPC_PORTS: Final = {"ca": ("CertificateAuthority",), "signer": ("Signer", "Register", "Ledger"), "verify_rpc": ("Verifier",)}
REST_PORT: Final = "workflow"
SOURCES: Final = {"ca_http": "ca", "ocsp": "ca/ocsp", "timestamp": "timestamp", "ledger": "ledger", "witness": "ledger", "verify": "verify"}
MONITORING: Final = "_metrics"
FAULTS: Final = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.DATA_LOSS)
INSIDE: Final = re.compile(rb"Traceback|site-packages|sqlalchemy|psycopg|sqlite3|google\.protobuf|\.py\b", re.IGNORECASE)
HUNG_S: Final = 30.0  # nothing waits so long: what answers garbage later than this hangs
PORTS: Final = sorted(port for service in SERVICES for port in service.ports)
HTTP_PORTS: Final = [port for port in PORTS if port not in (*RPC_PORTS, REST_PORT)]


@pytest.fixture(autouse=True)
def no_traceback(office: RunningOffice) -> Iterator[None]:
    """No log has more tracebacks afterwards than before."""
    before = _tracebacks(office)
    yield
    assert _tracebacks(office) == before


def _tracebacks(office: RunningOffice) -> dict[str, int]:
    logs = sorted(office.layout.state.glob("log/*.log"))
    return {log.name: log.read_text("utf-8", "replace").count("Traceback") for log in logs}


def test_every_port_is_of_a_kind_that_is_tried() -> None:
    assert set(HTTP_PORTS) == {*SOURCES, *(port for port in PORTS if port.endswith(MONITORING))}
    assert {name for names in RPC_PORTS.values() for name in names} == {one.name for one in _services()}


@pytest.mark.parametrize("port", HTTP_PORTS)
def test_garbage_over_http(office: RunningOffice, port: str) -> None:
    garbage, paths = Garbage(7), _paths(port)
    body, kind = _well_formed(office, port)
    for _ in range(80):
        request = garbage.request(garbage.random.choice(paths), body, kind)
        _judge(_ask(office.office.ports[port], request), request, readiness=port.endswith(MONITORING))


@pytest.mark.parametrize("caller", ["operator", "demo-backend"])
def test_garbage_over_rest(office: RunningOffice, caller: str) -> None:
    garbage, context = Garbage(8), client_context(tls_of(office.layout, caller))
    with httpx.Client(base_url=office.office.url("workflow", scheme="https"), verify=context) as client:
        described = client.get("/openapi.json").json()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            example = _example(described, operation)
            for _ in range(5):
                body = garbage.json(example) if garbage.random.random() < 0.8 else garbage.mutant(b"{}")
                request = garbage.request(re.sub(r"{\w+}", "DEMO-2026-000001", path), body, "application/json")
                _judge(_ask(office.office.ports["workflow"], request, context), request)


@pytest.mark.parametrize("caller", ["operator", "demo-backend", "workflow"])
@pytest.mark.parametrize("port", sorted(RPC_PORTS))
def test_garbage_over_grpc(office: RunningOffice, port: str, caller: str) -> None:
    garbage, known = (
        Garbage(9),
        (software_request((NameOID.COMMON_NAME, "x")), b"%PDF-1.7", b"DEMO-2026-000001", b"eyJhbGciOiJFUzI1NiJ9.e30.AA"),
    )
    target = office.office.listen(port).target
    with closing(grpc.insecure_channel(target) if port == "verify_rpc" else channel(target, tls_of(office.layout, caller))) as line:
        for method in (method for service in _services() if service.name in RPC_PORTS[port] for method in service.methods):
            kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
            call = getattr(line, kind)(f"/{method.containing_service.full_name}/{method.name}")
            for _ in range(10):
                sent = [garbage.message(GetMessageClass(method.input_type)(), known) for _ in range(garbage.random.choice((1, 1, 3)))]
                fault = _refusal(call, iter(sent) if method.client_streaming else sent[0], answers=method.server_streaming)
                if fault is not None:
                    told = dict(fault.trailing_metadata() or ())
                    assert fault.code() not in FAULTS and ERROR_METADATA in told, (method.full_name, sent, fault)
                    assert INSIDE.search(str(fault.details()).encode()) is None, (method.full_name, sent, fault)


def _refusal(call: Any, sent: Any, *, answers: bool) -> Any:
    try:
        answer = call(sent, timeout=HUNG_S)
        if answers:
            list(answer)
    except grpc.RpcError as fault:
        return fault
    return None


def _services() -> list[Any]:
    """Every service of the protos."""
    modules = [import_module(f"protos.vermilion.v1.{path.stem}_pb2") for path in sorted((ROOT / "protos/vermilion/v1").glob("*.proto"))]
    return [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]


def _paths(port: str) -> list[str]:
    """The paths of what listens there, as its sources name them, with something in the place of what varies."""
    folder = ROOT / ("sealcore" if port.endswith(MONITORING) else SOURCES[port])
    found = [path for source in sorted(folder.rglob("*.py")) for path in re.findall(r'Route\(\s*f?"([^"]+)"', source.read_text("utf-8"))]
    filled = [re.sub(r"{[^}]*}", one, path) for path in found for one in ("seals", "0/000", "checkpoint")]
    return [*(filled or ["/"]), "/", "/ocsp", "/ocsp/seals"]


def _well_formed(office: RunningOffice, port: str) -> tuple[bytes, str]:
    """A body that makes sense there, and its media type."""
    if port == "timestamp":
        return Question(bytes(32)).encoded(), "application/timestamp-query"
    if port == "witness":
        return (office.layout.service("ledger") / "public" / "checkpoint").read_bytes(), "text/plain"
    if port == "verify":
        pdf = (ROOT / "examples/documents/letter-signed-by-supplier.pdf").read_bytes()
        head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        return head + pdf + b"\r\n--B--\r\n", "multipart/form-data; boundary=B"
    issuer = x509.load_pem_x509_certificate((office.layout.pki / "infrastructure.pem").read_bytes())
    own = x509.load_pem_x509_certificates((office.layout.tls("operator") / "cert.pem").read_bytes())[0]
    return ocsp.OCSPRequestBuilder().add_certificate(own, issuer, SHA1()).build().public_bytes(Encoding.DER), "application/ocsp-request"


def _example(described: dict[str, Any], operation: dict[str, Any]) -> Any:
    """A value for an operation's body, from its schema; what it means is not said."""
    try:
        return _value(described, operation["requestBody"]["content"]["application/json"]["schema"])
    except KeyError:
        return {}


def _value(described: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(described, described["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _value(described, schema[choice][0])
    if schema.get("type") == "object":
        return {name: _value(described, each) for name, each in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [_value(described, schema.get("items", {}))]
    of_type = {"integer": 1, "boolean": True, "null": None}
    return schema.get("const", schema.get("default", schema.get("enum", [of_type.get(schema.get("type", ""), "contract")])[0]))


def _ask(port: int, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Everything that comes back until the other side closes."""
    plain = socket.create_connection(("127.0.0.1", port), HUNG_S)
    with plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        received: list[bytes] = []
        with suppress(BrokenPipeError):  # it has answered before it had the whole body
            connection.sendall(request)
        with suppress(ConnectionResetError):
            while data := connection.recv(65_536):
                received.append(data)
    return b"".join(received)


def _judge(answer: bytes, request: bytes, *, readiness: bool = False) -> None:
    """An answer of HTTP that blames nobody's fault but the sender's; a service may say that it is not ready."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12]
    assert status.isdigit(), (request[:1000], answer[:300])
    assert not status.startswith(b"5") or (readiness and b"not ready" in body), (request[:1000], answer[:600])
    assert INSIDE.search(body) is None or status == b"200", (request[:1000], answer[:600])
