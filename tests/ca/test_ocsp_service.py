"""The responder as a process of its own beside the CA's: certified over mTLS, and told of a revocation by the record alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus

from protos.vermilion.v1 import ca_pb2
from sealcore.errors import Code
from sealcore.hsm import softhsm
from tests import plain_http
from tests.ca.conftest import office_of_its_own
from tests.ca.office import Office, declare_made, generate_keys, toml
from tests.ca.running import IDENTITIES, Running, declared_message, issue_message, refusal
from tests.ca.running import running as running  # noqa: PLC0414  (its fixture)
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.waiting import until

IDENTITIES.setdefault("ocsp", ("service", "https://vermilion.internal/service/ocsp"))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """The responder signs answers for all that its CA has issued; in the office of the other tests that is as much as they happen to issue."""
    return office_of_its_own(tmp_path_factory)


@pytest.fixture(scope="module")
def responder(office: Office, running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Where it answers, and where monitoring reads."""
    folder = tmp_path_factory.mktemp("ocsp")
    token = softhsm.create(folder / "hsm", "ocsp")
    generate_keys(token, {"ocsp.own.1": "p-256", "ocsp.own.2": "p-256"}, folder)
    declare_made(office.pki, "ocsp", folder, "ocsp.own.1", "ocsp.own.2")
    port, monitoring = free_port(), free_port()
    values: dict[str, object] = {
        "keys": {"seals": "ocsp.own.1", "infrastructure": "ocsp.own.2"},
        "database": {"url": office.database_url},
        "pki_folder": str(office.pki),
        "state_folder": str(folder / "state"),
        "ca_target": running.rpc,
        "listen": {"port": port},
        "metrics": {"port": monitoring},
        "token": token.model_dump(mode="json"),
        "tls": running.identities["ocsp"].model_dump(mode="json", exclude_none=True),
    }
    config = folder / "ocsp.toml"
    config.write_text(toml(values), "utf-8")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(program("ca.ocsp", "--config", config), stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", (folder / "log").read_text()
    yield f"http://127.0.0.1:{port}/ocsp", f"http://127.0.0.1:{monitoring}"
    process.terminate()
    assert process.wait(30) == 0, (folder / "log").read_text()
    said = (folder / "log").read_text()
    assert "Traceback" not in said and token.pin_file.read_text().strip() not in said


def status(url: str, certificate: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPResponse:
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build().public_bytes(Encoding.DER)
    answer = plain_http.post(url, content=asked, headers={"content-type": "application/ocsp-request"}, timeout=30)
    return ocsp.load_der_ocsp_response(answer.content)


def test_it_is_certified_by_the_ca_and_tells_of_a_revocation(office: Office, running: Running, responder: tuple[str, str]) -> None:
    url, monitoring = responder
    until(lambda: plain_http.get(f"{monitoring}/readyz", timeout=30).status_code == 200)
    issued = running.stub("signer").Issue(declared_message(office.pki, "seal", "Contract"))
    certificate, seals = x509.load_der_x509_certificate(issued.certificate), office.authority("seals")
    assert status(url, certificate, seals).certificate_status is OCSPCertStatus.GOOD
    serial = certificate.serial_number.to_bytes(20, "big")
    running.stub("operator").Hold(ca_pb2.HoldRequest(serial=serial, issuer="seals"))
    assert status(url, certificate, seals).certificate_status is OCSPCertStatus.REVOKED
    until(lambda: 'vermilion_ocsp_waiting{ca="seals"} 0.0' in plain_http.get(f"{monitoring}/metrics", timeout=30).text)
    answer = status(url, certificate, seals)
    assert answer.revocation_reason is x509.ReasonFlags.certificate_hold
    answer.certificates[0].verify_directly_issued_by(seals)


def test_nobody_but_the_responder_gets_such_a_certificate_and_it_gets_no_other(running: Running) -> None:
    for name in ("operator", "signer"):
        refusal(Code.PERMISSION_DENIED, lambda name=name: running.stub(name).Issue(issue_message("ocsp")))  # type: ignore[misc]
    for profile in ("seal", "tsa", "service", "client", "operator"):
        message = issue_message(profile)
        refusal(Code.PERMISSION_DENIED, lambda message=message: running.stub("ocsp").Issue(message))  # type: ignore[misc]
    refusal(Code.PERMISSION_DENIED, lambda: running.stub("ocsp").Issue(issue_message("ocsp")))
    message = declared_message(running.pki, "ocsp")
    message.issuer = "root"
    refusal(Code.PROFILE_VIOLATION, lambda: running.stub("ocsp").Issue(message))
