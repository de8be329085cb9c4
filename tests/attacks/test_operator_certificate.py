"""Break-in table: one operator's certificate (and one service's, one client's) reaches no other identity and no key of its thief's.

On a running office: its CA, signer and workflow, with the certificates that its ceremony made.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from ca.issuance.enrolment import enrolment
from ca.issuance.profiles import load as profiles
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, operator_uri, service_uri, uuid7
from sealcore.platform import identity, renewal
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import call, channel
from sealcore.protocol.canonical import b64url
from sealcore.protocol.decision import sign as sign_decision
from tests.ca.office import software_request
from tests.cli.conftest import office as office  # noqa: PLC0414  (its fixture: the running office that all workers share)
from tests.cli.running import RunningOffice
from tests.cli.words import rest
from vermilion.remote.workflow_client import in_folder, tls_of
from vermilion.use_cases.approving import context_of

PEOPLE = ("--as", "Chen Rui", "--as", "Zhao Ming")
CN = NameOID.COMMON_NAME
COVETED = (
    service_uri("signer"),
    service_uri("ocsp"),
    service_uri("workflow"),
    service_uri("ca"),
    client_uri(uuid7()),
    operator_uri("office"),
    operator_uri("another"),
    "https://vermilion.internal/device/1",
    "https://vermilion.internal/person/1",
)


def refused(call_it: Callable[[], object], *codes: Code) -> VermilionError:
    with pytest.raises(VermilionError) as refusal:
        call_it()
    assert refusal.value.code in codes, refusal.value
    return refusal.value


@contextmanager
def authority(office: RunningOffice, tls: TlsSettings) -> Iterator[Callable[[str, Any], Any]]:
    """The CA, as whoever holds this identity calls it."""
    with channel(office.office.listen("ca").target, tls) as line:
        stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)
        yield lambda method, request: call(line, getattr(stub, method), request, timeout_s=60, repeatable=False)


def operators(office: RunningOffice) -> TlsSettings:
    return tls_of(office.layout, "operator")


def test_operators_certificate_is_given_no_other(office: RunningOffice) -> None:
    with authority(office, operators(office)) as ca:
        before = len(ca("ListCertificates", ca_pb2.ListCertificatesRequest()).certificates)
        for profile in profiles():
            for uri in ("", *COVETED):
                san = [x509.UniformResourceIdentifier(uri)] if uri else []
                for request in (
                    ca_pb2.IssueRequest(request=software_request((CN, "x")), profile=profile, subject_uri=uri),
                    ca_pb2.IssueRequest(request=software_request((CN, "x"), san=san), profile=profile, issuer="infrastructure"),
                ):
                    refused(lambda request=request: ca("Issue", request), Code.PERMISSION_DENIED)  # type: ignore[misc]
        assert len(ca("ListCertificates", ca_pb2.ListCertificatesRequest()).certificates) == before


def test_operators_certificate_renews_into_nobody_else(office: RunningOffice) -> None:
    own = x509.UniformResourceIdentifier(operator_uri("office"))
    wanted: list[list[x509.GeneralName]] = [[x509.UniformResourceIdentifier(uri)] for uri in COVETED if uri != own.value]
    wanted += [[own, x509.UniformResourceIdentifier(service_uri("signer"))], [x509.UniformResourceIdentifier(service_uri("signer")), own]]
    wanted += [[own, x509.DNSName("signer")], [own, x509.RFC822Name("a@b.example")], [own, x509.DirectoryName(x509.Name([]))]]
    looks = ("OFFICE", "office/", "office.", "%6fffice", "office%00", "office#x", "../service/signer", "office ")
    wanted += [[x509.UniformResourceIdentifier(operator_uri(one))] for one in looks]
    wanted += [[x509.UniformResourceIdentifier("HTTPS://vermilion.internal/operator/office")]]
    with authority(office, operators(office)) as ca:
        for names in wanted:
            request = ca_pb2.RenewRequest(request=software_request(san=names))
            refused(lambda request=request: ca("Renew", request), Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT)  # type: ignore[misc]
        for subject in ((CN, "signer"), (NameOID.ORGANIZATION_NAME, "Another"), (NameOID.SERIAL_NUMBER, "1")):
            request = ca_pb2.RenewRequest(request=software_request(subject))
            refused(lambda request=request: ca("Renew", request), Code.PERMISSION_DENIED, Code.PROFILE_VIOLATION)  # type: ignore[misc]


def test_operator_alone_carries_out_no_act_and_counts_as_no_approver(office: RunningOffice) -> None:
    uri, request = client_uri(uuid7()), software_request((CN, "x"))
    spki = x509.load_der_x509_csr(request).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    act = enrolment("client", uri, {"common_name": "x"}, request).as_json()
    desk, key, person = rest(office), ec.generate_private_key(ec.SECP256R1()), uuid7()
    form = desk.post("/v1/forms", {"seal": "", "action": "create", "title": "x", "act": act})
    assert form["state"] == "applied" and form["context"]["policy"]["quorum"] >= 2
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = {"id": person, "name": f"Nobody {person}", "roles": ["approver"], "public_key": base64.b64encode(public).decode()}
    desk.post("/v1/people", body)
    now = int(datetime.now(UTC).timestamp())
    given = sign_decision(context_of(form), person, "approve", now, lambda data: key.sign(data, ec.ECDSA(hashes.SHA256())))
    decided = {"person": person, "verdict": "approve", "time": given.time, "signature": b64url(given.signature), "reason": ""}
    refused(lambda: desk.post(f"/v1/forms/{form['number']}/decisions", decided), Code.APPROVER_UNKNOWN)
    with authority(office, operators(office)) as ca:
        refused(lambda: ca("Perform", ca_pb2.ActRequest(token="a.b.c")), Code.PERMISSION_DENIED)
        found = ca("ListCertificates", ca_pb2.ListCertificatesRequest(profile="client")).certificates
    keys = [x509.load_der_x509_certificate(one.certificate).public_key() for one in found if one.certificate]
    assert spki not in [one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in keys]
    desk.post(f"/v1/forms/{form['number']}/withdraw", {})
    desk.close()


def test_operator_alone_lowers_no_policy_and_makes_no_client_that_people_do_not_know(office: RunningOffice) -> None:
    desk, name = rest(office), f"attacked-{uuid7()[-12:]}"
    # The seal that asks most of all: a policy that asks as much changes nothing for the other tests of this office.
    *_, other, seal = sorted(desk.get("/v1/seals")["seals"], key=lambda one: min(one["quorum"].values()))
    present = min(seal["quorum"].values())
    assert present >= 1
    desk.post("/v1/policies", {"id": name, "version": 1, "quorum": present, "seal": seal["id"], "action": None})
    for less in (
        {"quorum": present - 1, "seal": seal["id"]},
        {"quorum": 0, "seal": None},
        {"quorum": present, "seal": seal["id"], "action": "seal"},
        {"quorum": 9, "seal": other["id"]},
    ):
        body = {"id": name, "version": 2, "action": None, **less}
        refused(lambda body=body: desk.post("/v1/policies", body), Code.PERMISSION_DENIED)  # type: ignore[misc]
    added = desk.post("/v1/clients", {"name": "Nobody"})
    assert added["approved"] is False
    with pytest.raises(VermilionError):
        desk.post("/v1/clients", {"name": "Nobody", "approved": True})
    desk.close()


def test_operator_has_no_second_certificate_made_for_a_key_of_the_signer(office: RunningOffice) -> None:
    with channel(office.office.listen("signer").target, operators(office)) as line:
        stub: Any = signer_pb2_grpc.RegisterStub(line)
        labels = [one.label for one in call(line, stub.ListKeys, signer_pb2.ListKeysRequest(), timeout_s=60).keys]
        assert {one.split(".")[0] for one in labels} == {"seal", "tsa"}
        for label in (*labels, "seal.mine.1", "ca.seals", "approval.issuer.1"):
            request = signer_pb2.RequestCertificateRequest(label=label, common_name="Another House")
            refused(
                lambda request=request: call(line, stub.CertifyKey, request, timeout_s=60),  # type: ignore[misc]
                Code.CONFLICT,
                Code.HSM_KEY_MISSING,
                Code.INVALID_ARGUMENT,
            )


@pytest.mark.parametrize("name", ["signer", "ocsp", "workflow", "ca", "verify", "ledger"])
def test_stolen_service_identity_has_nothing_certified_for_a_key_of_the_thiefs(office: RunningOffice, name: str) -> None:
    with authority(office, tls_of(office.layout, name)) as ca:
        for profile in profiles():
            for issuer in ("", "seals", "infrastructure", "root"):
                request = ca_pb2.IssueRequest(request=software_request((CN, "x")), profile=profile, issuer=issuer)
                refused(lambda request=request: ca("Issue", request), Code.PERMISSION_DENIED)  # type: ignore[misc]
        for other in ("signer", "ocsp", "workflow"):
            if other != name:
                san = [x509.UniformResourceIdentifier(service_uri(other))]
                renewal: Any = ca_pb2.RenewRequest(request=software_request(san=san))
                refused(lambda request=renewal: ca("Renew", request), Code.PERMISSION_DENIED)  # type: ignore[misc]


def test_stolen_client_key_falls_with_all_that_it_renewed_and_its_uri_has_one_holder(office: RunningOffice, tmp_path: Path) -> None:
    bundle, loot = tmp_path / "bundle", tmp_path / "loot"
    added = office.json("clients", "add", "stolen", "--out", bundle, *PEOPLE)
    shutil.copytree(bundle, loot)
    target = office.office.listen("ca").target
    first = identity.read(in_folder(bundle)).certificate
    for _ in range(2):
        renewal.renew(in_folder(loot), target, SystemClock())
    thiefs = identity.read(in_folder(loot)).certificate
    assert thiefs.serial_number != first.serial_number

    copy = tmp_path / "copy.csr"
    copy.write_bytes(software_request((CN, "stolen")))
    order = ("ca", "issue", copy, "--profile", "client", "--uri", added["uri"], *PEOPLE)
    assert "has a holder" in " ".join(office.run(*order).stderr.split())
    upper = added["uri"].replace(added["uri"].rpartition("/")[2], added["uri"].rpartition("/")[2].upper())
    in_capitals = office.run("ca", "issue", copy, "--profile", "client", "--uri", upper, *PEOPLE)
    assert "has a holder" in " ".join(in_capitals.stderr.split()), "another spelling is no other name"

    assert office.run("ca", "revoke", f"{first.serial_number:x}", "--reason", "keyCompromise").returncode == 0
    for folder in (bundle, loot):
        refused(lambda folder=folder: renewal.renew(in_folder(folder), target, SystemClock()), Code.CERTIFICATE_REVOKED)  # type: ignore[misc]
    (crl,) = office.json("ca", "crl", "infrastructure")
    assert {f"{first.serial_number:x}", f"{thiefs.serial_number:x}"} <= {one["serial"] for one in crl["entries"]}

    anew = office.run(*order, "--out", tmp_path / "anew.pem")
    assert anew.returncode == 0, "after the first holder's end people may let another in"
    assert office.json("ca", "show", tmp_path / "anew.pem")["state"] == "issued"
