"""What the mTLS identity of a service opens, for whoever has taken it over: its own methods, and none of them for what is another's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import grpc
import httpx
import pytest
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message

from protos.vermilion.v1 import ca_pb2, ledger_pb2
from sealcore.platform.http_client import client_context
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from sealcore.protocol.ledger_entry import EntryKind
from tests.ca.office import software_request
from tests.conftest import REPOSITORY
from tests.system.conftest import Up
from vermilion.remote.workflow_client import tls_of
from vermilion.state.layout import Layout

pytestmark = pytest.mark.xdist_group("office")

OPENS: Final = {
    "signer": {"CertificateAuthority": {"Issue"}},
    "ocsp": {"CertificateAuthority": {"Issue"}},
    "ca": {"Register": {"ListSeals", "ListPeople"}, "Ledger": {"Append"}},
    "workflow": {
        "CertificateAuthority": {"Perform", "CheckAct"},
        "Register": {"ListSeals", "GetSeal", "GetPicture", "ListPeople", "ListKeys", "ListGrants", "Stop", "Perform", "CheckAct"},
        "Ledger": {"Append", "Find"},
    },
    "ledger": {"Ledger": {"Head", "Entries"}},
    "verify": {"Ledger": {"Head", "Find"}},
}
"""Beside `Renew`, which is everybody's: one's own certificate, with one's own URI. Timestamp service and witness have no identity at all."""
WRITES: Final = {"workflow": {"form", "audit", "impression", "rehearsal"}, "ca": {"certificate", "revocation"}}
PORTS: Final = {"CertificateAuthority": "ca", "Signer": "signer", "Register": "signer", "Ledger": "signer"}


@pytest.fixture(scope="module")
def lines(up: Up) -> Iterator[dict[tuple[str, str], grpc.Channel]]:
    """A channel for each identity to each port."""
    layout = Layout.at(up.demo.state)
    made = {(name, port): channel(f"127.0.0.1:{up.ports[port]}", tls_of(layout, name)) for name in OPENS for port in set(PORTS.values())}
    yield made
    for line in made.values():
        line.close()


def test_every_identity_of_a_service_is_tried(up: Up) -> None:
    bundles = {folder.name for folder in (up.demo.state / "tls").iterdir() if folder.is_dir()}
    assert bundles - {"operator", "demo-backend"} == set(OPENS)


@pytest.mark.parametrize("name", OPENS)
def test_an_identity_opens_its_own_methods_and_no_others(up: Up, lines: dict[tuple[str, str], grpc.Channel], name: str) -> None:
    opened: dict[str, set[str]] = {}
    for service in _services():
        for method in service.methods:
            kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
            call = getattr(lines[name, PORTS[service.name]], kind)(f"/{service.full_name}/{method.name}")
            if not _is_shut(call, iter([b""]) if method.client_streaming else b"", answers=method.server_streaming):
                opened.setdefault(service.name, set()).add(method.name)
    opened["CertificateAuthority"].remove("Renew")
    assert {service: methods for service, methods in opened.items() if methods} == OPENS[name]
    with httpx.Client(
        base_url=f"https://127.0.0.1:{up.ports['workflow']}", verify=client_context(tls_of(Layout.at(up.demo.state), name))
    ) as workflow:
        described = workflow.get("/openapi.json")
        asked = [workflow.get(path).status_code for path in ("/v1/forms", "/v1/people", "/v1/clients", "/v1/seals", "/v1/refused")]
    assert set(asked) == {403} and described.status_code in (200, 403)


@pytest.mark.parametrize("name", WRITES)
def test_a_service_writes_no_entry_of_anothers_kind(lines: dict[tuple[str, str], grpc.Channel], name: str) -> None:
    for kind in {*map(str, EntryKind)} - WRITES[name]:
        entry = ledger_pb2.AppendRequest(kind=kind, subject_sha256=bytes(32), idempotency_key=f"forged {kind}")
        assert _code(lines[name, "signer"], "Ledger/Append", entry) == "PERMISSION_DENIED", kind


@pytest.mark.parametrize("name", ["signer", "ocsp"])
def test_no_service_has_a_key_certified_that_lies_elsewhere(lines: dict[tuple[str, str], grpc.Channel], name: str) -> None:
    """Not as a seal or a responder, and not as a service, client or operator either."""
    profiles = [
        line.strip("[]\n") for line in (REPOSITORY / "ca/issuance/profiles.toml").read_text("utf-8").splitlines() if line[:1] == "["
    ]
    assert {"seal", "tsa", "ocsp", "service", "client", "operator", "root", "issuing"} <= set(profiles)
    request = software_request((NameOID.COMMON_NAME, "forged"))
    for profile in profiles:
        for uri in ("", f"https://vermilion.internal/service/{name}"):
            asked = ca_pb2.IssueRequest(profile=profile, request=request, subject_uri=uri)
            assert _code(lines[name, "ca"], "CertificateAuthority/Issue", asked) == "PERMISSION_DENIED", (profile, uri)


def _services() -> list[Any]:
    modules = [import_module(f"protos.vermilion.v1.{name}_pb2") for name in ("ca", "signer", "ledger")]
    return [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]


def _is_shut(call: Any, sent: Any, *, answers: bool) -> bool:
    """Whether the list of callers keeps this one out; what is refused for what was sent is open."""
    try:
        answer = call(sent, timeout=30)
        if answers:
            list(answer)
    except grpc.RpcError as fault:
        return "may not call this method" in (fault.details() or "")
    return False


def _code(line: grpc.Channel, method: str, sent: Message) -> str:
    try:
        line.unary_unary(f"/vermilion.v1.{method}", None, None)(sent.SerializeToString(), timeout=30)
    except grpc.RpcError as fault:
        return str(from_rpc_error(fault).code)
    return "it was done"
