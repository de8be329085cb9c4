"""What a CRL (RFC 5280 §5) or an OCSP answer (RFC 6960 §4.2) says about one certificate, once its signature is checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from asn1crypto.keys import PublicKeyInfo
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from longterm.certificates import Certificate, certificate
from sealcore import pem
from sealcore.unreadable import UNREADABLE

_KNOWN_ON_CRL: Final = (ExtensionOID.ISSUING_DISTRIBUTION_POINT, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER)


class UnfitError(Exception):
    """The answer says nothing about this certificate, or is not its issuer's; the message says why."""


@dataclass(frozen=True)
class Answer:
    """One checked answer about one certificate; times are UTC.

    revoked_at  when it was revoked, or became invalid if that was said and is earlier; None: it was in good standing
    delegate    who signed an OCSP answer in the issuer's stead; ``nocheck``: nobody has to ask about that certificate in turn
    """

    der: bytes
    is_crl: bool
    this_update: datetime
    next_update: datetime | None
    revoked_at: datetime | None = None
    delegate: Certificate | None = None
    nocheck: bool = False


@lru_cache(maxsize=8192)
def from_crl(der: bytes, about: Certificate, issuer: Certificate) -> Answer:
    """What a CRL says; UnfitError where it is not about this certificate, or only about a part of the reasons."""
    crl = _crl(der, issuer)
    _require_scope(crl, about)
    entry = crl.get_revoked_certificate_by_serial_number(about.parsed.serial_number)
    return Answer(der, True, crl.last_update_utc, crl.next_update_utc, _revoked_at(entry) if entry is not None else None)


def _crl(der: bytes, issuer: Certificate) -> x509.CertificateRevocationList:
    found = _judged(der, issuer)
    if isinstance(found, str):
        raise UnfitError(found)
    return found


@lru_cache(maxsize=256)
def _judged(der: bytes, issuer: Certificate) -> x509.CertificateRevocationList | str:
    """The CRL, or what speaks against it: known, too, so that a false list is not read again for every question."""
    try:
        return _read_crl(der, issuer)
    except UnfitError as fault:
        return str(fault)


def _read_crl(der: bytes, issuer: Certificate) -> x509.CertificateRevocationList:
    try:
        crl = x509.load_der_x509_crl(der)
        if crl.issuer != issuer.parsed.subject:
            raise UnfitError("it is from a different CA")
        usage = issuer.extension(x509.KeyUsage)
        if (usage is not None and not usage.crl_sign) or not pem.is_signed_by(crl, issuer.parsed):
            raise UnfitError("its signature does not verify")
        if any(each.critical and each.oid not in _KNOWN_ON_CRL for each in crl.extensions):
            raise UnfitError("it has a critical extension that is not known here")
    except UNREADABLE as fault:
        raise UnfitError(f"it cannot be read ({type(fault).__name__})") from None
    return crl


def _require_scope(crl: x509.CertificateRevocationList, about: Certificate) -> None:
    """The CRL's scope (IssuingDistributionPoint, §5.2.5) holds the certificate, for all reasons."""
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return
    constraints = about.extension(x509.BasicConstraints)
    is_ca = constraints is not None and constraints.ca
    if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs:
        raise UnfitError("it is indirect, or for some reasons or for attribute certificates alone")
    if (scope.only_contains_ca_certs and not is_ca) or (scope.only_contains_user_certs and is_ca):
        raise UnfitError("it is for another kind of certificates")
    if scope.full_name is not None:
        names = {name.value for name in scope.full_name if isinstance(name, x509.UniformResourceIdentifier)}
        if not names & set(about.crl_urls):
            raise UnfitError("it belongs to another distribution point")
    elif scope.relative_name is not None:
        raise UnfitError("its distribution point is named relative to its issuer")


def _revoked_at(entry: x509.RevokedCertificate) -> datetime:
    try:
        invalid = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    except (x509.ExtensionNotFound, ValueError):
        return entry.revocation_date_utc
    return min(invalid, entry.revocation_date_utc)


@lru_cache(maxsize=8192)
def from_ocsp(der: bytes, about: Certificate, issuer: Certificate) -> Answer:
    """What an OCSP answer says; UnfitError where it is not about this certificate, or not signed by who may."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise UnfitError(f"the responder says {response.response_status.name.lower()}")
        single = next((each for each in response.responses if _is_about(each, about, issuer)), None)
        if single is None:
            raise UnfitError("it is about another certificate")
        delegate = _signer(response, issuer)
        if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise UnfitError("the responder does not know the certificate")
        revoked_at = single.revocation_time_utc if single.certificate_status is ocsp.OCSPCertStatus.REVOKED else None
        nocheck = delegate is None or delegate.extension(x509.OCSPNoCheck) is not None
        return Answer(der, False, single.this_update_utc, single.next_update_utc, revoked_at, delegate, nocheck)
    except UNREADABLE as fault:
        raise UnfitError(f"it cannot be read, or its signature does not verify ({type(fault).__name__})") from None


def _is_about(single: Any, about: Certificate, issuer: Certificate) -> bool:
    if single.serial_number != about.parsed.serial_number:
        return False
    name, key = Hash(single.hash_algorithm), Hash(single.hash_algorithm)
    name.update(issuer.parsed.subject.public_bytes())
    key.update(_key_bits(issuer.parsed))
    return bool(single.issuer_name_hash == name.finalize() and single.issuer_key_hash == key.finalize())


def _signer(response: ocsp.OCSPResponse, issuer: Certificate) -> Certificate | None:
    """The delegate who signed it (RFC 6960 §4.2.2.2), None where it was the issuer itself. InvalidSignature, UnfitError."""
    if _names(response, issuer.parsed):
        _verify(response, issuer.parsed)
        return None
    for candidate in response.certificates:
        if not _names(response, candidate):
            continue
        own = certificate(candidate.public_bytes(Encoding.DER))
        usage = own.extension(x509.ExtendedKeyUsage)
        if usage is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
            raise UnfitError("its signer is not certified for OCSP")
        candidate.verify_directly_issued_by(issuer.parsed)
        _verify(response, candidate)
        return own
    raise UnfitError("its signer's certificate is not in it")


def _names(response: ocsp.OCSPResponse, one: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == one.subject
    digest = Hash(SHA1())  # noqa: S303  (names a key, RFC 6960 §4.2.1)
    digest.update(_key_bits(one))
    return response.responder_key_hash == digest.finalize()


def _key_bits(one: x509.Certificate) -> bytes:
    """The subjectPublicKey without tag, length and unused bits, as CertID hashes it (RFC 6960 §4.1.1)."""
    info: Any = PublicKeyInfo.load(one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return bytes(info["public_key"].contents[1:])


def _verify(response: ocsp.OCSPResponse, signer: x509.Certificate) -> None:
    key, signature, data, chosen = signer.public_key(), response.signature, response.tbs_response_bytes, response.signature_hash_algorithm
    if isinstance(key, rsa.RSAPublicKey) and chosen is not None:
        key.verify(signature, data, padding.PKCS1v15(), chosen)
    elif isinstance(key, ec.EllipticCurvePublicKey) and chosen is not None:
        key.verify(signature, data, ec.ECDSA(chosen))
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, data)
    else:
        raise UnfitError("its signature is of an unknown kind")
