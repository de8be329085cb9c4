"""The PKI folder: the authorities' certificates as files, which every service and every relying party may read.

seals.pem, seals.2.pem          an authority of each generation; a root's is signed by itself
root.2-by-root.pem              a cross certificate: the one certified again, under its own key and name, by the other
seals.csr                       a request between two steps of the ceremony
root.crl, root.2.crl            the roots' CRLs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.names import ROLES, IssuerName, generations, is_name, role_of
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log


class Cross(NamedTuple):
    """Whom a cross certificate is for, and whose it is."""

    subject: IssuerName
    issuer: IssuerName


@dataclass(frozen=True)
class Hierarchy:
    """Our authorities, and the cross certificates among them."""

    authorities: Mapping[IssuerName, x509.Certificate]
    crosses: Mapping[Cross, x509.Certificate] = field(default_factory=lambda: MappingProxyType({}))

    def certificates_of(self, name: IssuerName) -> list[x509.Certificate]:
        """An authority's own certificate, then its cross certificates; NOT_FOUND for a name that we do not have."""
        if name not in self.authorities:
            raise VermilionError(Code.NOT_FOUND, f"there is no CA {name}; there are {', '.join(self.authorities)}")
        return [self.authorities[name], *(each for cross, each in self.crosses.items() if cross.subject == name)]


class PkiFolder:
    """The hierarchy as it lies in the folder now: what a rollover adds is seen without a restart. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """Raises CONFIGURATION_INVALID."""
        self._folder = folder
        self._seen = self._stamp(), load_hierarchy(folder)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._folder

    @property
    def current(self) -> Hierarchy:
        """The newest hierarchy that could be read; while a rollover has written a part of its files, perhaps the one before."""
        stamp, present = self._seen
        if stamp == self._stamp():
            return present
        stamp = self._stamp()  # before reading: what changes meanwhile is read again
        try:
            present = load_hierarchy(self._folder)
        except VermilionError as fault:
            get_log("pki").warning("the PKI folder cannot be read anew; what was read before counts", reason=fault.reason)
        self._seen = stamp, present
        return present

    def _stamp(self) -> int:
        return self._folder.stat().st_mtime_ns  # every file comes in by a rename


def authority_file(folder: Path, name: IssuerName) -> Path:
    """Where the certificate of an authority lies."""
    return folder / f"{name}.pem"


def cross_file(folder: Path, cross: Cross) -> Path:
    """Where a cross certificate lies."""
    return folder / f"{cross.subject}-by-{cross.issuer}.pem"


def request_file(folder: Path, name: IssuerName) -> Path:
    """Where the PKCS#10 request of an issuing CA lies between two steps of the ceremony."""
    return folder / f"{name}.csr"


def load_authority(folder: Path, name: IssuerName) -> x509.Certificate:
    """The certificate of one authority; CONFIGURATION_INVALID when the ceremony has not made it."""
    return _load(authority_file(folder, name))


def load_authorities(folder: Path) -> Mapping[IssuerName, x509.Certificate]:
    """Roots and issuing CAs of all generations, oldest first, checked to be one hierarchy; CONFIGURATION_INVALID when they are not."""
    present = [path.stem for path in folder.glob("*.pem") if is_name(path.stem)]
    names = [name for role in ROLES for name in generations(role, present) or [role]]
    found = {name: load_authority(folder, name) for name in names}
    roots = [found[name] for name in generations("root", names)]
    for name, certificate in found.items():
        issuers = [certificate] if role_of(name) == "root" else roots
        # By signature, not by name: a file that was put into the folder must not become an
        # authority.
        if not any(is_issued_by(certificate, issuer) for issuer in issuers):
            raise VermilionError(Code.CONFIGURATION_INVALID, f"the root has not issued {name}.pem")
    return MappingProxyType(found)


def load_crosses(folder: Path, authorities: Mapping[IssuerName, x509.Certificate]) -> Mapping[Cross, x509.Certificate]:
    """The cross certificates among these authorities; CONFIGURATION_INVALID for a file that is not what its name says."""
    found: dict[Cross, x509.Certificate] = {}
    for issuer in generations("root", authorities):
        for subject in authorities:
            path = cross_file(folder, Cross(subject, issuer))
            if not path.exists():
                continue
            certificate = _load(path)
            if not (same_authority(certificate, authorities[subject]) and is_issued_by(certificate, authorities[issuer])):
                raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} is no cross certificate for {subject} by {issuer}")
            found[Cross(subject, issuer)] = certificate
    return MappingProxyType(found)


def load_hierarchy(folder: Path) -> Hierarchy:
    """Authorities and cross certificates; CONFIGURATION_INVALID when they do not belong together."""
    authorities = load_authorities(folder)
    return Hierarchy(authorities, load_crosses(folder, authorities))


def root_of(certificate: x509.Certificate, authorities: Mapping[IssuerName, x509.Certificate]) -> IssuerName:
    """Which root issued an authority's certificate; CONFIGURATION_INVALID when none of them did."""
    for name in generations("root", authorities):
        if is_issued_by(certificate, authorities[name]):
            return name
    raise VermilionError(Code.CONFIGURATION_INVALID, f"no root of ours has issued {certificate.subject.rfc4514_string()}")


def same_authority(one: x509.Certificate, other: x509.Certificate) -> bool:
    """Whether two certificates are for the same key and name."""
    return one.subject == other.subject and spki_of(one) == spki_of(other)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` has signed ``certificate``, by name and key."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} cannot be read; run the ceremony's step for it") from None


def spki_of(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo, DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
