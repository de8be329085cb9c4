"""A whole office for tests of the signer: people with keys, an issuer, seals, a PKI, tokens, documents.

The people's, the issuer's and the authorities' keys are software keys, since nobody tests their custody here; the seal keys
and the timestamp unit's are in a real SoftHSM where a test says so (``Office.in_softhsm``).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pikepdf
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protos.vermilion.v1 import signer_pb2
from sealcore.hsm import softhsm
from sealcore.ids import client_uri, service_uri, uuid7
from sealcore.platform.config import TokenSettings
from sealcore.platform.rpc.placement_messages import placement_to_message
from sealcore.protocol import decision as decisions
from sealcore.protocol import stop as stops
from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import ActCovers, Covers, GrantCovers
from sealcore.protocol.leaf import Certification, Leaf, Mark, Placement, Rectangle, SignatureTexts
from sealcore.protocol.manifest import DocumentEntry, Manifest
from sealcore.protocol.token import ISSUER, Claims, Policy, encode, key_id
from signer.model import ItemRequest
from vermilion.state import toml

AUDIENCE = service_uri("signer")
DAY = datetime.timedelta(days=1)
SEALS = {"contract": "seal.contract.1", "invoice": "seal.invoice.1", "official": "seal.official.1"}
UNIT = "tsa.signer.1"
TOKEN, KEYS = "test-signer", "keys.json"


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def spki(public_key: Any) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return bytes(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Certificates as PEM."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def document(text: str = "Agreement", pages: int = 1) -> bytes:
    """A small PDF that says ``text``."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica))
    for number in range(pages):
        page = pdf.add_blank_page(page_size=(595, 842))
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        page.Contents = pdf.make_stream(f"BT /F1 18 Tf 72 720 Td ({text}, page {number + 1}) Tj ET".encode())
    target = io.BytesIO()
    pdf.save(target)
    return target.getvalue()


def picture(inset: int = 10) -> bytes:
    """A seal's picture: a red square of 42 mm less this inset, in points."""
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(119, 119))
    page.Contents = pdf.make_stream(b"0.78 0.2 0.12 rg %d %d %d %d re f" % (inset, inset, 119 - 2 * inset, 119 - 2 * inset))
    target = io.BytesIO()
    pdf.save(target, deterministic_id=True)
    return target.getvalue()


@dataclass(frozen=True)
class Person:
    """A person with a P-256 key."""

    id: str
    roles: tuple[str, ...]
    key: ec.EllipticCurvePrivateKey

    def sign(self, data: bytes) -> bytes:
        """DER ECDSA over SHA-256."""
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def as_seed(self) -> dict[str, Any]:
        """As the register takes a person."""
        return {"id": self.id, "roles": list(self.roles), "public_key": b64url(spki(self.key.public_key()))}


def person(*roles: str) -> Person:
    """A new person."""
    return Person(uuid7(), roles, ec.generate_private_key(ec.SECP256R1()))


class SealsCa:
    """Root → issuing CA of seals, with software keys."""

    def __init__(self) -> None:
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._authority("Test Root", self._root_key, "Test Root", self._root_key)
        self.issuing = self._authority("Test Seals", self._key, "Test Root", self._root_key)
        self.revoked: list[int] = []

    def seal(self, name: str, public_key: Any, *, days: tuple[float, float] = (-1, 300)) -> x509.Certificate:
        """A seal's certificate, valid from and to so many days from now."""
        return self._leaf(name, public_key, days).sign(self._key, hashes.SHA256())

    def unit(self, public_key: Any) -> x509.Certificate:
        """A timestamp unit's certificate."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        return self._leaf("Test TSA", public_key, (-1, 300)).add_extension(usage, critical=True).sign(self._key, hashes.SHA256())

    def crl(self) -> bytes:
        """The present CRL, DER."""
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder(self.issuing.subject, now, now + DAY)
        builder = builder.add_extension(x509.CRLNumber(len(self.revoked) + 1), critical=False)
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _leaf(self, name: str, public_key: Any, days: tuple[float, float]) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        usage = x509.KeyUsage(False, True, False, False, False, False, False, False, False)
        return (
            x509.CertificateBuilder(
                self.issuing.subject, _name(name), public_key, x509.random_serial_number(), now + days[0] * DAY, now + days[1] * DAY
            )
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    @staticmethod
    def _authority(name: str, key: Any, issuer: str, issuer_key: Any) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (
            x509.CertificateBuilder(_name(issuer), _name(name), key.public_key(), x509.random_serial_number(), now - DAY, now + 900 * DAY)
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )


@dataclass(frozen=True)
class Seal:
    """A seal of the office."""

    id: str
    kind: str
    label: str
    certificate: x509.Certificate
    quorum: Mapping[str, int]
    content_policy: str = "report"
    certification: str = "form-fill"


@dataclass(frozen=True)
class Approved:
    """An approval: the token and the documents it covers, ready to send."""

    token: str
    claims: Claims
    documents: tuple[bytes, ...]
    requests: tuple[ItemRequest, ...]

    @property
    def items(self) -> list[signer_pb2.Item]:
        """The items as messages."""
        return [item_message(request) for request in self.requests]


def item_message(request: ItemRequest) -> signer_pb2.Item:
    """An item as a client sends it."""
    return signer_pb2.Item(
        index=request.index,
        salt=request.salt,
        proof=request.proof,
        placement=placement_to_message(request.placement),
        size_bytes=request.size_bytes,
        document_sha256=request.document_sha256,
        document=bytes(request.document),
        name=request.name,
    )


def requests_of(manifest: Manifest, documents: Sequence[bytes]) -> tuple[ItemRequest, ...]:
    """Each document with its leaf and proof."""
    return tuple(
        ItemRequest(
            leaf.index, leaf.salt, proof, leaf.placement, leaf.document_size_bytes, leaf.document_sha256, content, f"d{leaf.index}.pdf"
        )
        for leaf, proof, content in zip(manifest.leaves, manifest.proofs, documents, strict=True)
    )


def grant_request(index: int, content: bytes, placement: Placement | None = None) -> ItemRequest:
    """A use of a grant, certified as the office's seals are."""
    place = placement or Placement(certification=Certification.FORM_FILL)
    return ItemRequest(index, b"", (), place, len(content), hashlib.sha256(content).digest(), content, f"g{index}.pdf")


