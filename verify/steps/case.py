"""What the steps of reading work on: one document, and each signature found in it. Mutable while the steps run, then frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from sealcore.protocol.ledger_entry import signature_hash
from verify.codes import FindingCode, Row, Weight, heaviest
from verify.facts import fact, plain
from verify.opinion import Spot
from verify.report import Answer, Certification, Changed, Digest, Finding, Level, Seal, SealKind, Timestamp, finding, written
from verify.trust import TrustMaterial


@dataclass
class Signature:
    """A filled signature field. ``embedded`` is missing when its dictionary is too broken to be read as a signature.

    reference   number and generation of the field's object; None where it stands in the form itself
    spots       where something may show that was added after it; None where there is nothing to compare
    is_vouched  whether it is somebody else's whose certificate leads to an outside root that we declared
    """

    field_name: str
    embedded: EmbeddedPdfSignature | None
    signer_info: cms.SignerInfo | None = None
    certificate: x509.Certificate | None = None
    facts: dict[str, str] = field(default_factory=dict)  # what the report says of its certificate
    kind: SealKind = SealKind.FOREIGN
    findings: list[Finding] = field(default_factory=list)
    timestamp: Timestamp | None = None
    trusted_time: datetime | None = None  # of a timestamp that we trust
    covers_file: bool = False
    reference: tuple[int, int] | None = None
    is_vouched: bool = False
    spots: tuple[Spot, ...] | None = None
    changed: Changed = field(default_factory=Changed)
    certification: Certification = Certification.NONE
    level: Level | None = None

    @property
    def is_ours(self) -> bool:
        """Whether its certificate was issued by our CA."""
        return self.kind is SealKind.SEAL

    @property
    def is_sound(self) -> bool:
        """Whether it could be checked, and nothing found so far speaks against the signature itself."""
        return not any(
            each.row is Row.VALID and (each.weight is Weight.INVALID or each.code is FindingCode.CERTIFICATE_UNREADABLE)
            for each in self.findings
        )

    @property
    def has_key(self) -> bool:
        """Whether its certificate holds a key that we can load."""
        return "spki_sha256" in self.facts

    def describe(self, certificate: x509.Certificate) -> None:
        """Takes on the certificate, and names what of it cannot be read: others choose it, and may choose what no library knows."""
        self.certificate = certificate
        unread = []
        for name, read in _FACTS.items():
            try:
                self.facts[name] = read(certificate)
            except Exception:  # noqa: BLE001  (cryptography reads each part when it is asked for, and raises anything)
                unread.append(_PARTS.get(name, name))
        if unread:
            self.findings.append(
                finding(FindingCode.CERTIFICATE_UNREADABLE, *(fact(f"certificate_{each}") for each in dict.fromkeys(unread)))
            )

    def freeze(self) -> Seal:
        """What the report says of it."""
        return Seal(
            field=plain(self.field_name),
            kind=self.kind,
            sealed_at=written(self.trusted_time) if self.trusted_time else None,
            timestamp=self.timestamp,
            valid=self._valid(),
            changed=self.changed,
            findings=tuple({each.code: each for each in reversed(self.findings)}.values())[::-1],
            certification=self.certification,
            level=self.level,
            digest=_digest_of(self.embedded),
            signature_hash=signature_hash(self.signer_info["signature"].native).hex() if self.signer_info is not None else None,
            twin_hash=_twin_hash(self.signer_info, self.certificate),
            **self.facts,  # type: ignore[arg-type]  # by the names of Seal's members
        )

    def _valid(self) -> Answer:
        # Of the row "valid" alone: what happened afterwards, and whether the ledger knows it, are
        # questions of their own.
        weight = heaviest([each.weight for each in self.findings if each.row is Row.VALID])
        if weight is Weight.INVALID:
            return Answer.NO
        return Answer.YES if self.is_ours and weight is Weight.NOTE else Answer.UNKNOWN


@dataclass
class Case:
    """One document under examination at the instant ``now``.

    ``strict`` says whether the file is held to the letter of ISO 32000; many files in use are not, and are then read a second
    time leniently, with a note.
    """

    document: bytes
    trust: TrustMaterial
    now: datetime
    strict: bool = True
    reader: PdfFileReader | None = None
    signatures: list[Signature] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def readable(self) -> PdfFileReader:
        """The reader; the first step has set it."""
        assert self.reader is not None
        return self.reader


def _spki_sha256(certificate: x509.Certificate) -> str:
    spki = hashes.Hash(hashes.SHA256())
    spki.update(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return spki.finalize().hex()


def owner_of(certificate: x509.Certificate) -> str:
    """Whose seal it is: the organisation, or else the common name."""
    for attribute in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for each in certificate.subject.get_attributes_for_oid(attribute):
            return str(each.value)
    return certificate.subject.rfc4514_string()


def name_of(certificate: x509.Certificate) -> str:
    """The common name, or nothing."""
    return next((str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


_FACTS: dict[str, Callable[[x509.Certificate], str]] = {
    "owner": lambda certificate: plain(owner_of(certificate)),
    "name": lambda certificate: plain(name_of(certificate)),
    "subject": lambda certificate: plain(certificate.subject.rfc4514_string()),
    "issuer": lambda certificate: plain(certificate.issuer.rfc4514_string()),
    "serial": lambda certificate: f"{certificate.serial_number:x}",
    "spki_sha256": _spki_sha256,
}
_PARTS = {"owner": "subject", "name": "subject", "spki_sha256": "key"}


def _twin_hash(signer_info: cms.SignerInfo | None, certificate: x509.Certificate | None) -> str | None:
    """The hash of the other ECDSA signature, (r, n - s), that anybody can compute and that is as good (SEC 1 §4.1.4)."""
    try:
        key = certificate.public_key() if certificate is not None else None
        if signer_info is None or not isinstance(key, ec.EllipticCurvePublicKey):
            return None
        r, s = decode_dss_signature(signer_info["signature"].native)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # of others' certificates and signatures
        return None
    order = key.curve.group_order
    # Looked up as well: otherwise whoever respells a signature makes an authorised seal look
    # like one that nobody approved.
    return signature_hash(encode_dss_signature(r, order - s)).hex() if 0 < s < order else None


def _digest_of(embedded: EmbeddedPdfSignature | None) -> Digest | None:
    if embedded is None or not embedded.external_digests:
        return None
    algorithm, value = next(iter(embedded.external_digests.items()))
    return Digest(algorithm, value.hex())
