"""Certificates renew themselves at the running CA: with a new key, the same names and nothing more, and without a restart."""

from __future__ import annotations

import shutil
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, generate_latest

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.clock import FixedClock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import identity, renewal
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from tests.ca import running as services
from tests.ca.running import Running
from tests.sealcore.serials import served_serial
from tests.support.waiting import until
from vermilion.operation.client_renewal import ClientRenewal
from vermilion.state.layout import Layout

running = services.running  # a CA of this module's own


@dataclass(frozen=True)
class Holder:
    """An identity in a folder of its own."""

    tls: TlsSettings
    target: str

    @property
    def certificate(self) -> x509.Certificate:
        return identity.read(self.tls).certificate

    def ask(self, request: bytes) -> x509.Certificate:
        """What the CA answers to this request; raises the typed refusal."""
        with channel(self.target, self.tls) as line:
            try:
                answer = ca_pb2_grpc.CertificateAuthorityStub(line).Renew(ca_pb2.RenewRequest(request=request), timeout=30)
            except grpc.RpcError as fault:
                raise from_rpc_error(fault) from None
        return x509.load_der_x509_certificate(answer.certificate)


@pytest.fixture
def holder(running: Running, tmp_path: Path) -> Callable[[str], Holder]:
    """Copies an identity of the running CA into a folder of its own."""

    def make(name: str) -> Holder:
        folder = tmp_path / "tls" / name
        folder.mkdir(parents=True)
        source = running.identities[name]
        files = {"key_file": "key.pem", "certificate_file": "cert.pem", "trust_file": "trust.pem"}
        for field, file in files.items():
            shutil.copy(getattr(source, field), folder / file)
        return Holder(TlsSettings.model_validate({field: folder / file for field, file in files.items()}), running.rpc)

    return make


def request_for(names: list[x509.GeneralName] | None, *, common_name: str | None = None, key: Any = None) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def refused(code: Code, call: Callable[[], object]) -> VermilionError:
    with pytest.raises(VermilionError) as refusal:
        call()
    assert refusal.value.code is code, refusal.value
    return refusal.value


