"""The gRPC door for strangers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import jsonschema
import pytest

from protos.vermilion.v1 import verify_pb2, verify_pb2_grpc
from sealcore.clock import FixedClock
from sealcore.errors import VermilionError
from sealcore.platform.rpc.errors import from_rpc_error
from tests.pki import InfrastructureCa
from tests.support.ports import free_port
from tests.verify.conftest import RunningService, running
from tests.verify.office import NOW, Office, page_document
from verify.app import build
from verify.report import schema
from verify.settings import VerifySettings


@pytest.fixture
def stub(service: RunningService) -> Iterator[verify_pb2_grpc.VerifierStub]:
    with grpc.insecure_channel(service.rpc_target) as channel:
        yield verify_pb2_grpc.VerifierStub(channel)


def test_a_document_in_chunks_gets_one_report(stub: verify_pb2_grpc.VerifierStub, service: RunningService, office: Office) -> None:
    sealed = office.sign(page_document(pages=4))
    service.log.publish(sealed.entry())
    answer = stub.Verify(_chunks("contract.pdf", sealed.data))
    report = json.loads(answer.report_json)
    jsonschema.validate(report, schema())
    assert answer.verdict == report["verdict"] == "valid" and report["document"] == "contract.pdf"


def test_the_language_is_chosen_by_metadata(stub: verify_pb2_grpc.VerifierStub) -> None:
    answer = stub.Verify(_chunks("x.pdf", page_document()), metadata=(("accept-language", "zh-CN"),))
    assert json.loads(answer.report_json)["sentence"].startswith("无法判定")


def test_no_document_at_all_is_an_unreadable_one(stub: verify_pb2_grpc.VerifierStub) -> None:
    assert stub.Verify(iter(())).verdict == "unreadable"


def test_a_document_beyond_the_limit_is_refused_with_its_code(stub: verify_pb2_grpc.VerifierStub, service: RunningService) -> None:
    too_large = bytes(service.settings.limits.document_bytes + 1)
    with pytest.raises(grpc.RpcError) as fault:
        stub.Verify(_chunks("big.pdf", too_large))
    assert from_rpc_error(fault.value).code == "DOCUMENT_TOO_LARGE"


def test_with_tls_a_stranger_needs_no_certificate(office: Office, tmp_path: Path) -> None:
    tls = InfrastructureCa(tmp_path / "ca").identity("verify", "https://vermilion.internal/service/verify")
    settings = _settings(office, tmp_path, rpc_tls={"key_file": tls.key_file, "certificate_file": tls.certificate_file})
    with running(build(settings, clock=FixedClock(NOW))):
        target = settings.listen_rpc.target
        credentials = grpc.ssl_channel_credentials(tls.trust_file.read_bytes())
        options = (("grpc.ssl_target_name_override", "localhost"),)
        with grpc.secure_channel(target, credentials, options) as channel:
            assert verify_pb2_grpc.VerifierStub(channel).Verify(_chunks("x.pdf", b"junk")).verdict == "unreadable"


def test_plain_text_beyond_this_machine_is_refused_at_start(office: Office, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rpc_tls"):
        _settings(office, tmp_path, listen_rpc={"host": "0.0.0.0", "port": 9})


def test_trust_that_cannot_be_used_is_refused_at_start(office: Office, tmp_path: Path) -> None:
    settings = _settings(office, tmp_path)
    settings.trust.seals_file.write_bytes(Office().seals.identity.pem)
    with pytest.raises(VermilionError) as refused:
        build(settings, clock=FixedClock(NOW))
    assert refused.value.code == "CONFIGURATION_INVALID"


def _settings(office: Office, folder: Path, **more: object) -> VerifySettings:
    for name, authority in (("root", office.root), ("seals", office.seals)):
        (folder / f"{name}.pem").write_bytes(authority.identity.pem)
    return VerifySettings.model_validate(
        {
            "listen_http": {"port": free_port()},
            "listen_rpc": {"port": free_port()},
            "trust": {"root_file": folder / "root.pem", "seals_file": folder / "seals.pem"},
            **more,
        }
    )


def _chunks(name: str, data: bytes) -> Iterator[verify_pb2.VerifyRequest]:
    yield verify_pb2.VerifyRequest(name=name)
    for at in range(0, len(data), 1_000_000):
        yield verify_pb2.VerifyRequest(data=data[at : at + 1_000_000])
