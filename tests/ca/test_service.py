"""The CA service as a process: mTLS, who may call what, revocation on open connections, and the ledger that is told."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from concurrent import futures
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from sqlalchemy import update

from ca.instants import to_text
from ca.register_link import RegisteredSeal
from ca.revocation.change import Change, Kind
from ca.revocation.crl import newest
from ca.rpc import RULES
from ca.tables import crls, issuers
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc, ledger_pb2, ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.errors import Code
from sealcore.ids import uuid7
from sealcore.platform.config import TlsSettings
from sealcore.platform.db import connect, write
from tests import plain_http
from tests.ca.office import OCSP_URL, PUBLIC_URL, Office, software_request, toml
from tests.ca.people import People, spki
from tests.ca.running import Running, declared_message, issue_message, refusal
from tests.ca.running import running as running  # noqa: PLC0414  (its fixture)
from tests.support.ports import free_port


class RecordingLedger(ledger_pb2_grpc.LedgerServicer):
    """Keeps what it is told, and fails the test on a breach of the contract: idempotent by key, 32-byte subject, known kind."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[str, bytes]] = {}
        self.faults: list[str] = []
        self.heard = threading.Condition()

    def Append(self, request: ledger_pb2.AppendRequest, _context: Any) -> ledger_pb2.AppendResponse:
        with self.heard:
            told = (request.kind, request.subject_sha256)
            if request.kind not in ("certificate", "revocation") or len(request.subject_sha256) != 32:
                self.faults.append(request.idempotency_key)
            if self.entries.setdefault(request.idempotency_key, told) != told:
                self.faults.append(request.idempotency_key)
            self.heard.notify_all()
            return ledger_pb2.AppendResponse(ledger_index=list(self.entries).index(request.idempotency_key))

    def wait_for(self, key: str) -> tuple[str, bytes]:
        with self.heard:
            assert self.heard.wait_for(lambda: key in self.entries, timeout=60), f"the ledger never heard of {key}"
            assert self.faults == []
            return self.entries[key]

    def serve(self, port: int, tls: TlsSettings, *, people: People | None = None) -> grpc.Server:
        server = grpc.server(futures.ThreadPoolExecutor(2))
        ledger_pb2_grpc.add_LedgerServicer_to_server(self, server)
        if people is not None:
            signer_pb2_grpc.add_RegisterServicer_to_server(_Register(people), server)
        identity = [(tls.key_file.read_bytes(), tls.certificate_file.read_bytes())]
        credentials = grpc.ssl_server_credentials(identity, root_certificates=tls.trust_file.read_bytes(), require_client_auth=True)
        assert server.add_secure_port(f"127.0.0.1:{port}", credentials) == port
        server.start()
        return server


class _Register(signer_pb2_grpc.RegisterServicer):
    """The signer's register with these people in it."""

    def __init__(self, people: People) -> None:
        self._people = people

    def ListPeople(self, _request: signer_pb2.ListPeopleRequest, _context: Any) -> signer_pb2.ListPeopleResponse:
        people = [
            signer_pb2.PersonRecord(id=person, roles=["approver"], public_key=spki(key.public_key()), active=True)
            for person, key in self._people.approvers.items()
        ]
        issuers = [spki(self._people.issuer.public_key())]
        return signer_pb2.ListPeopleResponse(people=people, register_quorum=2, issuers=issuers)

    def ListSeals(self, _request: signer_pb2.ListSealsRequest, _context: Any) -> signer_pb2.ListSealsResponse:
        seals = [
            signer_pb2.SealRecord(id=seal.id, state=seal.state, spki_sha256=key, quorum=[_rule(seal.quorum["revoke"])])
            for key, seal in self._people.seals.items()
        ]
        return signer_pb2.ListSealsResponse(seals=seals)


def _rule(least: int) -> signer_pb2.QuorumRule:
    return signer_pb2.QuorumRule(action="revoke", least_persons=least)


def renewed(running: Running, name: str) -> ca_pb2.IssueResponse:
    """A fresh certificate of the infrastructure CA: the successor of an identity's own."""
    answer: ca_pb2.IssueResponse = running.stub(name).Renew(ca_pb2.RenewRequest(request=software_request()))
    return answer


