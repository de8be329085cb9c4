"""mTLS identities: software P-256 keys in 0600 files, certified for at most 30 days by the infrastructure CA."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ca.pki import is_issued_by
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore import durable, renewal
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.identity import read, replace
from sealcore.rpc import channel, from_rpc_error
from vermilion.desk import in_folder, tls_of
from vermilion.layout import FOLDER_MODE, Layout
from vermilion.office import Office
from vermilion.trust_files import mtls_trust

RENEW_BEFORE_DAYS = 10  # of at most 30: a state that is used now and then never meets an expired certificate
LOCAL_ADDRESSES = ("127.0.0.1",)
CALL_TIMEOUT_S = 30.0


def private_file(path: Path, content: bytes) -> None:
    """Writes ``path`` whole or not at all, readable by its owner alone from its first moment."""
    durable.write(path, content, mode=durable.PRIVATE)


def request(folder: Path, uri: str, *, server: bool) -> bytes:
    """Makes a key in ``folder`` unless there is one, and its PKCS#10 request (DER) for this SAN URI."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    key_file = folder / "key.pem"
    if not key_file.exists():
        private_file(key_file, _private_pem(ec.generate_private_key(ec.SECP256R1())))
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return _signed(key, uri, server=server)


def _signed(key: ec.EllipticCurvePrivateKey, uri: str, *, server: bool) -> bytes:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    if server:
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in LOCAL_ADDRESSES]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, re.split("[/:]", uri)[-1])])
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
    private_file(folder / "cert.pem", _chain_pem(certificate, chain))
    private_file(folder / "trust.pem", trust_pem)


def _chain_pem(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> bytes:
    without_root = [one for one in (certificate, *chain) if one.subject != one.issuer]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in without_root)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def issue_client(layout: Layout, office: Office, uri: str, folder: Path) -> None:
    """A client's bundle from the running CA: key, certificate, trust; CONFLICT when the folder holds a key already."""
    if (folder / "key.pem").exists():
        raise VermilionError(Code.CONFLICT, f"{folder} holds a key already; take another name or --out")
    certificate, chain = _issue_client(layout, office, uri, request(folder, uri, server=False))
    store(folder, certificate, chain, mtls_trust(layout, SystemClock().now()))


def renew_client(folder: Path, ca_target: str, office: tuple[Layout, Office] | None = None) -> datetime:
    """Renews the bundle in ``folder`` by the certificate that it holds; until when the new one counts.

    Where the office is at hand, its operator has one that has expired issued anew. Raises as ``sealcore.renewal.renew``.
    """
    tls = in_folder(folder)
    try:
        return renewal.renew(tls, ca_target, SystemClock()).not_valid_after_utc
    except VermilionError as fault:
        if fault.code is not Code.CERTIFICATE_EXPIRED or office is None:
            raise
    names = read(tls).certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, chain = _issue_client(*office, uri, _signed(key, uri, server=False))
    replace(tls, _private_pem(key), _chain_pem(certificate, chain))
    return certificate.not_valid_after_utc


def _issue_client(layout: Layout, office: Office, uri: str, request_der: bytes) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """A client's certificate and its chain, on the operator's word."""
    message = ca_pb2.IssueRequest(request=request_der, profile="client", subject_uri=uri)
    with channel(office.listen("ca").target, tls_of(layout, "operator")) as line:
        stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)  # type: ignore[no-untyped-call]
        try:
            answer = stub.Issue(message, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as fault:
            raise from_rpc_error(fault) from None
    return x509.load_der_x509_certificate(answer.certificate), [x509.load_der_x509_certificate(one) for one in answer.chain]
