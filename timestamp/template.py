"""The DER of a TimeStampToken, assembled from pieces that are encoded once for each unit: by the compiled core, or here where there is none.

A general ASN.1 encoder takes milliseconds for a token; assembling takes microseconds, less than the signature.
Structures: CMS SignedData (RFC 5652 §5), TSTInfo (RFC 3161 §2.4.2), ESSCertIDv2 (RFC 5035 §4, RFC 5816 §2.2.1).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore import compiled
from sealcore.hsm.algorithm import RSA_BITS, Algorithm
from timestamp.der import (
    CONTEXT_0,
    CONTEXT_0_PRIMITIVE,
    GENERALIZED_TIME,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    head,
    integer,
    object_identifier,
    tlv,
)

if compiled.AVAILABLE:
    from sealcore.compiled import core

HASHES: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "sha256": object_identifier("2.16.840.1.101.3.4.2.1"),
        "sha384": object_identifier("2.16.840.1.101.3.4.2.2"),
        "sha512": object_identifier("2.16.840.1.101.3.4.2.3"),
    }
)
"""Hash functions that an imprint may use, with their OBJECT IDENTIFIER (RFC 5754 §2)."""

_ID_DATA_SIGNED = object_identifier("1.2.840.113549.1.7.2")
_ID_CT_TST_INFO = object_identifier("1.2.840.113549.1.9.16.1.4")
_ID_CONTENT_TYPE = object_identifier("1.2.840.113549.1.9.3")
_ID_MESSAGE_DIGEST = object_identifier("1.2.840.113549.1.9.4")
_ID_SIGNING_CERTIFICATE_V2 = object_identifier("1.2.840.113549.1.9.16.2.47")
_SIGNATURE_ALGORITHMS: Mapping[Algorithm, bytes] = {
    # RSA: PKCS#1 v1.5 with SHA-256 and the NULL that RFC 4055 §5 demands; ECDSA: no parameters (RFC 5754 §3.3)
    **{rsa: tlv(SEQUENCE, object_identifier("1.2.840.113549.1.1.11"), tlv(NULL)) for rsa in RSA_BITS},
    Algorithm.P256: tlv(SEQUENCE, object_identifier("1.2.840.10045.4.3.2")),
    Algorithm.P384: tlv(SEQUENCE, object_identifier("1.2.840.10045.4.3.3")),
}
_ECDSA_SIGNATURE_LIMIT_BYTES = {Algorithm.P256: 72, Algorithm.P384: 104}

_LENGTHS_HELD: Final = (
    512  # combinations of lengths to cache: there are a few dozen, but clients choose the nonce, so there must be a bound
)
NONCE_LIMIT_BYTES: Final = 32  # clients send 8 to 20; room for a token is reserved before its nonce is known, so there must be a bound
SERIAL_LIMIT_BYTES: Final = 17  # 128 random bits and a sign octet


def imprint(hash_name: str, digest: bytes) -> bytes:
    """A MessageImprint (RFC 3161 §2.4.1); algorithm parameters absent (RFC 5754 §2)."""
    return _imprint_head(hash_name, len(digest)) + digest


@lru_cache
def _imprint_head(hash_name: str, digest_bytes: int) -> bytes:
    content = tlv(SEQUENCE, HASHES[hash_name]) + head(OCTET_STRING, digest_bytes)
    return head(SEQUENCE, len(content) + digest_bytes) + content


def generalized_time(time_us: int) -> bytes:
    """genTime in UTC with milliseconds, without trailing zeros (RFC 3161 §2.4.2), from microseconds since 1970."""
    seconds, rest_us = divmod(time_us, 1_000_000)
    before, fraction = _fraction(rest_us // 1000)
    return before + _second(seconds) + fraction


@lru_cache(maxsize=4)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)).encode("ascii")


@lru_cache(maxsize=1000)
def _fraction(milliseconds: int) -> tuple[bytes, bytes]:
    """The tag and length of a time with this fraction, and the fraction itself."""
    fraction = (f".{milliseconds:03d}".rstrip("0") if milliseconds else "").encode("ascii") + b"Z"
    return head(GENERALIZED_TIME, len("YYYYMMDDhhmmss") + len(fraction)), fraction


def accuracy(milliseconds: int) -> bytes:
    """An Accuracy: seconds and, beside them, milliseconds from 1 to 999 (RFC 3161 §2.4.2)."""
    seconds, rest = divmod(milliseconds, 1000)
    parts = [integer(seconds)] if seconds else []
    if rest:
        parts.append(bytes((CONTEXT_0_PRIMITIVE,)) + integer(rest)[1:])
    return tlv(SEQUENCE, *parts)


class Draft(Protocol):
    """A token that is to be signed."""

    @property
    def digest(self) -> bytes:
        """What the key signs: the digest of the signed attributes."""

    def token(self, signature: bytes, with_certificates: bool, /) -> bytes:
        """The ContentInfo; with the unit's certificate and chain where they were asked for (certReq)."""