def test_operator_lists_and_revokes_and_the_ledger_hears_of_it(running: Running) -> None:
    ledger = RecordingLedger()
    desk = running.stub("operator")
    answer = renewed(running, "first")
    certificate = x509.load_der_x509_certificate(answer.certificate)
    issuer, root = (x509.load_der_x509_certificate(each) for each in answer.chain)
    certificate.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    serial = certificate.serial_number.to_bytes(16, "big")
    number = desk.Revoke(ca_pb2.RevokeRequest(serial=serial, reason="superseded", issuer="infrastructure")).crl_number
    crl = x509.load_der_x509_crl(plain_http.get(f"{running.http}/crl/infrastructure.crl").content)
    assert crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    assert str(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number) == number
    listed = {record.serial: record for record in desk.ListCertificates(ca_pb2.ListCertificatesRequest(profile="client")).certificates}
    wanted = certificate.serial_number.to_bytes((certificate.serial_number.bit_length() + 7) // 8, "big")
    assert listed[wanted].state == "revoked" and listed[wanted].certificate == answer.certificate
    # only now does the ledger come up: what was noted while it was away reaches it, the ceremony's certificates too
    server = ledger.serve(running.ledger_port, running.identities["signer"])
    digest = hashlib.sha256(answer.certificate).digest()
    assert ledger.wait_for(f"revocation:{certificate.serial_number:x}") == ("revocation", digest)
    assert ledger.wait_for(f"certificate:{certificate.serial_number:x}") == ("certificate", digest)
    assert f"certificate:{root.serial_number:x}" in ledger.entries
    server.stop(None)


def test_operator_holds_and_releases_and_publishes(running: Running) -> None:
    desk = running.stub("operator")
    certificate = x509.load_der_x509_certificate(renewed(running, "second").certificate)
    named: dict[str, Any] = {"serial": octets(certificate), "issuer": "infrastructure"}
    held = desk.Hold(ca_pb2.HoldRequest(**named)).crl_number
    (record,) = [one for one in desk.ListCertificates(ca_pb2.ListCertificatesRequest()).certificates if one.serial == octets(certificate)]
    assert record.state == "held" and record.held_at and not record.reason
    released = desk.Release(ca_pb2.ReleaseRequest(**named)).crl_number
    again = desk.PublishCrl(ca_pb2.PublishCrlRequest(issuer="infrastructure"))
    assert int(held) < int(released) < int(again.number)
    listed = {one.issuer: one for one in desk.ListCrls(ca_pb2.ListCrlsRequest()).crls}
    assert set(listed) == {"root", "seals", "infrastructure"} and listed["infrastructure"] == again
    assert again.url == f"{PUBLIC_URL}/crl/infrastructure.crl"
    assert plain_http.get(f"{running.http}/crl/infrastructure.crl").content == again.crl
    invalid = ca_pb2.RevokeRequest(**named, reason="keyCompromise", invalidity_date="2999-01-01T00:00:00Z")
    refusal(Code.INVALID_ARGUMENT, lambda: desk.Revoke(invalid))
    refusal(Code.INVALID_ARGUMENT, lambda: desk.PublishCrl(ca_pb2.PublishCrlRequest(issuer="root")))


def test_under_the_seals_ca_an_operator_holds_and_only_a_quorum_releases_and_revokes(running: Running) -> None:
    operator, workflow = running.stub("operator"), running.stub("workflow")
    certificate = x509.load_der_x509_certificate(running.stub("signer").Issue(declared_message(running.pki, "seal")).certificate)
    named: dict[str, Any] = {"serial": octets(certificate), "issuer": "seals"}
    refusal(Code.PERMISSION_DENIED, lambda: operator.Revoke(ca_pb2.RevokeRequest(**named, reason="superseded")))
    assert operator.Hold(ca_pb2.HoldRequest(**named)).crl_number
    refusal(Code.PERMISSION_DENIED, lambda: operator.Release(ca_pb2.ReleaseRequest(**named)))
    people, seal, ledger = People(), uuid7(), RecordingLedger()
    people.seals[hashlib.sha256(spki(certificate.public_key())).digest()] = RegisteredSeal(seal, "suspended", {"revoke": 2})

    def token(kind: Kind, reason: str = "") -> ca_pb2.ActRequest:
        change = Change(kind, "seals", certificate.serial_number, reason)
        return ca_pb2.ActRequest(token=people.token(int(time.time()), change, seal=seal))

    release, revoke = token(Kind.RELEASE), token(Kind.REVOKE, "keyCompromise")
    server = ledger.serve(running.ledger_port, running.identities["signer"], people=people)
    try:
        released = workflow.Perform(release).crl_number
        assert serial_on(running, certificate) is None
        refusal(Code.PERMISSION_DENIED, lambda: operator.Perform(revoke))
        revoked = workflow.Perform(revoke).crl_number
        assert int(revoked) > int(released) and workflow.Perform(revoke).crl_number == revoked
        assert serial_on(running, certificate) is not None
        assert ledger.wait_for(f"revocation:{certificate.serial_number:x}")[0] == "revocation"
    finally:
        server.stop(None)


def test_readiness_fails_while_a_crl_is_stale(running: Running, office: Office) -> None:
    engine = connect(office.database_url)

    def set_root(**columns: str | None) -> None:
        table = crls if "next_update" in columns else issuers
        with write(engine) as connection:
            connection.execute(update(table).where((crls.c.issuer if table is crls else issuers.c.name) == "root").values(**columns))

    def readiness() -> httpx.Response:
        return plain_http.get(f"{running.metrics}/readyz", timeout=30)

    published = newest(engine, "root")
    assert published is not None and readiness().status_code == 200
    for stale, well in (
        ({"next_update": "2026-01-01T00:00:00Z"}, {"next_update": to_text(published.next_update)}),
        ({"due_since": to_text(datetime.now(UTC) - timedelta(seconds=70))}, {"due_since": None}),
    ):
        set_root(**stale)
        answer = readiness()
        assert (answer.status_code, answer.json()["parts"]["crls"]["code"]) == (503, "REVOCATION_UNAVAILABLE")
        set_root(**well)
        assert readiness().status_code == 200
    engine.dispose()


def octets(certificate: x509.Certificate) -> bytes:
    return certificate.serial_number.to_bytes((certificate.serial_number.bit_length() + 7) // 8, "big")


def serial_on(running: Running, certificate: x509.Certificate) -> x509.RevokedCertificate | None:
    crl = x509.load_der_x509_crl(plain_http.get(f"{running.http}/crl/seals.crl").content)
    return crl.get_revoked_certificate_by_serial_number(certificate.serial_number)


def test_signer_gets_seals_and_timestamp_units_alone(running: Running) -> None:
    signer = running.stub("signer")
    for profile in ("seal", "tsa"):
        assert signer.Issue(declared_message(running.pki, profile)).certificate
    for profile in ("client", "operator", "service", "ocsp", "root", "issuing"):
        refusal(Code.PERMISSION_DENIED, partial(signer.Issue, issue_message(profile, "https://vermilion.internal/operator/evil")))
    for call in (lambda: signer.Revoke(ca_pb2.RevokeRequest()), lambda: signer.ListCertificates(ca_pb2.ListCertificatesRequest())):
        refusal(Code.PERMISSION_DENIED, call)


def test_operator_gets_no_seal_and_client_gets_nothing(running: Running) -> None:
    operator, client = running.stub("operator"), running.stub("client")
    for profile in ("seal", "tsa", "ocsp", "service", "client", "operator", "device", "person"):
        refusal(Code.PERMISSION_DENIED, lambda profile=profile: operator.Issue(issue_message(profile)))  # type: ignore[misc]
    refusal(Code.PERMISSION_DENIED, lambda: client.Issue(issue_message("client", "https://vermilion.internal/client/x")))
    refusal(Code.PERMISSION_DENIED, lambda: client.ListCertificates(ca_pb2.ListCertificatesRequest()))


def test_revoked_operator_is_refused_on_the_next_call_of_the_open_connection(running: Running) -> None:
    leaver = running.stub("leaver")
    leaver.ListCertificates(ca_pb2.ListCertificatesRequest(profile="ocsp"))
    certificate = x509.load_pem_x509_certificate(running.identities["leaver"].certificate_file.read_bytes())
    serial = certificate.serial_number.to_bytes(16, "big")
    running.stub("operator").Revoke(ca_pb2.RevokeRequest(serial=serial, reason="affiliationChanged", issuer="infrastructure"))
    refusal(Code.CERTIFICATE_REVOKED, lambda: leaver.ListCertificates(ca_pb2.ListCertificatesRequest(profile="ocsp")))


def test_refusals_cross_the_wire_with_their_rule(running: Running) -> None:
    operator, signer = running.stub("operator"), running.stub("signer")
    message = declared_message(running.pki, "seal")
    message.subject_uri = "https://vermilion.internal/service/signer"
    error = refusal(Code.PROFILE_VIOLATION, lambda: signer.Issue(message))
    assert error.rule == "Profile seal: SAN URI: none."
    refusal(Code.INVALID_ARGUMENT, lambda: signer.Issue(issue_message("nothing")))
    refusal(Code.INVALID_ARGUMENT, lambda: signer.Issue(ca_pb2.IssueRequest(request=b"x", profile="seal")))
    for request in (
        ca_pb2.RevokeRequest(serial=b"\x01", reason="superseded", issuer="nobody"),
        ca_pb2.RevokeRequest(serial=b"", reason="superseded", issuer="seals"),
        ca_pb2.RevokeRequest(serial=b"\x01" * 30, reason="superseded", issuer="seals"),
        ca_pb2.RevokeRequest(serial=b"\x01", reason="certificateHold", issuer="infrastructure"),
    ):
        refusal(Code.INVALID_ARGUMENT, lambda request=request: operator.Revoke(request))  # type: ignore[misc]
    missing = ca_pb2.RevokeRequest(serial=b"\x01", reason="superseded", issuer="infrastructure")
    refusal(Code.PERMISSION_DENIED, lambda: operator.Revoke(ca_pb2.RevokeRequest(serial=b"\x01", reason="cACompromise", issuer="root")))
    refusal(Code.NOT_FOUND, lambda: operator.Revoke(missing))


def test_caller_without_a_certificate_does_not_get_in(running: Running, office: Office) -> None:
    credentials = grpc.ssl_channel_credentials((office.pki / "infrastructure.pem").read_bytes())
    with grpc.secure_channel(running.rpc, credentials) as line:
        stub = ca_pb2_grpc.CertificateAuthorityStub(line)
        with pytest.raises(grpc.RpcError) as failed:
            stub.ListCertificates(ca_pb2.ListCertificatesRequest(), timeout=10)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


def test_every_method_of_the_contract_has_a_rule() -> None:
    service = ca_pb2.DESCRIPTOR.services_by_name["CertificateAuthority"]
    assert set(RULES) == {f"/{service.full_name}/{method.name}" for method in service.methods}


def test_service_does_not_start_on_anothers_certificates(office: Office, tmp_path: Path) -> None:
    identities = {name: str(office.pki / "root.pem") for name in ("key_file", "certificate_file", "trust_file")}
    pki = tmp_path / "pki"
    pki.mkdir()
    for name, source in (("root", "root"), ("seals", "infrastructure"), ("infrastructure", "seals")):
        (pki / f"{name}.pem").write_bytes((office.pki / f"{source}.pem").read_bytes())
    values: dict[str, object] = {
        "public_url": PUBLIC_URL,
        "ocsp_url": OCSP_URL,
        "pki_folder": str(pki),
        "signer_target": "127.0.0.1:1",
        "listen_http": {"port": free_port()},
        "listen_rpc": {"port": free_port()},
        "database": {"url": office.database_url},
        "token": office.ca_token.model_dump(mode="json"),
        "tls": identities,
    }
    (tmp_path / "ca.toml").write_text(toml(values), "utf-8")
    command: list[str | Path] = [sys.executable, "-m", "ca", "--config", tmp_path / "ca.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "CONFIGURATION_INVALID" in done.stderr and "is not for its key" in done.stderr and done.stdout == ""
