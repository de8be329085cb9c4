"""What was asked: an OCSPRequest (RFC 6960 §4.1), bounded and strictly read.

A request's signature is tolerated and not checked: everybody may ask (RFC 6960 §4.1.2 leaves it open).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final
from urllib.parse import unquote

from asn1crypto import ocsp

from sealcore.pem import is_der

REQUEST_LIMIT_BYTES: Final = 16 * 1024  # a signed request with its chain has under 8 kB
MOST_CERTIFICATES: Final = 16
NONCE_LENGTHS: Final = range(1, 129)  # octets; RFC 9654 §2.1: others are malformed
SERIAL_LIMIT_BITS: Final = 168  # RFC 5280 §4.1.2.2: 20 octets; one more is only ever unknown
_MOST_UNQUOTINGS: Final = 3
_LINE_ENDS: Final = dict.fromkeys(map(ord, "\r\n\t\v\f"))
_KNOWN_EXTENSIONS: Final = frozenset({"nonce", "acceptable_responses", "preferred_signature_algorithms"})


class Refusal(IntEnum):
    """OCSPResponseStatus (RFC 6960 §4.2.1) of an answer that is no answer; such a response is not signed."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


class RefusedError(Exception):
    """Nothing is said about any certificate."""

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal


@dataclass(frozen=True)
class CertId:
    """Which certificate is asked for (RFC 6960 §4.1.1), and its DER, which the answer repeats."""

    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int
    der: bytes


@dataclass(frozen=True)
class Question:
    """At least one certificate, and the nonce that the answer must carry if it carries any."""

    certificates: tuple[CertId, ...]
    nonce: bytes | None = None


def _malformed(reason: str) -> RefusedError:
    return RefusedError(Refusal.MALFORMED_REQUEST, reason)


def read(der: bytes) -> Question:
    """Reads an OCSPRequest; RefusedError with MALFORMED_REQUEST for whatever is none."""
    if len(der) > REQUEST_LIMIT_BYTES:
        raise _malformed("the request is too long")
    try:
        return _question(ocsp.OCSPRequest.load(der, strict=True)["tbs_request"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):  # how asn1crypto says "not DER"
        raise _malformed("the request is not an OCSPRequest") from None


def _question(tbs: Any) -> Question:
    if tbs["version"].native != "v1":
        raise _malformed("the request is of another version")
    requests = tbs["request_list"]
    if not 1 <= len(requests) <= MOST_CERTIFICATES:
        raise _malformed(f"a request names 1 to {MOST_CERTIFICATES} certificates")
    for request in requests:
        _require_known(request["single_request_extensions"])
    _require_known(tbs["request_extensions"])
    return Question(tuple(_cert_id(request["req_cert"]) for request in requests), _nonce(tbs["request_extensions"]))


def _cert_id(cert_id: Any) -> CertId:
    serial: int = cert_id["serial_number"].native
    if serial.bit_length() > SERIAL_LIMIT_BITS:
        raise _malformed("a serial number is too long")
    name_hash, key_hash = cert_id["issuer_name_hash"].native, cert_id["issuer_key_hash"].native
    return CertId(cert_id["hash_algorithm"]["algorithm"].native, name_hash, key_hash, serial, cert_id.dump())


def _require_known(extensions: Any) -> None:
    """Extensions that we do not know are ignored, critical ones are not (RFC 6960 §4.4)."""
    for extension in extensions or ():
        if extension["critical"].native and extension["extn_id"].native not in _KNOWN_EXTENSIONS:
            raise _malformed("the request has a critical extension that is not known here")


def _nonce(extensions: Any) -> bytes | None:
    found = [extension["extn_value"] for extension in extensions or () if extension["extn_id"].native == "nonce"]
    if not found:
        return None
    nonce = found[0].parsed.native
    if len(found) > 1 or not isinstance(nonce, bytes) or len(nonce) not in NONCE_LENGTHS:
        raise _malformed("a nonce is an OCTET STRING of 1 to 128 octets")
    return nonce


def from_path(path: str) -> bytes:
    """The DER behind a GET's path (RFC 6960 A.1): base64, whose slashes and pluses may or may not have been percent-encoded.

    ``//`` inside it counts, line ends and missing padding do not; the URL-safe alphabet is taken too. A space is what a form's
    decoder made of a plus, unless the request is whole without it; a slash may have been put at the end. DER tells which.
    """
    for _ in range(_MOST_UNQUOTINGS):
        if "%" in path:
            path = unquote(path)
    text = path.translate(_LINE_ENDS).lstrip("/ ").replace("-", "+").replace("_", "/")  # DER begins with 0x30, base64 with M
    ways = [way for one in (text.replace(" ", "+"), text.replace(" ", "")) for way in (one, one.removesuffix("/"))]
    decoded = [one for one in map(_decoded, ways) if one is not None]
    if not decoded:
        raise _malformed("the path is not base64")
    return next((one for one in decoded if is_der(one)), decoded[0])


def _decoded(text: str) -> bytes | None:
    digits = text.rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
