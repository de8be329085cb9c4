"""A rollover while the CA's service and the OCSP responder run: both take the new generation up without a restart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.errors import Code
from sealcore.hsm import softhsm
from sealcore.platform import durable
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from tests import plain_http
from tests.ca.office import PUBLIC_URL, Office, declare, declare_made, generate_keys, new_office, software_request, toml
from tests.ca.running import IDENTITIES, declared_message, make_identities
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.waiting import until

PATIENCE_S = 90.0  # for a machine that is busy with other tests
IDENTITIES.setdefault("ocsp", ("service", "https://vermilion.internal/service/ocsp"))


@dataclass(frozen=True)
class World:
    """The two services over one office that has had no rollover yet."""

    office: Office
    identities: dict[str, TlsSettings]
    rpc: str
    http: str
    ca_monitoring: str
    ocsp: str
    ocsp_monitoring: str

    def stub(self, name: str) -> Any:
        return ca_pb2_grpc.CertificateAuthorityStub(channel(self.rpc, self.identities[name]))

    def issue(self, profile: str) -> tuple[x509.Certificate, x509.Certificate]:
        """A new certificate and its issuer: a seal's, or the client's next."""
        if profile == "client":
            answer = self.stub("client").Renew(ca_pb2.RenewRequest(request=software_request()), timeout=60)
        else:
            answer = self.stub("signer").Issue(declared_message(self.office.pki, profile), timeout=60)
        return x509.load_der_x509_certificate(answer.certificate), x509.load_der_x509_certificate(answer.chain[0])

    def status(self, leaf: x509.Certificate, issuer: x509.Certificate) -> Any:
        asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build().public_bytes(Encoding.DER)
        answer = plain_http.post(self.ocsp, content=asked, headers={"content-type": "application/ocsp-request"}, timeout=60)
        return ocsp.load_der_ocsp_response(answer.content)

    def answers(self, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Whether the responder says good, by a delegate of the very CA that issued."""
        answer = self.status(leaf, issuer)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL or answer.certificate_status is not OCSPCertStatus.GOOD:
            return False
        answer.certificates[0].verify_directly_issued_by(issuer)
        return True

    def served(self, monitoring: str, name: str) -> set[str]:
        """The CAs that a gauge is about."""
        text = plain_http.get(f"{monitoring}/metrics", timeout=60).text
        return {line.split('"')[1] for line in text.splitlines() if line.startswith(f"{name}{{")}


@contextmanager
def process(module: str, folder: Path, values: dict[str, object]) -> Iterator[None]:
    config, log = folder / f"{module}.toml", folder / f"{module}.log"
    config.write_text(toml(values), "utf-8")
    with log.open("w") as said:
        running = subprocess.Popen(program(module, "--config", config), stdout=subprocess.PIPE, stderr=said, text=True)
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "ready\n", log.read_text()
        yield
    finally:
        running.terminate()
        assert running.wait(60) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    office = new_office(tmp_path_factory.mktemp("rolling"), root="p-384", seals="p-256")
    for step in ("requests", "root", "issuing"):
        office.ceremony(step)
    folder = tmp_path_factory.mktemp("services")
    identities = make_identities(office, folder)
    trust = folder / "trust.pem"
    trust.write_bytes((office.pki / "infrastructure.pem").read_bytes())
    identities = {name: one.model_copy(update={"trust_file": trust}) for name, one in identities.items()}
    token = softhsm.create(folder / "hsm", "ocsp")
    generate_keys(token, {"ocsp.own.1": "p-256", "ocsp.own.2": "p-256"}, folder)
    declare_made(office.pki, "ocsp", folder, "ocsp.own.1", "ocsp.own.2")
    rpc, http, ca_metrics, answers, ocsp_metrics = (free_port() for _ in range(5))
    shared: dict[str, object] = {"pki_folder": str(office.pki), "database": {"url": office.database_url}}
    ca: dict[str, object] = {
        "public_url": PUBLIC_URL,
        "ocsp_url": f"http://127.0.0.1:{answers}/ocsp",
        "signer_target": "127.0.0.1:9",
        "listen_http": {"port": http},
        "listen_rpc": {"port": rpc},
        "metrics": {"port": ca_metrics},
        "token": office.ca_token.model_dump(mode="json"),
        "tls": identities["ca"].model_dump(mode="json", exclude_none=True),
    }
    responder: dict[str, object] = {
        "keys": {"seals": "ocsp.own.1", "infrastructure": "ocsp.own.2"},
        "state_folder": str(folder / "state"),
        "ca_target": f"127.0.0.1:{rpc}",
        "listen": {"port": answers},
        "metrics": {"port": ocsp_metrics},
        "token": token.model_dump(mode="json"),
        "tls": identities["ocsp"].model_dump(mode="json", exclude_none=True),
    }
    with process("ca", folder, shared | ca), process("ca.ocsp", folder, shared | responder):
        urls = [f"http://127.0.0.1:{port}" for port in (http, ca_metrics, answers, ocsp_metrics)]
        yield World(office, identities, f"127.0.0.1:{rpc}", urls[0], urls[1], f"{urls[2]}/ocsp", urls[3])


