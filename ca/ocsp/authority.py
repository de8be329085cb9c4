"""The CAs that are answered for. A CertID names one by hashes of its name and key (RFC 6960 §4.1.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asn1crypto import core, keys
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.names import IssuerName, Role, role_of
from ca.ocsp.question import CertId

HASHES: Final = ("sha1", "sha256", "sha384", "sha512")
PRESIGNED_HASHES: Final = ("sha1", "sha256")  # what clients ask with: RFC 5019 §2.1.1, and its successor's choice


@dataclass(frozen=True)
class Authority:
    """An issuing CA of one generation."""

    name: IssuerName
    certificate: x509.Certificate
    hashes: Mapping[str, tuple[bytes, bytes]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        subject = self.certificate.subject.public_bytes()
        key = public_key_bits(self.certificate)
        found = {name: (hashlib.new(name, subject).digest(), hashlib.new(name, key).digest()) for name in HASHES}
        object.__setattr__(self, "hashes", found)

    @property
    def role(self) -> Role:
        """What the CA is for."""
        return role_of(self.name)

    @property
    def archive_cutoff(self) -> datetime | None:
        """Since when answers are given also about expired certificates (RFC 6960 §4.4.4).

        For seals from the CA's first day on, as ETSI EN 319 411-2 asks: a seal must be provable long after its certificate ended.
        """
        return self.certificate.not_valid_before_utc.replace(microsecond=0) if self.role == "seals" else None

    def is_issuer_in(self, cert_id: CertId) -> bool:
        """Whether a CertID is about a certificate of this CA."""
        return self.hashes.get(cert_id.hash_name) == (cert_id.issuer_name_hash, cert_id.issuer_key_hash)


def public_key_bits(certificate: x509.Certificate) -> bytes:
    """The subjectPublicKey without tag, length and unused bits: what key hashes are made of."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits: core.BitString = keys.PublicKeyInfo.load(spki)["public_key"]
    return bytes(bits.contents)[1:]


def find(authorities: Iterable[Authority], cert_id: CertId) -> Authority | None:
    """The CA that a CertID names, or None when it is not one of these."""
    return next((authority for authority in authorities if authority.is_issuer_in(cert_id)), None)
