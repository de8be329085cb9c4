"""What a document brings along for the time after its CAs are gone: certificates, CRLs and OCSP answers in its DSS (ISO 32000-2 §12.8.4.3).

It is only looked through, to say at what level a signature is. Trust is never taken from here.
"""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from asn1crypto import keys
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives.hashes import Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, StreamObject
from pyhanko_certvalidator.sig_validate import DefaultSignatureValidator

from sealcore.unreadable import UNREADABLE
from verify.steps.paths import speaks_of
from verify.trust import issued

MOST_PIECES: Final = 64  # of each kind
MOST_BYTES: Final = 16 * 1024 * 1024  # of all pieces together
MOST_LINKS: Final = 8  # of a chain


@dataclass(frozen=True)
class Evidence:
    """The pieces that can be read; ``anchors`` are where chains may end."""

    certificates: tuple[x509.Certificate, ...]
    crls: tuple[x509.CertificateRevocationList, ...]
    answers: tuple[bytes, ...]
    anchors: tuple[x509.Certificate, ...]

    def proves(self, certificate: x509.Certificate, after: datetime) -> bool:
        """Whether there is a chain up to an anchor or a self-signed certificate, and for each link a signed answer about its standing.

        The answer about ``certificate`` itself has to be younger than ``after``: an older one cannot know of a later revocation.
        """
        seen: set[x509.Certificate] = set()
        ways: list[tuple[x509.Certificate, int, datetime | None]] = [(certificate, 0, after)]
        while ways:
            current, links, limit = ways.pop()
            if links > 0 and (current in self.anchors or current.issuer == current.subject):
                return True
            # Certificates that issue each other would never end.
            if current in seen or links == MOST_LINKS:
                continue
            seen.add(current)
            issuers = [one for one in (*self.anchors, *self.certificates) if issued(current, one)]
            ways += [(issuer, links + 1, None) for issuer in issuers if self._tells(current, issuer, limit)]
        return False

    def _tells(self, about: x509.Certificate, issuer: x509.Certificate, after: datetime | None) -> bool:
        lists = (crl.last_update_utc for crl in self.crls if _is_list_for(crl, about, issuer))
        answers = (time for answer in self.answers for time in _answered(answer, about, issuer))
        return any(after is None or time > after for times in (lists, answers) for time in times)


def evidence_of(root: DictionaryObject, others: Iterable[x509.Certificate], anchors: Iterable[x509.Certificate]) -> Evidence | None:
    """What the DSS of a document's catalog holds, and ``others`` (certificates from the signatures); None where there is no DSS."""
    store = _member(root, "/DSS")
    if not isinstance(store, DictionaryObject):
        return None
    left = MOST_BYTES

    def pieces(key: str, purpose: DecodePurpose) -> Iterator[bytes]:
        nonlocal left
        array = _member(store, key)
        for at in range(min(len(array), MOST_PIECES) if isinstance(array, ArrayObject) else 0):
            stream = array[at]
            piece = stream.read_data(purpose) if isinstance(stream, StreamObject) else b""
            # All pieces share one allowance: 64 of each kind could each unpack to the largest size.
            left -= len(piece)
            if left < 0:
                return
            yield piece

    certificates = _read(pieces("/Certs", DecodePurpose.CERTIFICATE), x509.load_der_x509_certificate)
    crls = _read(pieces("/CRLs", DecodePurpose.CRL), x509.load_der_x509_crl)
    return Evidence((*certificates, *others), tuple(crls), tuple(pieces("/OCSPs", DecodePurpose.OCSP_RESPONSE)), tuple(anchors))


def _member(holder: DictionaryObject, key: str) -> Any:
    """What an entry refers to; None where there is none. (``get`` would give the reference.)"""
    try:
        return holder[key]
    except KeyError:
        return None


def _read(pieces: Iterable[bytes], load: Callable[[bytes], Any]) -> list[Any]:
    found = []
    for piece in pieces:
        try:
            found.append(load(piece))
        except UNREADABLE:
            continue  # what cannot be read proves nothing
    return found


def _is_list_for(crl: x509.CertificateRevocationList, about: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        return crl.issuer == issuer.subject and speaks_of(crl, about) and crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except UNREADABLE:
        return False


@lru_cache(maxsize=1024)
def _answered(answer: bytes, about: x509.Certificate, issuer: x509.Certificate) -> tuple[datetime, ...]:
    """thisUpdate of each single response about the certificate (RFC 6960 §4.2.1); none where the whole is not signed by who may."""
    try:
        response = ocsp.load_der_ocsp_response(answer)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return ()
        times = tuple(one.this_update_utc for one in response.responses if _is_about(one, about, issuer))
        return times if times and _is_signed(answer, response, issuer) else ()
    except UNREADABLE:
        return ()


def _is_about(single: Any, about: x509.Certificate, issuer: x509.Certificate) -> bool:
    if single.serial_number != about.serial_number:
        return False
    name = Hash(single.hash_algorithm)
    name.update(issuer.subject.public_bytes())
    key = Hash(single.hash_algorithm)
    key.update(bytes(_key(issuer)["public_key"].contents[1:]))
    return bool(single.issuer_name_hash == name.finalize() and single.issuer_key_hash == key.finalize())


def _is_signed(answer: bytes, response: ocsp.OCSPResponse, issuer: x509.Certificate) -> bool:
    """By the issuer, or by a delegate whom it certified for that (RFC 6960 §4.2.2.2)."""
    basic: Any = asn1_ocsp.OCSPResponse.load(answer)["response_bytes"]["response"].parsed
    for signer in (issuer, *(one for one in response.certificates if _is_delegate(one, issuer))):
        value, data = basic["signature"].native, basic["tbs_response_data"].dump()
        try:
            DefaultSignatureValidator().validate_signature(value, data, _key(signer), basic["signature_algorithm"])
        except Exception:  # noqa: BLE001, S112  (AssertionError, too, where the key is of another kind than the signature)
            continue
        return True
    return False


def _is_delegate(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        usage = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage and issued(one, issuer)


def _key(certificate: x509.Certificate) -> Any:
    return keys.PublicKeyInfo.load(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
