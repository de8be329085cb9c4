"""The CA as the operator sees it: certificates, their standing, CRLs. Over gRPC with the operator's certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.revocation.change import Change, Kind
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.client import call, channel
from sealcore.unreadable import UNREADABLE
from vermilion.remote.workflow_client import tls_of
from vermilion.state.layout import Layout
from vermilion.state.office import Office

TIMEOUT_S = 30.0  # a CRL is made and linted before the answer
_PEM = b"-----BEGIN"


class CaClient:
    """Calls of the operator; every refusal comes back as the typed error that the CA raised."""

    def __init__(self, layout: Layout, office: Office, *, identity: str = "operator") -> None:
        self._channel = channel(office.listen("ca").target, tls_of(layout, identity))
        self._stub: Any = ca_pb2_grpc.CertificateAuthorityStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> CaClient:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._channel.close()

    def profiles(self) -> list[ca_pb2.ProfileRecord]:
        """What each kind of certificate is like."""
        return list(self._call(self._stub.ListProfiles, ca_pb2.ListProfilesRequest()).profiles)

    def certificates(self, profile: str = "") -> list[ca_pb2.CertificateRecord]:
        """Every certificate, or those of one profile, oldest first."""
        return list(self._call(self._stub.ListCertificates, ca_pb2.ListCertificatesRequest(profile=profile)).certificates)

    def find(self, wanted: Callable[[ca_pb2.CertificateRecord], bool], what: str) -> ca_pb2.CertificateRecord:
        """The one certificate that ``wanted`` takes; NOT_FOUND, or CONFLICT when it takes several."""
        records = self._call(self._stub.ListCertificates, ca_pb2.ListCertificatesRequest()).certificates
        matching = [one for one in records if one.certificate and wanted(one)]
        if not matching:
            raise VermilionError(Code.NOT_FOUND, f"the CAs have issued no certificate for {what}")
        if len(matching) > 1:
            raise VermilionError(Code.CONFLICT, f"{len(matching)} certificates are for {what}; name one by its serial number")
        found: ca_pb2.CertificateRecord = matching[0]
        return found

    def change(self, change: Change) -> str:
        """Revokes, holds or releases on the operator's own word; the number of the CRL that shows it."""
        serial, issuer = change.serial.to_bytes((change.serial.bit_length() + 7) // 8, "big"), change.issuer
        match change.kind:
            case Kind.REVOKE:
                invalid = change.as_json().get("invalidity_date", "")
                request = ca_pb2.RevokeRequest(serial=serial, issuer=issuer, reason=change.reason, invalidity_date=invalid)
                answer = self._call(self._stub.Revoke, request)
            case Kind.HOLD:
                answer = self._call(self._stub.Hold, ca_pb2.HoldRequest(serial=serial, issuer=issuer))
            case Kind.RELEASE:
                answer = self._call(self._stub.Release, ca_pb2.ReleaseRequest(serial=serial, issuer=issuer))
        return str(answer.crl_number)

    def publish(self, issuer: str) -> ca_pb2.CrlRecord:
        """A new CRL now."""
        record: ca_pb2.CrlRecord = self._call(self._stub.PublishCrl, ca_pb2.PublishCrlRequest(issuer=issuer))
        return record

    def crls(self) -> list[ca_pb2.CrlRecord]:
        """The newest CRL of each CA."""
        return list(self._call(self._stub.ListCrls, ca_pb2.ListCrlsRequest()).crls)

    def _call(self, method: Any, request: Any) -> Any:
        return call(self._channel, method, request, timeout_s=TIMEOUT_S)


def by_key(spki_der: bytes) -> Callable[[ca_pb2.CertificateRecord], bool]:
    """Takes the certificate of a public key (SubjectPublicKeyInfo)."""
    return lambda record: spki_of(record) == spki_der


def by_serial_or_file(text: str) -> Callable[[ca_pb2.CertificateRecord], bool]:
    """Takes the certificate in a file, or of a serial number in hex, with or without colons; INVALID_ARGUMENT for neither."""
    path = Path(text)
    if path.is_file():
        der = _certificate(path)
        return lambda record: record.certificate == der
    try:
        serial = int(text.replace(":", ""), 16)
    except ValueError:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{text!r} is neither a certificate's file nor a serial number in hex") from None
    return lambda record: int.from_bytes(record.serial, "big") == serial


def spki_of(record: ca_pb2.CertificateRecord) -> bytes:
    """The SubjectPublicKeyInfo of an issued certificate, DER."""
    key = x509.load_der_x509_certificate(record.certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_sha256(record: ca_pb2.CertificateRecord) -> bytes:
    """What the signer's register knows a seal's key by."""
    return hashlib.sha256(spki_of(record)).digest()


def _certificate(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        read = x509.load_pem_x509_certificate(data) if data.startswith(_PEM) else x509.load_der_x509_certificate(data)
    except UNREADABLE:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{path.name} holds no certificate") from None
    return read.public_bytes(Encoding.DER)
