"""What we trust: our root, our issuing CAs, and the CRLs that we hold ourselves. Nothing else, and never what a document brings.

A trust decision of the machine's own web roots plays no part, and nothing here is ever fetched because a document names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509

from sealcore import pem
from sealcore.errors import Code, VermilionError
from sealcore.unreadable import UNREADABLE


@dataclass(frozen=True)
class Outside:
    """Anchors of others, CAs that may lie below them, and verified CRLs.

    Those of outside TSAs count for timestamps alone, those of outside signers for signatures after our seals alone.
    """

    roots: tuple[x509.Certificate, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = ()

    def crls_of(self, issuer: x509.Certificate) -> list[x509.CertificateRevocationList]:
        """The CRLs that ``issuer`` signed, newest first."""
        return _newest_first(self.crls, issuer)


@dataclass(frozen=True)
class TrustMaterial:
    """Roots, the issuing CAs for seals and timestamp units, and verified CRLs.

    timestamp_anchors  end the chains of outside TSAs; timestamp_issuers  may lie in between
    signer_anchors     end the chains of others who may sign after us; signer_issuers  may lie in between

    Construction checks that each issuing CA comes from a root and that each CRL is signed by one of them; raises
    CONFIGURATION_INVALID. An empty ``crls`` is allowed: revocation is then unknown and nothing is found valid.
    """

    roots: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    timestamp_anchors: tuple[x509.Certificate, ...] = ()
    timestamp_issuers: tuple[x509.Certificate, ...] = ()
    signer_anchors: tuple[x509.Certificate, ...] = ()
    signer_issuers: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        if not self.roots:
            raise VermilionError(Code.CONFIGURATION_INVALID, "a verifier needs at least one root")
        # Here, at construction, so that no step below has to ask where an authority came from.
        for issuer in self.issuers:
            if not any(issued(issuer, root) for root in self.roots):
                raise VermilionError(Code.CONFIGURATION_INVALID, f"{issuer.subject.rfc4514_string()} does not come from a trusted root")
        for crl in self.crls:
            if signer_of(crl, self.authorities) is None:
                raise VermilionError(Code.CONFIGURATION_INVALID, "a CRL is not signed by any of our authorities")

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """Everyone whose CRLs count."""
        outside = (*self.timestamp_anchors, *self.timestamp_issuers, *self.signer_anchors, *self.signer_issuers)
        return (*self.roots, *self.issuers, *outside)

    @property
    def outside_tsas(self) -> Outside:
        """What outside TSAs are judged by."""
        return Outside(self.timestamp_anchors, self.timestamp_issuers, self.crls)

    @property
    def outside_signers(self) -> Outside:
        """What the signatures of others are judged by."""
        return Outside(self.signer_anchors, self.signer_issuers, self.crls)

    def with_crls(self, crls: Iterable[x509.CertificateRevocationList]) -> TrustMaterial:
        """The same with other CRLs."""
        return replace(self, crls=tuple(crls))

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Which of our issuing CAs signed ``certificate``, whatever else is true of it."""
        return next((issuer for issuer in self.issuers if issued(certificate, issuer)), None)

    def crls_of(self, issuer: x509.Certificate) -> list[x509.CertificateRevocationList]:
        """The CRLs that ``issuer`` signed, newest first."""
        return _newest_first(self.crls, issuer)

    @classmethod
    def load(
        cls,
        root_file: Path,
        issuers_file: Path,
        crl_files: Iterable[Path] = (),
        *,
        timestamp_anchors_files: Iterable[Path] = (),
        timestamp_issuers_files: Iterable[Path] = (),
        signer_anchors_files: Iterable[Path] = (),
        signer_issuers_files: Iterable[Path] = (),
    ) -> TrustMaterial:
        """From PEM files (CRLs PEM or DER); raises CONFIGURATION_INVALID naming the file."""
        return cls(
            certificates(root_file),
            certificates(issuers_file),
            tuple(crl_of(path.read_bytes()) for path in crl_files),
            tuple(each for path in timestamp_anchors_files for each in certificates(path)),
            tuple(each for path in timestamp_issuers_files for each in certificates(path)),
            tuple(each for path in signer_anchors_files for each in certificates(path)),
            tuple(each for path in signer_issuers_files for each in certificates(path)),
        )


def certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a file, PEM or DER; raises CONFIGURATION_INVALID."""
    try:
        return tuple(pem.certificates(path.read_bytes()))
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} cannot be read ({type(fault).__name__})") from None
    except pem.EncodingError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} {fault}") from None


def crl_of(data: bytes) -> x509.CertificateRevocationList:
    """A CRL from DER or PEM; raises CONFIGURATION_INVALID."""
    try:
        return pem.crl(data)
    except pem.EncodingError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the CRL {fault}") from None


def _newest_first(crls: Iterable[x509.CertificateRevocationList], issuer: x509.Certificate) -> list[x509.CertificateRevocationList]:
    signed = (crl for crl in crls if signer_of(crl, (issuer,)) is not None)
    return sorted(signed, key=lambda crl: crl.last_update_utc, reverse=True)


def signer_of(crl: x509.CertificateRevocationList, authorities: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """Which authority signed ``crl``."""
    for authority in authorities:
        # By name and key: a CA that was renewed has the same name and another key.
        if authority.subject == crl.issuer and pem.is_signed_by(crl, authority):
            return authority
    return None


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate``, whatever else is true of it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except UNREADABLE:
        return False
    return True
