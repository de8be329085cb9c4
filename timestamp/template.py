"""The DER of a TimeStampToken, spliced from pieces that are made once a unit.

Through a general ASN.1 encoder a token costs milliseconds; spliced, tens of microseconds, less than its signature.
Structures: CMS SignedData (RFC 5652 §5), TSTInfo (RFC 3161 §2.4.2), ESSCertIDv2 (RFC 5035 §4, RFC 5816 §2.2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

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
    integer,
    object_identifier,
    tlv,
)

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

NONCE_LIMIT_BYTES: Final = 32  # clients send 8 to 20; the room for a token is reserved before its nonce is known
SERIAL_LIMIT_BYTES: Final = 17  # 128 random bits and a sign octet


def imprint(hash_name: str, digest: bytes) -> bytes:
    """A MessageImprint (RFC 3161 §2.4.1); algorithm parameters absent (RFC 5754 §2)."""
    return tlv(SEQUENCE, tlv(SEQUENCE, HASHES[hash_name]), tlv(OCTET_STRING, digest))


def generalized_time(instant: datetime) -> bytes:
    """genTime in UTC with milliseconds, without trailing zeros (RFC 3161 §2.4.2)."""
    text = instant.strftime("%Y%m%d%H%M%S")
    if milliseconds := instant.microsecond // 1000:
        text += f".{milliseconds:03d}".rstrip("0")
    return tlv(GENERALIZED_TIME, text.encode("ascii"), b"Z")


def accuracy(milliseconds: int) -> bytes:
    """An Accuracy: seconds and, beside them, milliseconds from 1 to 999 (RFC 3161 §2.4.2)."""
    seconds, rest = divmod(milliseconds, 1000)
    parts = [integer(seconds)] if seconds else []
    if rest:
        parts.append(bytes((CONTEXT_0_PRIMITIVE,)) + integer(rest)[1:])
    return tlv(SEQUENCE, *parts)


class TokenTemplate:
    """Makes the three encodings of a token: TSTInfo, the attributes to be signed, the whole.

    Every argument is fixed for the life of the unit, so every piece that depends on them alone is encoded here, once.
    """

    def __init__(self, certificate: x509.Certificate, chain: Sequence[x509.Certificate], algorithm: Algorithm, policy_oid: str) -> None:
        if algorithm not in _SIGNATURE_ALGORITHMS:
            raise ValueError(f"a timestamp unit does not sign with {algorithm}")
        self._algorithm = algorithm
        self._hash_name = algorithm.hash_name
        self._policy = object_identifier(policy_oid)
        digest_algorithm = tlv(SEQUENCE, HASHES[self._hash_name])
        certificate_der = certificate.public_bytes(Encoding.DER)
        members = sorted([certificate_der, *(each.public_bytes(Encoding.DER) for each in chain)])  # SET OF, in DER's order
        self._certificates = tlv(CONTEXT_0, *members)
        self._signed_data_head = integer(3) + tlv(SET, digest_algorithm)  # version 3: the content is not id-data
        issuer_and_serial = tlv(SEQUENCE, certificate.issuer.public_bytes(), integer(certificate.serial_number))
        self._signer_info_head = integer(1) + issuer_and_serial + digest_algorithm
        self._signature_algorithm = _SIGNATURE_ALGORITHMS[algorithm]
        self._attributes_before, self._attributes_after = self._split_attributes(certificate_der)

    def _split_attributes(self, certificate_der: bytes) -> tuple[bytes, bytes]:
        """The signed attributes, in DER's order, cut around the message digest."""
        placeholder = b"\xff" * hashlib.new(self._hash_name).digest_size  # longest of its kind: order depends on lengths alone
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

    def info(self, message_imprint: bytes, serial: int, time: bytes, accuracy: bytes, nonce: int | None) -> bytes:
        """TSTInfo; ``message_imprint``, ``time`` and ``accuracy`` are encoded already."""
        parts = (integer(1), self._policy, message_imprint, integer(serial), time, accuracy)
        return tlv(SEQUENCE, *parts) if nonce is None else tlv(SEQUENCE, *parts, integer(nonce))

    def signed_attributes(self, info: bytes) -> bytes:
        """The SET OF Attribute over which the signature goes (RFC 5652 §5.4)."""
        return self._attributes_before + hashlib.new(self._hash_name, info).digest() + self._attributes_after

    def token(self, info: bytes, signed_attributes: bytes, signature: bytes, *, certificates: bool) -> bytes:
        """The ContentInfo; ``certificates`` says whether the unit's certificate and chain go in (certReq)."""
        signer_info = tlv(
            SEQUENCE,
            self._signer_info_head,
            bytes((CONTEXT_0,)) + signed_attributes[1:],
            self._signature_algorithm,
            tlv(OCTET_STRING, signature),
        )
        signed_data = tlv(
            SEQUENCE,
            self._signed_data_head,
            tlv(SEQUENCE, _ID_CT_TST_INFO, tlv(CONTEXT_0, tlv(OCTET_STRING, info))),
            self._certificates if certificates else b"",
            tlv(SET, signer_info),
        )
        return tlv(SEQUENCE, _ID_DATA_SIGNED, tlv(CONTEXT_0, signed_data))

    def largest(self, accuracy: bytes) -> int:
        """Size in bytes that no token of this template passes: longest imprint, serial, time, nonce and signature."""
        bits = RSA_BITS.get(self._algorithm)
        signature_size = bits // 8 if bits else _ECDSA_SIGNATURE_LIMIT_BYTES[self._algorithm]
        time = tlv(GENERALIZED_TIME, b"20000101000000.001Z")
        serial, nonce = ((1 << 8 * size - 1) - 1 for size in (SERIAL_LIMIT_BYTES, NONCE_LIMIT_BYTES + 1))
        info = self.info(imprint("sha512", bytes(64)), serial, time, accuracy, nonce)
        return len(self.token(info, self.signed_attributes(info), bytes(signature_size), certificates=True))


assert all(oid[0] == OBJECT_IDENTIFIER for oid in HASHES.values())
