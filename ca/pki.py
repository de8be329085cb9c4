"""The PKI folder: the authorities' certificates as files, which every service and every relying party may read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca.profiles import ISSUING, IssuerName
from sealcore.errors import Code, VermilionError


def authority_file(folder: Path, name: IssuerName) -> Path:
    """Where the certificate of an authority lies."""
    return folder / f"{name}.pem"


def request_file(folder: Path, name: IssuerName) -> Path:
    """Where the PKCS#10 request of an issuing CA lies between two steps of the ceremony."""
    return folder / f"{name}.csr"


def load_authority(folder: Path, name: IssuerName) -> x509.Certificate:
    """The certificate of one authority; CONFIGURATION_INVALID when the ceremony has not made it."""
    path = authority_file(folder, name)
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} cannot be read; run the ceremony's step for it") from None


def load_authorities(folder: Path) -> Mapping[IssuerName, x509.Certificate]:
    """Root and issuing CAs, checked to be one hierarchy; CONFIGURATION_INVALID when they are not."""
    found: dict[IssuerName, x509.Certificate] = {"root": load_authority(folder, "root")}
    for name in ISSUING:
        found[name] = load_authority(folder, name)
        try:
            found[name].verify_directly_issued_by(found["root"])
        except (ValueError, TypeError, InvalidSignature):
            raise VermilionError(Code.CONFIGURATION_INVALID, f"the root has not issued {name}.pem") from None
    return MappingProxyType(found)