class Template(Protocol):
    """Makes the tokens of one unit."""

    def draft(self, message_imprint: bytes, serial: bytes, time_us: int, nonce: bytes | None, /) -> Draft:
        """Over an encoded MessageImprint; ``serial`` big-endian, ``time_us`` since 1970, ``nonce`` the DER of an INTEGER."""


def template_of(
    certificate: x509.Certificate, chain: Sequence[x509.Certificate], algorithm: Algorithm, policy_oid: str, accuracy: bytes
) -> Template:
    """The compiled core's template, or Python's where there is no core: both make the same bytes."""
    if not compiled.AVAILABLE:
        return TokenTemplate(certificate, chain, algorithm, policy_oid, accuracy)
    issuing = [each.public_bytes(Encoding.DER) for each in chain]
    kind = "rsa" if algorithm.is_rsa else str(algorithm)
    return core.TokenTemplate(kind, certificate.public_bytes(Encoding.DER), issuing, object_identifier(policy_oid), accuracy)


@dataclass(frozen=True, slots=True)
class _Draft:
    template: TokenTemplate
    info: bytes
    attributes: bytes
    digest: bytes

    def token(self, signature: bytes, with_certificates: bool) -> bytes:
        return self.template.token(self.info, self.attributes, signature, certificates=with_certificates)


