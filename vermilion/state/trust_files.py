"""What services trust, as files made of the PKI folder: every generation of an authority counts until its certificate ends.

pki/seals-chain.pem   issuing CAs of seals, then the roots: the signer's
pki/seals-cas.pem     issuing CAs of seals with their cross certificates: the verifier's
pki/roots.pem         the roots: the verifier's
tls/NAME/trust.pem    issuing CAs of mTLS identities; running services read it again when it changes
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.names import IssuerName, Role, generations
from ca.pki import Hierarchy, authority_file, is_issued_by, load_hierarchy
from sealcore import pem
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.state.layout import Layout


def write_all(layout: Layout, now: datetime) -> None:
    """Makes the files anew; those that are as they should be stay untouched."""
    hierarchy = load_hierarchy(layout.pki)
    seals, roots = in_force(hierarchy, "seals", now), in_force(hierarchy, "root", now)
    cas = [certificate for name in seals for certificate in hierarchy.certificates_of(name)]
    _write(layout.pki / "seals-chain.pem", _pem(hierarchy.authorities[name] for name in (*seals, *roots)), durable.PRIVATE)
    _write(layout.pki / "seals-cas.pem", _pem(cas), durable.PUBLIC)
    _write(layout.pki / "roots.pem", _pem(hierarchy.authorities[name] for name in roots), durable.PUBLIC)
    mtls = mtls_trust(layout, now)
    for folder in _identities(layout):
        _write(folder / "trust.pem", mtls, durable.PRIVATE)


def mtls_trust(layout: Layout, now: datetime) -> bytes:
    """PEM of the infrastructure CAs in force. A revoked one is left out: where they are trusted themselves nobody asks the root's CRL."""
    hierarchy = load_hierarchy(layout.pki)
    found = (hierarchy.authorities[name] for name in in_force(hierarchy, "infrastructure", now))
    return _pem(certificate for certificate in found if not is_revoked(layout, certificate))


def is_revoked(layout: Layout, authority: x509.Certificate) -> bool:
    """Whether a root's CRL lists an authority's certificate."""
    crls = [_crl(file) for file in layout.pki.glob("root*.crl")]
    listed = (crl.get_revoked_certificate_by_serial_number(authority.serial_number) for crl in crls if crl.issuer == authority.issuer)
    return any(entry is not None for entry in listed)


def _crl(file: Path) -> x509.CertificateRevocationList:
    try:
        return pem.crl(file.read_bytes())
    except pem.EncodingError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{file.name} {fault}") from None


def in_force(hierarchy: Hierarchy, role: Role, now: datetime) -> list[IssuerName]:
    """The generations of a role whose own certificates have not ended, oldest first."""
    names = generations(role, hierarchy.authorities)
    return [name for name in names if hierarchy.authorities[name].not_valid_after_utc > now]


def issuer_file(layout: Layout, certificate_file: Path) -> Path:
    """The file of the authority that issued this certificate; CONFIGURATION_INVALID when none of ours did."""
    certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
    for name, authority in load_hierarchy(layout.pki).authorities.items():
        if is_issued_by(certificate, authority):
            return authority_file(layout.pki, name)
    raise VermilionError(Code.CONFIGURATION_INVALID, f"{certificate_file.name} is by no authority of ours")


def _identities(layout: Layout) -> Iterator[Path]:
    """The folders that hold an mTLS identity."""
    return (path.parent for path in sorted(layout.tls("").glob("*/trust.pem")))


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _write(path: Path, content: bytes, mode: int) -> None:
    if durable.read(path) != content:
        durable.write(path, content, mode=mode)