def test_the_ca_renews_its_own_certificate_under_load_and_keeps_running(running: Running) -> None:
    own, operator = running.identities["ca"], running.identities["operator"]
    before, failures, ended = identity.read(own).certificate, list[Exception](), threading.Event()
    stub = running.stub("operator")

    def load() -> None:
        while not ended.is_set():
            try:
                stub.ListCertificates(ca_pb2.ListCertificatesRequest(profile="ocsp"), timeout=30)
            except Exception as fault:  # noqa: BLE001  (every kind counts)
                failures.append(fault)

    callers = [threading.Thread(target=load) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        after = renewal.renew(own, running.rpc, SystemClock())
        until(lambda: served_serial(running.rpc, operator) == after.serial_number)
    finally:
        ended.set()
        for caller in callers:
            caller.join()
    assert not failures
    assert running.process.poll() is None, "the process that was started still runs"
    assert after.serial_number != before.serial_number and after.public_key() != before.public_key()
    assert after.subject == before.subject
    san = x509.SubjectAlternativeName
    assert after.extensions.get_extension_for_class(san).value == before.extensions.get_extension_for_class(san).value
    assert stat.S_IMODE(own.key_file.stat().st_mode) == 0o600
    stub.ListCertificates(ca_pb2.ListCertificatesRequest(profile="ocsp"), timeout=30)


def test_a_holder_gets_a_successor_for_a_new_key_and_the_same_names_only(holder: Callable[[str], Holder]) -> None:
    client = holder("client")
    present = client.certificate
    uri = x509.UniformResourceIdentifier("https://vermilion.internal/client/test")
    wrong: list[list[x509.GeneralName]] = [
        [x509.UniformResourceIdentifier("https://vermilion.internal/client/another")],
        [x509.UniformResourceIdentifier("https://vermilion.internal/operator/test")],
        [uri, x509.DNSName("ca.vermilion.internal")],
    ]
    for names in wrong:
        refused(Code.PERMISSION_DENIED, lambda names=names: client.ask(request_for(names)))  # type: ignore[misc]
    refused(Code.PERMISSION_DENIED, lambda: client.ask(request_for([uri], common_name="somebody else")))
    old_key = load_pem_private_key(client.tls.key_file.read_bytes(), None)
    refused(Code.CONFLICT, lambda: client.ask(request_for([uri], key=old_key)))
    refused(Code.INVALID_ARGUMENT, lambda: client.ask(b"no request"))
    request = request_for(None)
    successor = client.ask(request)
    assert client.ask(request) == successor, "a repeated call gets the same certificate"
    assert successor.subject == present.subject and successor.serial_number != present.serial_number
    assert successor.not_valid_after_utc - successor.not_valid_before_utc == present.not_valid_after_utc - present.not_valid_before_utc


def test_a_request_that_its_key_did_not_sign_is_refused(holder: Callable[[str], Holder]) -> None:
    client, request = holder("client"), bytearray(request_for(None))
    request[-1] ^= 1
    refused(Code.PROFILE_VIOLATION, lambda: client.ask(bytes(request)))


def test_the_thread_renews_at_two_thirds_of_the_life_and_says_how_long_it_lasts(holder: Callable[[str], Holder]) -> None:
    signer = holder("signer")
    tls, before = signer.tls.model_copy(update={"ca_target": signer.target}), signer.certificate
    life = before.not_valid_after_utc - before.not_valid_before_utc
    early, late = (FixedClock(before.not_valid_before_utc + share * life) for share in (0.6, 0.7))
    assert not renewal.due(before, early) and renewal.due(before, late)
    registry = CollectorRegistry()
    thread = renewal.Renewal(tls, late, registry)
    thread.start()
    until(lambda: signer.certificate.serial_number != before.serial_number)
    thread.stop()
    (line,) = (
        line for line in generate_latest(registry).decode().splitlines() if line.startswith("vermilion_tls_certificate_seconds_left ")
    )
    assert float(line.split()[1]) > 0
    until(lambda: not (tls.key_file.parent / ".next-key.pem").exists())  # the round that renewed may still be at its end


def test_a_renewal_whose_answer_was_lost_is_repeated_with_the_same_key(holder: Callable[[str], Holder]) -> None:
    signer = holder("signer")
    present = identity.read(signer.tls)
    lost = signer.ask(renewal._request(present, renewal._next_key(signer.tls.key_file.parent / ".next-key.pem")))
    assert renewal.renew(signer.tls, signer.target, SystemClock()) == lost == signer.certificate


def test_a_certificate_by_a_ca_that_is_not_trusted_here_is_not_switched_to(holder: Callable[[str], Holder]) -> None:
    signer = holder("signer")
    before = identity.read(signer.tls)
    stranger = x509.load_pem_x509_certificate(before.chain)
    key = ec.generate_private_key(ec.SECP256R1())
    self_signed = (
        x509.CertificateBuilder(stranger.issuer, stranger.subject, key.public_key(), 7, *_life())
        .add_extension(stranger.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False)
        .sign(key, hashes.SHA256())
    )
    refused(Code.CONFIGURATION_INVALID, lambda: renewal._check(self_signed, before, key, SystemClock()))
    refused(Code.INTERNAL, lambda: renewal._check(stranger, before, key, SystemClock()))


def test_revoked_means_not_renewed(holder: Callable[[str], Holder], running: Running) -> None:
    leaver = holder("leaver")
    serial = leaver.certificate.serial_number.to_bytes(16, "big")
    running.stub("operator").Revoke(ca_pb2.RevokeRequest(serial=serial, reason="affiliationChanged", issuer="infrastructure"))
    refused(Code.CERTIFICATE_REVOKED, lambda: renewal.renew(leaver.tls, leaver.target, SystemClock()))


def test_while_the_office_runs_operator_and_clients_are_kept_in_force(
    holder: Callable[[str], Holder],
    running: Running,
    tmp_path: Path,
) -> None:
    operator, client, service = holder("operator"), holder("client"), holder("signer")
    faults: list[VermilionError] = []
    later = FixedClock(datetime.now(UTC) + timedelta(days=21))
    keeper = ClientRenewal(Layout.at(tmp_path), running.rpc, lambda _folder, fault: faults.append(fault), clock=later)
    before = service.certificate
    assert keeper.round() == [client.tls.key_file.parent, operator.tls.key_file.parent] and not faults
    assert service.certificate == before, "a service renews its own"
    away = ClientRenewal(
        Layout.at(tmp_path), "127.0.0.1:9", lambda _folder, fault: faults.append(fault), clock=FixedClock(later.now() + timedelta(days=21))
    )
    assert away.round() == [] and [fault.code for fault in faults] == [Code.SERVICE_UNAVAILABLE] * 2


def _life() -> tuple[datetime, datetime]:
    now = datetime.fromtimestamp(time.time(), UTC)
    return now, now + timedelta(days=1)
