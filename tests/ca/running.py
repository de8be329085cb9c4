"""The CA as a process of its own, and who speaks to it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from tests.ca.office import OCSP_URL, PUBLIC_URL, Office, declared_request, software_request, toml
from tests.support.ports import free_port
from tests.support.programs import program

CN = NameOID.COMMON_NAME


IDENTITIES = {
    "ca": ("service", "https://vermilion.internal/service/ca"),
    "signer": ("service", "https://vermilion.internal/service/signer"),
    "operator": ("operator", "https://vermilion.internal/operator/test"),
    "leaver": ("operator", "https://vermilion.internal/operator/leaver"),
    "workflow": ("service", "https://vermilion.internal/service/workflow"),
    "client": ("client", "https://vermilion.internal/client/test"),
    "first": ("client", "https://vermilion.internal/client/first"),
    "second": ("client", "https://vermilion.internal/client/second"),
}


@dataclass(frozen=True)
class Running:
    """A CA that runs, and how to reach it."""

    process: subprocess.Popen[str]
    rpc: str
    http: str
    metrics: str
    ledger_port: int
    pki: Path
    identities: dict[str, TlsSettings]

    def stub(self, name: str) -> Any:
        return ca_pb2_grpc.CertificateAuthorityStub(channel(self.rpc, self.identities[name]))


def make_identities(office: Office, folder: Path) -> dict[str, TlsSettings]:
    """Keys, certificates and trust of every caller, as files."""
    orders, made = "", {}
    for name, (profile, uri) in IDENTITIES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        key_file, certificate_file, request_file = (folder / f"{name}.{kind}" for kind in ("key", "pem", "csr"))
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        request_file.write_bytes(software_request((CN, name), key=key))
        orders += f'[[order]]\nprofile = "{profile}"\nrequest = "{request_file}"\nout = "{certificate_file}"\nuri = "{uri}"\nchain = true\n'
        orders += 'dns = ["ca.vermilion.internal"]\nip = ["127.0.0.1"]\n' if profile == "service" else ""
        trust = office.pki / "infrastructure.pem"
        made[name] = TlsSettings(key_file=key_file, certificate_file=certificate_file, trust_file=trust)
    (folder / "orders.toml").write_text(orders)
    office.ceremony("issue", "--orders", str(folder / "orders.toml"))
    return made


@pytest.fixture(scope="module")
def running(office: Office, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service over the office's token and database, shared by the tests of this module."""
    tmp_path = tmp_path_factory.mktemp("service")
    identities = make_identities(office, tmp_path)
    rpc, http, ledger, metrics = (free_port() for _ in range(4))
    values: dict[str, object] = {
        "public_url": PUBLIC_URL,
        "ocsp_url": OCSP_URL,
        "pki_folder": str(office.pki),
        "signer_target": f"127.0.0.1:{ledger}",
        "listen_http": {"port": http},
        "listen_rpc": {"port": rpc},
        "metrics": {"port": metrics},
        "database": {"url": office.database_url},
        "token": office.ca_token.model_dump(mode="json"),
        "tls": identities["ca"].model_dump(mode="json", exclude_none=True),
    }
    config = tmp_path / "ca.toml"
    config.write_text(toml(values), "utf-8")
    with (tmp_path / "ca.log").open("w") as log:
        process = subprocess.Popen(program("ca", "--config", config), stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", (tmp_path / "ca.log").read_text()
    yield Running(process, f"127.0.0.1:{rpc}", f"http://127.0.0.1:{http}", f"http://127.0.0.1:{metrics}", ledger, office.pki, identities)
    process.terminate()
    assert process.wait(30) == 0, (tmp_path / "ca.log").read_text()
    log_text = (tmp_path / "ca.log").read_text()
    assert "Traceback" not in log_text and office.ca_token.pin_file.read_text().strip() not in log_text


def declared_message(pki: Path, profile: str, name: str = "x") -> ca_pb2.IssueRequest:
    """As a service asks that owns the key's token."""
    token = "ocsp" if profile == "ocsp" else "signer"
    request = declared_request(pki, token, f"{profile}.{uuid7()}", (CN, name))
    return ca_pb2.IssueRequest(request=request, profile=profile)


def issue_message(profile: str, uri: str = "", names: Sequence[tuple[x509.ObjectIdentifier, str]] = ((CN, "x"),)) -> ca_pb2.IssueRequest:
    return ca_pb2.IssueRequest(request=software_request(*names), profile=profile, subject_uri=uri)


def refusal(code: Code, call: Callable[[], object]) -> VermilionError:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    error = from_rpc_error(failed.value)
    assert error.code is code, error
    return error
