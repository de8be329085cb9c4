"""A CA's statement about one of its certificates: an OCSP response (RFC 6960) or a CRL (RFC 5280 §5), verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealcore import pem
from sealcore.clock import SKEW, why_not_current
from sealcore.errors import Code, VermilionError
from sealcore.unreadable import UNREADABLE

Kind = Literal["ocsp", "crl"]
UNDATED_LIVES: Final = timedelta(
    hours=24
)  # how long an OCSP response without nextUpdate is used (RFC 6960 §4.2.2.1: newer information is always available)
_CRL_EXTENSIONS: Final = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuingDistributionPoint)


@dataclass(frozen=True)
class Link:
    """A certificate and the one that signed it."""

    certificate: x509.Certificate
    issuer: x509.Certificate

    @property
    def id(self) -> bytes:
        """SHA-256 of the certificate."""
        return self.certificate.fingerprint(hashes.SHA256())


@dataclass(frozen=True)
class Answer:
    """A verified answer about one certificate.

    der          as the CA signed it, whatever it came in
    next_update  from then on it says nothing any more
    """

    kind: Kind
    der: bytes
    revoked: bool
    this_update: datetime
    next_update: datetime


def read(kind: Kind, data: bytes, link: Link, now: datetime) -> Answer:
    """Reads and verifies an answer in DER or PEM. REVOCATION_UNAVAILABLE when it is about another certificate, not signed by its CA, or
    dated in the future. Whether it is still current is for the caller to ask."""
    try:
        answer = _ocsp(pem.der(data, pem.OCSP_RESPONSE), link, now) if kind == "ocsp" else _crl(pem.der(data, pem.CRL), link)
    except pem.EncodingError as fault:
        raise _unusable(f"the {kind.upper()} answer {fault}") from None
    except (*UNREADABLE, x509.ExtensionNotFound) as fault:
        raise _unusable(f"the {kind.upper()} answer cannot be verified ({type(fault).__name__})") from None
    if (why := why_not_current(now, made=answer.this_update)) is not None:
        raise _unusable(f"the {kind.upper()} answer {why}")
    return answer


def _unusable(reason: str) -> VermilionError:
    return VermilionError(Code.REVOCATION_UNAVAILABLE, reason)


def _crl(der: bytes, link: Link) -> Answer:
    crl = x509.load_der_x509_crl(der)
    # By name and by key: a CA whose name comes twice has a CRL for each of its keys.
    if crl.issuer != link.issuer.subject or not pem.is_signed_by(crl, link.issuer):
        raise _unusable("the CRL is not signed by the certificate's issuer")
    if crl.next_update_utc is None:
        raise _unusable("the CRL does not say until when it counts")
    _require_usage(link.issuer, "crl_sign")
    for extension in crl.extensions:
        # RFC 5280 §5.2: a CRL with an unknown critical extension must not be used to say that a
        # certificate is good. A delta CRL, which has one (§5.2.4), would be read as the whole list.
        if extension.critical and not isinstance(extension.value, _CRL_EXTENSIONS):
            raise _unusable(f"the CRL has the critical extension {extension.oid.dotted_string}, which we do not understand")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            _require_scope(extension.value, link.certificate)
    # On hold is revoked, too: a seal is not used while its CA doubts it.
    revoked = crl.get_revoked_certificate_by_serial_number(link.certificate.serial_number) is not None
    return Answer("crl", der, revoked, crl.last_update_utc, crl.next_update_utc)


def _require_scope(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> None:
    """The CRL covers this certificate, for every reason (RFC 5280 §6.3.3 b)."""
    is_authority = _is_authority(certificate)
    unfit = (
        scope.only_contains_attribute_certs
        or scope.only_contains_ca_certs > is_authority
        or scope.only_contains_user_certs > (not is_authority)
    )
    if unfit or scope.indirect_crl or scope.only_some_reasons is not None or scope.relative_name is not None:
        raise _unusable("the CRL does not cover this certificate for every reason")
    published = {name.value for point in _points(certificate) for name in point.full_name or ()}
    if scope.full_name is not None and published and published.isdisjoint(name.value for name in scope.full_name):
        raise _unusable("the CRL belongs to another distribution point than the certificate names")


def _points(certificate: x509.Certificate) -> list[x509.DistributionPoint]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value)
    except x509.ExtensionNotFound:
        return []


def _ocsp(der: bytes, link: Link, now: datetime) -> Answer:
    response = ocsp.load_der_ocsp_response(der)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise _unusable(f"the responder answers {response.response_status.name.lower()}")
    _require_signed(response, link.issuer, now)
    for extension in response.extensions:
        if extension.critical:
            raise _unusable(f"the OCSP response has the critical extension {extension.oid.dotted_string}, which we do not understand")
    # A response may be about several certificates, and about one of the same serial number by
    # another CA.
    single = next((one for one in response.responses if _is_about(one, link)), None)
    if single is None or single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise _unusable("the responder does not know the certificate")
    ends = single.next_update_utc or single.this_update_utc + UNDATED_LIVES
    return Answer("ocsp", der, single.certificate_status is ocsp.OCSPCertStatus.REVOKED, single.this_update_utc, ends)


def _is_about(single: ocsp.OCSPSingleResponse, link: Link) -> bool:
    algorithm = single.hash_algorithm
    asked = ocsp.OCSPRequestBuilder().add_certificate(link.certificate, link.issuer, algorithm).build()
    return (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
        asked.serial_number,
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )


def _require_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """Signed by the issuer itself, or by a responder that the issuer certified for this (RFC 6960 §4.2.2.2)."""
    for signer in (issuer, *response.certificates):
        if not _is_responder(response, signer):
            continue
        if signer != issuer:
            # Issued by the very CA in question: a responder of another one could otherwise vouch
            # for its certificates.
            signer.verify_directly_issued_by(issuer)
            purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            current = signer.not_valid_before_utc <= now + SKEW and now <= signer.not_valid_after_utc
            if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes or not current:
                raise _unusable("the OCSP responder's certificate is not for OCSP, or not valid now")
        _verify(signer, response)
        return
    raise _unusable("the OCSP response is not signed by the certificate's issuer or a responder of its")


def _is_responder(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == signer.subject
    key = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())  # SHA-1 of the key's bits, as RFC 6960 §4.2.1 has it
    return response.responder_key_hash == key.digest


def _verify(signer: x509.Certificate, response: ocsp.OCSPResponse) -> None:
    key: Any = signer.public_key()
    hash_algorithm = response.signature_hash_algorithm
    # Whoever finds a collision would have the CA sign a harmless response and show another.
    if isinstance(hash_algorithm, (hashes.SHA1, hashes.MD5)):
        raise _unusable("the OCSP response is signed over a broken hash")
    match key:
        case rsa.RSAPublicKey():
            assert hash_algorithm is not None, "every RSA signature names a hash"
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), hash_algorithm)
        case ec.EllipticCurvePublicKey():
            assert hash_algorithm is not None, "every ECDSA signature names a hash"
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hash_algorithm))
        case _:
            raise _unusable("the OCSP responder's key is of a kind that we do not verify")


def _require_usage(certificate: x509.Certificate, bit: str) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not getattr(usage, bit):
        raise _unusable("the issuer's certificate is not for signing CRLs")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def spki(certificate: x509.Certificate) -> bytes:
    """The certificate's SubjectPublicKeyInfo, DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