def ready(monitoring: str) -> bool:
    return plain_http.get(f"{monitoring}/readyz", timeout=60).status_code == 200


def test_new_generations_are_taken_up_by_both_services_while_they_run(world: World) -> None:
    office = world.office
    before = [world.issue("client"), world.issue("seal")]
    until(lambda: ready(world.ocsp_monitoring) and all(world.answers(*one) for one in before))
    generate_keys(office.ca_token, {"ca.seals.2": "p-256", "ca.infrastructure.2": "p-256"}, office.folder)
    for name in ("seals.2", "infrastructure.2"):
        office.ceremony("requests", "--authority", name)
        office.ceremony("rollover", "--authority", name)
        assert ready(world.ca_monitoring) and ready(world.ocsp_monitoring), "a half-made generation disturbs nobody"
        office.ceremony("issuing")
    _leaf, issuer = world.issue("client")
    assert issuer == office.authority("infrastructure"), "its successor is not trusted by the services yet"
    trust = b"".join((office.pki / f"{name}.pem").read_bytes() for name in ("infrastructure", "infrastructure.2"))
    durable.write(world.identities["ca"].trust_file, trust)

    def issued_by(profile: str, name: str) -> Callable[[], bool]:
        return lambda: world.issue(profile)[1] == office.authority(name)

    until(issued_by("client", "infrastructure.2"))
    until(issued_by("seal", "seals.2"))
    after = [world.issue("client"), world.issue("seal")]
    until(lambda: all(world.answers(*one) for one in (*before, *after)))
    every = {"seals", "seals.2", "infrastructure", "infrastructure.2"}
    until(lambda: ready(world.ca_monitoring) and ready(world.ocsp_monitoring))
    assert world.served(world.ca_monitoring, "vermilion_ca_crl_seconds_left") == every | {"root"}
    for gauge in ("vermilion_ocsp_seconds_left", "vermilion_ocsp_waiting", "vermilion_ocsp_delegate_seconds_left"):
        assert world.served(world.ocsp_monitoring, gauge) == every
    assert {one.issuer for one in world.stub("operator").ListCrls(ca_pb2.ListCrlsRequest(), timeout=60).crls} == every | {"root"}
    revoked(world, *after[1], "seals.2")
    revoked(world, *before[1], "seals")


def revoked(world: World, leaf: x509.Certificate, issuer: x509.Certificate, name: str) -> None:
    """The CA puts a certificate of this generation on hold; its CRL and the responder say so."""
    serial = leaf.serial_number.to_bytes(20, "big")
    world.stub("operator").Hold(ca_pb2.HoldRequest(serial=serial, issuer=name), timeout=60)
    crl = x509.load_der_x509_crl(plain_http.get(f"{world.http}/crl/{name}.crl", timeout=60).content)
    assert crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
    answer = world.status(leaf, issuer)
    assert answer.certificate_status is OCSPCertStatus.REVOKED
    answer.certificates[0].verify_directly_issued_by(issuer)


def test_key_of_a_new_root_gets_no_other_certificate_from_the_running_ca(world: World) -> None:
    """The CA knows the keys of authorities that joined while it runs; and answers about what it issued go on."""
    office = world.office
    generate_keys(office.root_token, {"ca.root.2": "p-384"}, office.folder)
    names = [path.stem for path in office.pki.glob("*.pem") if path.stem != "root"]
    office.ceremony("requests", *(argument for name in names for argument in ("--authority", name)))
    office.ceremony("rollover", "--authority", "root.2")
    key = x509.load_der_x509_csr((office.folder / "ca.root.2.csr").read_bytes()).public_key()
    declare(office.pki, "signer", {"seal.false.1": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)})
    message = ca_pb2.IssueRequest(request=(office.folder / "ca.root.2.csr").read_bytes(), profile="seal")
    with pytest.raises(grpc.RpcError) as refused:
        world.stub("signer").Issue(message, timeout=60)
    assert from_rpc_error(refused.value).code is Code.CONFLICT
    certificate, issuer = world.issue("client")
    until(lambda: world.answers(certificate, issuer))
    until(lambda: "root.2" in world.served(world.ca_monitoring, "vermilion_ca_crl_seconds_left") and ready(world.ca_monitoring))
