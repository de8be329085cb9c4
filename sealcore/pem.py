"""Certificates, CRLs and OCSP answers of other parties, in DER or in PEM (RFC 7468): read alike wherever they come in."""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

from cryptography import x509

from sealcore.unreadable import UNREADABLE

CRL: Final = "X509 CRL"
CERTIFICATE: Final = "CERTIFICATE"
OCSP_RESPONSE: Final = "OCSP RESPONSE"
PKCS7: Final = "PKCS7"
_OLD_LABELS: Final = {"X509 CERTIFICATE": CERTIFICATE, "CRL": CRL}
_BEGIN: Final = b"-----BEGIN "
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----")
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\s]+=*\s*")
_SEQUENCE: Final = 0x30


class EncodingError(ValueError):
    """What came is not what is wanted; the message completes the sentence “The file, the answer …”."""


def is_der(data: bytes) -> bool:
    """Whether it is one SEQUENCE of definite length and nothing after it (X.690 §10.1); text may begin with the same octet, a zero."""
    if len(data) < 2 or data[0] != _SEQUENCE:
        return False
    count = data[1] & 0x7F if data[1] & 0x80 else 0
    size = int.from_bytes(data[2 : 2 + count], "big") if count else data[1]
    return count <= 4 and 2 + count + size == len(data)


def der(data: bytes, label: str) -> bytes:
    """The DER in ``data``: as it is, or from the one PEM block with this label, whatever text stands around it. EncodingError."""
    if is_der(data):
        return data
    found = _blocks(data, label)
    if len(found) != 1:
        raise EncodingError(f"is PEM with {len(found)} blocks {label!r} where one is expected")
    return found[0]


def crl(data: bytes) -> x509.CertificateRevocationList:
    """A CRL from DER or PEM. EncodingError."""
    try:
        return x509.load_der_x509_crl(der(data, CRL))
    except EncodingError:
        raise
    except UNREADABLE:
        raise EncodingError("is no CRL") from None


def certificates(data: bytes) -> list[x509.Certificate]:
    """The certificate in DER, or all that stand in PEM, at least one. EncodingError."""
    try:
        return [x509.load_der_x509_certificate(each) for each in ([data] if is_der(data) else _blocks(data, CERTIFICATE))]
    except EncodingError:
        raise
    except UNREADABLE:
        raise EncodingError("holds a certificate that cannot be read") from None


def is_signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key made the CRL's signature; False, too, where it is of a kind that nobody verifies."""
    try:
        key: Any = issuer.public_key()
        return crl.is_signature_valid(key)
    except UNREADABLE:
        return False


def _blocks(data: bytes, label: str) -> list[bytes]:
    """The content of each PEM block with this label, at least one. EncodingError says what stands there instead."""
    if data.startswith(_UTF16):
        raise EncodingError("is text in UTF-16; PEM is ASCII (RFC 7468)")
    if _BEGIN not in data:
        if data.strip() and _BASE64.fullmatch(data):
            raise EncodingError(f"is base64 without the lines of PEM; put it between -----BEGIN {label}----- and -----END {label}-----")
        raise EncodingError("is neither DER nor PEM")
    blocks = [(found[1].decode(), found[2]) for found in _BLOCK.finditer(data)]
    # A block that is skipped in silence would leave a certificate out of a chain, or a CRL out
    # of what is checked.
    if len(blocks) != data.count(_BEGIN):
        raise EncodingError("is PEM with a block that does not end, or that holds something else than base64")
    wanted = [content for name, content in blocks if _OLD_LABELS.get(name, name) == label]
    if not wanted:
        raise EncodingError(f"is PEM of {', '.join(sorted({name for name, _ in blocks}))}, not of {label}")
    try:
        return [binascii.a2b_base64(b"".join(content.split()), strict_mode=True) for content in wanted]
    except binascii.Error:
        raise EncodingError(f"is PEM whose {label!r} is not base64") from None