class TokenTemplate:
    """Makes the three encodings of a token: TSTInfo, the attributes to be signed, and the whole token.

    The arguments are fixed for the life of the unit, so whatever depends only on them is encoded once, here; ``accuracy`` is encoded already.
    """

    def __init__(
        self, certificate: x509.Certificate, chain: Sequence[x509.Certificate], algorithm: Algorithm, policy_oid: str, accuracy: bytes
    ) -> None:
        if algorithm not in _SIGNATURE_ALGORITHMS:
            raise ValueError(f"a timestamp unit does not sign with {algorithm}")
        self._algorithm, self._accuracy = algorithm, accuracy
        self._new_hash = getattr(hashlib, algorithm.hash_name)
        self._info_head = integer(1) + object_identifier(policy_oid)
        digest_algorithm = tlv(SEQUENCE, HASHES[algorithm.hash_name])
        certificate_der = certificate.public_bytes(Encoding.DER)
        members = sorted([certificate_der, *(each.public_bytes(Encoding.DER) for each in chain)])  # SET OF, in DER's order
        self._certificates = tlv(CONTEXT_0, *members)
        self._signed_data_head = integer(3) + tlv(SET, digest_algorithm)  # version 3: the content is not id-data
        issuer_and_serial = tlv(SEQUENCE, certificate.issuer.public_bytes(), integer(certificate.serial_number))
        self._signer_info_head = integer(1) + issuer_and_serial + digest_algorithm
        self._signature_algorithm = _SIGNATURE_ALGORITHMS[algorithm]
        self._attributes_before, self._attributes_after = self._split_attributes(certificate_der)
        self._pieces = lru_cache(_LENGTHS_HELD)(self._make_pieces)

    def _split_attributes(self, certificate_der: bytes) -> tuple[bytes, bytes]:
        """The signed attributes, in DER's order, split around the message digest."""
        placeholder = b"\xff" * self._new_hash().digest_size  # longest of its kind: order depends on lengths alone
        # ESSCertIDv2 with the default hash (SHA-256) left out, as DER demands, and without issuerSerial (optional)
        certificate_id = tlv(SEQUENCE, tlv(OCTET_STRING, hashlib.sha256(certificate_der).digest()))
        attributes = sorted(
            (
                tlv(SEQUENCE, _ID_CONTENT_TYPE, tlv(SET, _ID_CT_TST_INFO)),
                tlv(SEQUENCE, _ID_MESSAGE_DIGEST, tlv(SET, tlv(OCTET_STRING, placeholder))),
                tlv(SEQUENCE, _ID_SIGNING_CERTIFICATE_V2, tlv(SET, tlv(SEQUENCE, tlv(SEQUENCE, certificate_id)))),
            )
        )
        before, after = tlv(SET, *attributes).split(placeholder)
        return before, after

    def draft(self, message_imprint: bytes, serial: bytes, time_us: int, nonce: bytes | None) -> Draft:
        """See ``Template``."""
        info = self.info(message_imprint, int.from_bytes(serial, "big"), generalized_time(time_us), nonce or b"")
        attributes = self.signed_attributes(info)
        return _Draft(self, info, attributes, self._new_hash(attributes).digest())

    def info(self, message_imprint: bytes, serial: int, time: bytes, nonce: bytes) -> bytes:
        """TSTInfo; all but the serial number is encoded already, ``nonce`` is empty for none."""
        return tlv(SEQUENCE, self._info_head, message_imprint, integer(serial), time, self._accuracy, nonce)

    def signed_attributes(self, info: bytes) -> bytes:
        """The SET OF Attribute over which the signature goes (RFC 5652 §5.4)."""
        digest: bytes = self._new_hash(info).digest()
        return self._attributes_before + digest + self._attributes_after

    def token(self, info: bytes, signed_attributes: bytes, signature: bytes, *, certificates: bool) -> bytes:
        """The ContentInfo; ``certificates`` says whether the unit's certificate and chain go in (certReq)."""
        before_info, before_attributes, before_signature = self._pieces(len(info), len(signed_attributes), len(signature), certificates)
        sent = self._certificates if certificates else b""
        # The signed attributes, from behind their tag: a SET, tagged [0] here (RFC 5652 §5.3).
        return b"".join((before_info, info, sent, before_attributes, signed_attributes[1:], before_signature, signature))

    def _make_pieces(self, info_bytes: int, attributes_bytes: int, signature_bytes: int, certificates: bool) -> tuple[bytes, bytes, bytes]:
        """What precedes TSTInfo, the attributes (including their tag [0]) and the signature, given the lengths of these three."""
        before_signature = self._signature_algorithm + head(OCTET_STRING, signature_bytes)
        before_attributes = self._signer_info_head + bytes((CONTEXT_0,))
        size = len(before_attributes) + attributes_bytes - 1 + len(before_signature) + signature_bytes
        for tag in (SEQUENCE, SET):  # SignerInfo in SignerInfos
            before_attributes = head(tag, size) + before_attributes
            size += len(head(tag, size))
        before_info, content_bytes = b"", info_bytes
        for tag in (OCTET_STRING, CONTEXT_0):
            before_info = head(tag, content_bytes) + before_info
            content_bytes += len(head(tag, content_bytes))
        content_bytes += len(_ID_CT_TST_INFO)
        before_info = self._signed_data_head + head(SEQUENCE, content_bytes) + _ID_CT_TST_INFO + before_info
        size += len(before_info) + info_bytes + (len(self._certificates) if certificates else 0)
        for tag in (SEQUENCE, CONTEXT_0):  # SignedData in [0] EXPLICIT
            before_info = head(tag, size) + before_info
            size += len(head(tag, size))
        return head(SEQUENCE, len(_ID_DATA_SIGNED) + size) + _ID_DATA_SIGNED + before_info, before_attributes, before_signature

    def largest(self) -> int:
        """An upper bound, in bytes, for tokens of this template: longest imprint, serial number, time, nonce and signature."""
        bits = RSA_BITS.get(self._algorithm)
        signature_size = bits // 8 if bits else _ECDSA_SIGNATURE_LIMIT_BYTES[self._algorithm]
        time = tlv(GENERALIZED_TIME, b"20000101000000.001Z")
        serial, nonce = ((1 << 8 * size - 1) - 1 for size in (SERIAL_LIMIT_BYTES, NONCE_LIMIT_BYTES + 1))
        info = self.info(imprint("sha512", bytes(64)), serial, time, integer(nonce))
        return len(self.token(info, self.signed_attributes(info), bytes(signature_size), certificates=True))


assert all(oid[0] == OBJECT_IDENTIFIER for oid in HASHES.values())