@dataclass
class Office:
    """People, issuer, seals; makes approvals. ``public_keys``: label → the key of each seal and of the timestamp unit."""

    folder: Path
    public_keys: Mapping[str, Any]
    token: TokenSettings | None = None
    ca: SealsCa = field(default_factory=SealsCa)

    def __post_init__(self) -> None:
        self.ada = person("approver")  # applies
        self.bo, self.chen = person("approver"), person("approver")
        self.dai = person("officer")
        self.issuer = ec.generate_private_key(ec.SECP256R1())
        self.client = client_uri(uuid7())
        self.picture = picture()
        self.seals = {
            "contract": self._seal("contract", {"seal": 2, "resume": 2}),
            "invoice": self._seal("invoice", {"seal": 0, "resume": 1}),
            "official": self._seal("official", {"seal": 1, "resume": 2, "grant-untemplated": 2}, "strict"),
        }
        self.unit_certificate = self.ca.unit(self.public_keys[UNIT])

    @classmethod
    def in_software(cls, folder: Path) -> Office:
        """Without any HSM: for what never signs."""
        return cls(folder, {label: ec.generate_private_key(ec.SECP256R1()).public_key() for label in (*SEALS.values(), UNIT)})

    @classmethod
    def in_softhsm(cls, folder: Path) -> Office:
        """With the keys that ``make_keys`` has made in this folder."""
        keys = {label: load_der_public_key(base64.b64decode(spki)) for label, spki in json.loads((folder / KEYS).read_bytes()).items()}
        return cls(folder, keys, softhsm.settings_of(folder / "hsm", TOKEN))

    def _seal(self, kind: str, quorum: Mapping[str, int], content_policy: str = "report") -> Seal:
        label = SEALS[kind]
        return Seal(uuid7(), kind, label, self.ca.seal(f"Example {kind}", self.public_keys[label]), quorum, content_policy)

    def seed(self) -> dict[str, Any]:
        """The register's seed, as the ceremony reads it."""
        return {
            "office": "Example Office",
            "people": [one.as_seed() for one in (self.ada, self.bo, self.chen, self.dai)],
            "issuers": [b64url(spki(self.issuer.public_key()))],
            "seals": [self.seal_record(seal) for seal in self.seals.values()],
            "register_quorum": 2,
        }

    def seal_record(self, seal: Seal) -> dict[str, Any]:
        """As the register takes a seal."""
        chain = (self.ca.issuing, self.ca.root)
        return {
            "id": seal.id,
            "name": f"Example {seal.kind}",
            "kind": seal.kind,
            "key_label": seal.label,
            "certificate": b64url(seal.certificate.public_bytes(Encoding.DER)),
            "chain": [b64url(one.public_bytes(Encoding.DER)) for one in chain],
            "pictures": [hashlib.sha256(self.picture).hexdigest()],
            "quorum": [f"{action}:{least}" for action, least in seal.quorum.items()],
            "content_policy": seal.content_policy,
            **({"certification": seal.certification} if seal.certification else {}),
        }

    def visible(self, *, page: int = 0) -> Placement:
        """The seal's picture on one page, with texts."""
        mark = Mark((page,), Rectangle(300_000, 100_000, 419_000, 219_000), hashlib.sha256(self.picture).digest())
        return Placement((mark,), SignatureTexts(name="Example Office", reason="Approved"))

    def claims(self, covers: Covers, *, seal: str | None = "contract", **changes: Any) -> Claims:
        """Claims as the workflow makes them, without decisions."""
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        values: dict[str, Any] = {
            "jti": uuid7(),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.client,
            "iat": now - 10,
            "nbf": now - 10,
            "exp": now + 3600,
            "form": "TEST-2026-000001",
            "seal": self.seals[seal].id if seal else "",
            "action": "seal",
            "covers": covers,
            "policy": Policy("default", 1, 0),
            "decisions": (),
        }
        return Claims(**{**values, **changes})

    def decided(self, claims: Claims, *approvers: Person, applicant: Person | None = None) -> Claims:
        """The claims with decisions by these people."""
        decided = [decisions.sign(claims.context, one.id, "approve", claims.iat, one.sign) for one in approvers]
        if applicant is not None:
            decided.insert(0, decisions.sign(claims.context, applicant.id, "apply", claims.iat, applicant.sign))
        return replace(claims, decisions=tuple(decided))

    def encode(self, claims: Claims, *, issuer: ec.EllipticCurvePrivateKey | None = None) -> str:
        """The token over these claims."""
        key = issuer or self.issuer
        return encode(claims, kid=key_id(spki(key.public_key())), sign=lambda data: key.sign(data, ec.ECDSA(hashes.SHA256())))

    def approve(
        self,
        documents: Sequence[bytes],
        *,
        placement: Placement | None = None,
        by: Sequence[Person] | None = None,
        **changes: Any,
    ) -> Approved:
        """An approved manifest over ``documents``; two approve unless ``by`` says otherwise."""
        place = placement or Placement()
        entries = [DocumentEntry(f"d{index}.pdf", hashlib.sha256(one).digest(), len(one), place) for index, one in enumerate(documents)]
        manifest = Manifest.build(entries)
        claims = self.decided(self.claims(manifest.covers, **changes), *((self.bo, self.chen) if by is None else by), applicant=self.ada)
        return Approved(self.encode(claims), claims, tuple(documents), requests_of(manifest, documents))

    def grant(self, most_uses: int, *, template: str | None = None, by: Sequence[Person] | None = None, **changes: Any) -> Approved:
        """An approved grant."""
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        covers = GrantCovers(most_uses, changes.pop("until", now + 1800), template)
        claims = self.decided(self.claims(covers, **changes), *((self.bo, self.chen) if by is None else by), applicant=self.ada)
        return Approved(self.encode(claims), claims, (), ())

    def act(
        self, action: str, parameters: Mapping[str, Any], *, sub: str, seal: str | None = None, by: Sequence[Person] | None = None
    ) -> str:
        """A token for an act that was filed a moment ago and is approved now."""
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        claims = self.claims(ActCovers(parameters), seal=seal, action=action, sub=sub)
        given = [decisions.sign(claims.context, one.id, "approve", now, one.sign) for one in ((self.bo, self.chen) if by is None else by)]
        return self.encode(replace(claims, decisions=tuple(given)))

    def stop(self, kind: str, subject: str, *, officer: Person | None = None, reason: str = "drill") -> signer_pb2.StopRequest:
        """An officer's signed stop, now."""
        who = officer or self.dai
        time = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        statement = stops.StopStatement(kind, subject, who.id, reason, time)
        signature = stops.sign(statement, who.sign)
        return signer_pb2.StopRequest(subject_kind=kind, subject=subject, officer=who.id, reason=reason, time=time, signature=signature)


def make_keys(folder: Path) -> Path:
    """The declared keys of the signer in a SoftHSM token of its own, made by the program that makes them. The same folder."""
    folder.mkdir(exist_ok=True)
    settings = folder / "token.toml"
    write_toml(settings, softhsm.create(folder / "hsm", TOKEN).model_dump(mode="json", exclude_none=True))
    command: list[str | Path] = [sys.executable, "-m", "hsm_config.keygen", "--token", "signer", "--settings", settings]
    (folder / KEYS).write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return folder


def leaf_of(request: ItemRequest, size: int) -> Leaf:
    """The leaf that a request stands for."""
    return Leaf(request.salt, request.index, size, request.document_sha256, request.size_bytes, request.placement)


def write_toml(path: Path, values: Mapping[str, Any]) -> None:
    """A settings file."""
    path.write_text(toml.dump(values), "utf-8")
