"""Who may call what: every method has a rule, and neither the workflow nor an operator can seal."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos.vermilion.v1 import ledger_pb2, signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, operator_uri, service_uri, uuid7
from signer.api.signer_rpc import RULES
from tests.signer.office import document
from tests.signer.station import Station, typed
from tests.support.ports import free_port

WORKFLOW, OPERATOR = service_uri("workflow"), operator_uri("test")


def methods() -> set[str]:
    """Every method of the services that the signer serves."""
    services = [signer_pb2.DESCRIPTOR.services_by_name[name] for name in ("Signer", "Register")]
    services.append(ledger_pb2.DESCRIPTOR.services_by_name["Ledger"])
    return {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    assert set(RULES) == methods()
    assert all(RULES.values())


def test_a_method_without_a_rule_is_nobodys(station: Station) -> None:
    call = station.channel(OPERATOR).unary_unary("/vermilion.v1.Register/Unruled", None, None)
    with pytest.raises(VermilionError) as refused:
        typed(lambda: call(b""))
    assert refused.value.code in {Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED}


@pytest.mark.parametrize("uri", [WORKFLOW, OPERATOR, service_uri("ca"), service_uri("ledger"), service_uri("verify"), "urn:other:x"])
def test_only_clients_seal(station: Station, uri: str) -> None:
    approved = station.office.approve([document("Mine")], sub=uri)
    with pytest.raises(VermilionError) as refused:
        station.seal(approved, uri=uri)
    assert refused.value.code is Code.PERMISSION_DENIED
    with pytest.raises(VermilionError) as refused:
        station.exchange([signer_pb2.SealStreamRequest(open=signer_pb2.SealStreamRequest.Open(token=approved.token))], uri=uri)
    assert refused.value.code is Code.PERMISSION_DENIED


def test_a_client_neither_stops_nor_performs_nor_appends_nor_reads_the_ledger_whole(station: Station) -> None:
    register, ledger = station.register(station.office.client), station.ledger(station.office.client)
    calls = (
        lambda: register.Stop(station.office.stop("seal", station.office.seals["contract"].id)),
        lambda: register.Perform(signer_pb2.PerformRequest(token="x")),
        lambda: ledger.Append(ledger_pb2.AppendRequest(kind="form", idempotency_key="k")),
        lambda: ledger.Head(ledger_pb2.HeadRequest()),
        lambda: list(ledger.Entries(ledger_pb2.EntriesRequest(start=0, end=1))),
    )
    for call in calls:
        with pytest.raises(VermilionError) as refused:
            typed(call)
        assert refused.value.code is Code.PERMISSION_DENIED


def test_a_client_gets_only_what_its_certificate_names(station: Station) -> None:
    approved = station.office.approve([document("Mine")])
    other = client_uri(uuid7())
    with pytest.raises(VermilionError) as refused:
        station.seal(approved, uri=other)
    assert refused.value.code is Code.SUBJECT_MISMATCH
    station.seal(approved)
    for call in (
        lambda: station.seal(approved, uri=other),  # a replay of someone else's token
        lambda: typed(lambda: station.signer(other).ListUses(signer_pb2.ListUsesRequest(jti=approved.claims.jti))),
        lambda: typed(lambda: station.signer(other).Acknowledge(signer_pb2.AcknowledgeRequest(jti=approved.claims.jti, indexes=[0]))),
    ):
        with pytest.raises(VermilionError) as refused:
            call()
        assert refused.value.code in {Code.SUBJECT_MISMATCH, Code.PERMISSION_DENIED}


def test_without_a_certificate_nobody_is_heard(station: Station) -> None:
    credentials = grpc.ssl_channel_credentials(station.identity("urn:x").trust_file.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{station.port}", credentials) as anonymous, pytest.raises(grpc.RpcError) as refused:
        anonymous.unary_unary("/vermilion.v1.Register/ListSeals", None, None)(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE  # TLS ends before any method


def test_refusals_over_the_wire_carry_code_rule_document_and_way_out(station: Station) -> None:
    approved = station.office.approve([document("Mine")])
    item = approved.items[0]
    item.document += b"%"
    with pytest.raises(VermilionError) as refused:
        station.seal(approved, item=item)
    error = refused.value
    assert (error.code, error.document) == (Code.DOCUMENT_MISMATCH, "d0.pdf")
    assert error.rule
    assert error.way_out


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_stream_without_a_proper_token_ends_at_once(station: Station, token: str) -> None:
    expected = Code.TOKEN_MALFORMED if token else Code.TOKEN_MISSING
    with pytest.raises(VermilionError) as refused:
        station.stream(token, [])
    assert refused.value.code is expected
    with pytest.raises(VermilionError) as refused:
        station.exchange([])
    assert refused.value.code is Code.TOKEN_MISSING


def test_an_expired_token_is_refused_item_by_item(station: Station) -> None:
    approved = station.office.approve([document("Late")], nbf=1, exp=2)
    results = station.stream(approved.token, approved.items)
    assert results.refused[0].code is Code.TOKEN_EXPIRED


def test_health_and_reflection_answer_known_callers(station: Station) -> None:
    channel = station.channel(OPERATOR)
    status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="vermilion.v1.Signer")).status
    assert status == health_pb2.HealthCheckResponse.SERVING
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
    assert {"vermilion.v1.Signer", "vermilion.v1.Register", "vermilion.v1.Ledger"} <= {
        one.name for one in answer.list_services_response.service
    }


def test_keys_are_listed_with_purpose_and_never_extractable(station: Station) -> None:
    keys = typed(lambda: station.register().ListKeys(signer_pb2.ListKeysRequest())).keys
    assert {"seal.contract.1", "seal.invoice.1", "tsa.signer.1"} <= {key.label for key in keys}
    assert all(key.sensitive and not key.extractable and key.purpose and key.owner for key in keys)


def test_metrics_are_served_where_a_port_is_given(sqlite_station: Callable[..., Station]) -> None:
    metrics = free_port()
    station = sqlite_station(metrics={"port": metrics})
    station.forked = False  # here as it is started in service
    with station.running():
        station.seal(station.office.approve([document("Counted")]))
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    assert 'vermilion_signer_documents_total{code="sealed",worker="bulk-0"} 1.0' in text
    assert 'vermilion_signer_stage_seconds_count{stage="sign",worker="bulk-0"} 1.0' in text
