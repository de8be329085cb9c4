"""An office for the CA's tests: two SoftHSM tokens and the whole ceremony, run as an operator runs it, in processes of its own."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine

from ca.issuance.issue import Issuance, Issuer, Order
from ca.issuance.lint import Linter
from ca.issuance.request import read
from ca.names import IssuerName
from ca.revocation.change import Change, Kind
from ca.revocation.crl import CrlPublisher
from ca.revocation.revoke import Revocation, by_caller
from sealcore.clock import FixedClock
from sealcore.hsm import softhsm
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings
from tests.support.programs import program

SoftwareKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

PUBLIC_URL = "http://pki.example"
OCSP_URL = "http://ocsp.example/ocsp"
CA_KEYS = {
    "ca.infrastructure": "p-256",
    "ocsp.seals.1": "p-256",
    "ocsp.infrastructure.1": "p-256",
    "seal.test": "rsa-2048",
    "tsa.test": "p-256",
}


def toml(values: dict[str, object]) -> str:
    """Strings, numbers and one level of tables as TOML."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    tables = [f"[{name}]\n{toml(value)}" for name, value in values.items() if isinstance(value, dict)]
    return "\n".join(plain + tables) + "\n"


@dataclass(frozen=True)
class Office:
    """Where everything of one office lies."""

    folder: Path
    database_url: str
    root_token: TokenSettings
    ca_token: TokenSettings

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def config(self, name: str, token: TokenSettings) -> Path:
        path = self.folder / f"{name}.toml"
        values: dict[str, object] = {
            "public_url": PUBLIC_URL,
            "ocsp_url": OCSP_URL,
            "pki_folder": str(self.pki),
            "organization": "示範事務所 Demo Office",
            "token": token.model_dump(mode="json", exclude_none=True),
            "database": {"url": self.database_url},
        }
        path.write_text(toml(values), "utf-8")
        return path

    def ceremony(self, step: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a step of the ceremony."""
        is_roots = step in ("root", "root-crl", "rollover", "revoke")
        config = self.config("root" if is_roots else "ca", self.root_token if is_roots else self.ca_token)
        command = program("ca.ceremony", step, "--config", config, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def authority(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.pki / f"{name}.pem").read_bytes())


def generate_keys(token: TokenSettings, keys: dict[str, str], folder: Path) -> None:
    """Makes keys in a token, and a PKCS#10 request LABEL.csr for each, in a process of its own."""
    order = {"token": token.model_dump(mode="json"), "keys": keys, "folder": str(folder)}
    subprocess.run(program("tests.ca.programs.generate"), input=json.dumps(order), text=True, check=True)


def new_office(folder: Path, database_url: str | None = None, *, root: str = "rsa-4096", seals: str = "rsa-3072") -> Office:
    """An office whose keys are made, but no certificate yet. RSA keys take seconds: where they are not what matters, others will do."""
    root_token, ca_token = softhsm.create(folder / "hsm-root", "root"), softhsm.create(folder / "hsm-ca", "ca")
    generate_keys(root_token, {"ca.root": root}, folder)
    generate_keys(ca_token, CA_KEYS | {"ca.seals": seals}, folder)
    return office_in(folder, database_url)


def office_in(folder: Path, database_url: str | None = None) -> Office:
    """The office whose keys ``new_office`` has made in this folder."""
    tokens = (softhsm.settings_of(folder / f"hsm-{label}", label) for label in ("root", "ca"))
    return Office(folder, database_url or f"sqlite:///{folder / 'ca.db'}", *tokens)


def software_request(
    *names: tuple[x509.ObjectIdentifier, str], san: Sequence[x509.GeneralName] = (), key: SoftwareKey | None = None
) -> bytes:
    """A PKCS#10 request of a new software key."""
    attributes = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(attributes)
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    key = key or ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()).public_bytes(Encoding.DER)


def declare(pki: Path, token: str, keys: Mapping[str, bytes]) -> None:
    """Records keys (label → SPKI, DER) as the ceremony does, beside those recorded before."""
    file = pki / "keys" / f"{token}.json"
    file.parent.mkdir(exist_ok=True)
    present = json.loads(file.read_bytes()) if file.exists() else {}
    file.write_text(json.dumps(present | {label: base64.b64encode(spki).decode() for label, spki in keys.items()}))


def declare_made(pki: Path, token: str, folder: Path, *labels: str) -> None:
    """Records keys that ``generate_keys`` has made."""
    keys = {label: x509.load_der_x509_csr((folder / f"{label}.csr").read_bytes()).public_key() for label in labels}
    declare(pki, token, {label: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for label, key in keys.items()})


def declared_request(pki: Path, token: str, label: str, *names: tuple[x509.ObjectIdentifier, str]) -> bytes:
    """A PKCS#10 request of a new software key that is recorded as one of a token; a token could attest no more."""
    key = ec.generate_private_key(ec.SECP256R1())
    declare(pki, token, {label: key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)})
    return software_request(*names, key=key)


@dataclass(frozen=True)
class Desk:
    """The CA's parts in this process, over the office's token and database."""

    engine: Engine
    issuance: Issuance
    publisher: CrlPublisher
    revocation: Revocation
    issuers: dict[IssuerName, Issuer]
    authorities: dict[IssuerName, x509.Certificate]
    clock: FixedClock
    linter: Linter
    token: Token

    def revoke(self, issuer: str, serial: int, reason: str, invalidity_date: datetime | None = None) -> int:
        """Revokes as an operator would."""
        return self._perform(Change(Kind.REVOKE, issuer, serial, reason, invalidity_date))

    def hold(self, issuer: str, serial: int) -> int:
        """Puts on hold as an operator would."""
        return self._perform(Change(Kind.HOLD, issuer, serial))

    def release(self, issuer: str, serial: int) -> int:
        """Takes off hold as an operator would."""
        return self._perform(Change(Kind.RELEASE, issuer, serial))

    def _perform(self, change: Change) -> int:
        return self.revocation.perform(change, by_caller("https://vermilion.internal/operator/test", change))

    def issue(self, profile: str, request: bytes, **names: Any) -> x509.Certificate:
        """Issues as a caller would."""
        return self.issuance.issue(Order(profile, read(request, **names)))
