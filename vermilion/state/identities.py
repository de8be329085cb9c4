"""mTLS identities: software P-256 keys in 0600 files, certified for at most 30 days by the infrastructure CA."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ca.pki import is_issued_by
from sealcore.clock import SystemClock
from sealcore.platform import durable, renewal
from vermilion.remote.workflow_client import in_folder
from vermilion.state.layout import FOLDER_MODE

RENEW_BEFORE_DAYS = 10  # of at most 30: a state that is used now and then never meets an expired certificate
LOCAL_ADDRESSES = ("127.0.0.1",)


def private_file(path: Path, content: bytes) -> None:
    """Writes ``path`` whole or not at all, readable by its owner alone from its first moment."""
    durable.write(path, content, mode=durable.PRIVATE)


def request(folder: Path, uri: str, *, server: bool, common_name: str = "") -> bytes:
    """Makes a key in ``folder`` unless there is one, and its PKCS#10 request (DER) for this SAN URI; the URI's end is the default name."""
    key = own_key(folder)
    return _signed(key, uri, server=server, common_name=common_name)


def own_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """The key in ``folder``, made unless there is one."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    key_file = folder / "key.pem"
    if not key_file.exists():
        private_file(key_file, _private_pem(ec.generate_private_key(ec.SECP256R1())))
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _signed(key: ec.EllipticCurvePrivateKey, uri: str, *, server: bool, common_name: str) -> bytes:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    if server:
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in LOCAL_ADDRESSES]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or re.split("[/:]", uri)[-1])])
    )
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def current(folder: Path, now: datetime) -> bool:
    """Whether the certificate in ``folder`` is there, is of a CA that counts, and will do for a while yet."""
    certificate_file, trust_file = folder / "cert.pem", folder / "trust.pem"
    if not certificate_file.exists() or not trust_file.exists():
        return False
    certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
    if not any(is_issued_by(certificate, one) for one in x509.load_pem_x509_certificates(trust_file.read_bytes())):
        return False
    return (certificate.not_valid_after_utc - now).days >= RENEW_BEFORE_DAYS


def store(folder: Path, certificate: x509.Certificate, chain: Sequence[x509.Certificate], trust_pem: bytes) -> None:
    """Puts certificate, chain without the root, and trust beside the key."""
    private_file(folder / "cert.pem", chain_pem(certificate, chain))
    private_file(folder / "trust.pem", trust_pem)


def chain_pem(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> bytes:
    """Certificate and chain, PEM, without the root, which whoever trusts it has."""
    without_root = [one for one in (certificate, *chain) if one.subject != one.issuer]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in without_root)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def renew_client(folder: Path, ca_target: str) -> datetime:
    """Renews the bundle in ``folder`` by the certificate that it holds; until when the new one counts. Raises as ``sealcore.platform.renewal.renew``."""
    return renewal.renew(in_folder(folder), ca_target, SystemClock()).not_valid_after_utc
