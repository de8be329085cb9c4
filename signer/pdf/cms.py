"""The CMS of a PAdES B-T signature, assembled from DER pieces that are encoded once per seal key.

CMS SignedData (RFC 5652) as ETSI EN 319 122-1 and EN 319 142-1 narrow it: detached, one signer, signed attributes content-type,
message-digest and signing-certificate-v2 (RFC 5035), no signing-time (PAdES has /M), and the signature timestamp as unsigned attribute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore import compiled
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import RSA_BITS, Algorithm
from signer.pdf import der
from signer.pdf.plan import HOLE_STEP_BYTES

if compiled.AVAILABLE:
    from sealcore.compiled import core

_DATA: Final = der.object_identifier("1.2.840.113549.1.7.1")
_SIGNED_DATA: Final = der.object_identifier("1.2.840.113549.1.7.2")
_CONTENT_TYPE: Final = der.object_identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.object_identifier("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2: Final = der.object_identifier("1.2.840.113549.1.9.16.2.47")
_SIGNATURE_TIME_STAMP: Final = der.object_identifier("1.2.840.113549.1.9.16.2.14")

# RFC 5754: SHA-2 without parameters; RSA with NULL, ECDSA without.
_DIGEST_ALGORITHMS: Final = {
    "sha256": der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1")),
    "sha384": der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.2")),
}
_RSA_SHA256: Final = der.sequence(der.object_identifier("1.2.840.113549.1.1.11"), der.NULL)
_ECDSA: Final = {
    Algorithm.P256: der.sequence(der.object_identifier("1.2.840.10045.4.3.2")),
    Algorithm.P384: der.sequence(der.object_identifier("1.2.840.10045.4.3.3")),
}
# DER ECDSA-Sig-Value of the longest r and s: two INTEGERs with a leading zero each.
_LONGEST_ECDSA_BYTES: Final = {Algorithm.P256: 72, Algorithm.P384: 104}
_LENGTHS_HELD: Final = 256  # an ECDSA signature and a timestamp token have a few lengths each


class SignatureTemplate:
    """What all signatures of one seal key have in common, encoded once.

    certificate  of the seal; its issuer and serial number name the signer, its SHA-256 goes into signing-certificate-v2
    chain        issuing certificates that are sent along, without the root, which who verifies must have anyway
    algorithm    of the key: RSA (PKCS#1 v1.5, SHA-256) or ECDSA (SHA-256, with P-384 SHA-384); INVALID_ARGUMENT otherwise
    """

    def __init__(self, certificate: x509.Certificate, chain: Sequence[x509.Certificate], algorithm: Algorithm) -> None:
        if not (algorithm.is_rsa or algorithm.is_ecdsa):
            raise VermilionError(Code.INVALID_ARGUMENT, "a seal key is RSA or ECDSA")
        self.algorithm = algorithm
        self.hash_name = algorithm.hash_name
        self._digest_size_bytes = hashlib.new(self.hash_name).digest_size
        certificate_der = certificate.public_bytes(Encoding.DER)
        self._prepare_attributes(certificate_der)
        self._prepare_signed_data(certificate, certificate_der, chain)
        self._pieces = lru_cache(_LENGTHS_HELD)(self._make_pieces)
        self.compiled = self._in_the_core(certificate_der, chain) if compiled.AVAILABLE else None

    def _in_the_core(self, certificate_der: bytes, chain: Sequence[x509.Certificate]) -> core.SealTemplate:
        """The same, for batches."""
        kind = "rsa" if self.algorithm.is_rsa else str(self.algorithm)
        return core.SealTemplate(kind, certificate_der, _issuing(chain))

    def _prepare_attributes(self, certificate_der: bytes) -> None:
        # ESSCertIDv2 with its default hash (SHA-256) left out, as DER asks; no issuerSerial: the hash says it all.
        certificate_id = der.sequence(der.tlv(der.OCTET_STRING, hashlib.sha256(certificate_der).digest()))
        placeholder = b"\x00" * self._digest_size_bytes
        digest_attribute = _attribute(_MESSAGE_DIGEST, der.tlv(der.OCTET_STRING, placeholder))
        attributes = (
            _attribute(_CONTENT_TYPE, _DATA),
            digest_attribute,
            _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(certificate_id))),
        )
        # Their lengths differ, so their order in the SET does not depend on the digest.
        encoded = der.set_of(attributes)
        end = encoded.index(digest_attribute) + len(digest_attribute)
        self._attributes_head = encoded[: end - self._digest_size_bytes]
        self._attributes_tail = encoded[end:]

    def _prepare_signed_data(self, certificate: x509.Certificate, certificate_der: bytes, chain: Sequence[x509.Certificate]) -> None:
        digest_algorithm = _DIGEST_ALGORITHMS[self.hash_name]
        # Version 1: X.509 certificates alone, content of type id-data, a SignerInfo of version 1 (RFC
        # 5652 §5.1).
        self._signed_data_head = (
            der.integer(1)
            + der.set_of([digest_algorithm])
            + der.sequence(_DATA)
            + der.set_of({certificate_der, *_issuing(chain)}, der.CONTEXT_0)
        )
        issuer_and_serial = der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))
        self._signer_head = der.integer(1) + issuer_and_serial + digest_algorithm
        self._signature_algorithm = _RSA_SHA256 if self.algorithm.is_rsa else _ECDSA[self.algorithm]

    def signed_attributes(self, digest: bytes) -> bytes:
        """DER of the SET OF signed attributes over ``digest`` (of the byte ranges, by ``hash_name``): this is what the key signs."""
        if len(digest) != self._digest_size_bytes:
            raise VermilionError(Code.INVALID_ARGUMENT, f"a {self.hash_name} digest has {self._digest_size_bytes} bytes")
        return self._attributes_head + digest + self._attributes_tail

    def assemble(self, digest: bytes, signature: bytes, timestamp_token: bytes) -> bytes:
        """DER of the whole CMS ContentInfo.

        signature        over ``signed_attributes(digest)``: PKCS#1 v1.5, or DER ECDSA-Sig-Value
        timestamp_token  RFC 3161 TimeStampToken over the signature value
        """
        if len(digest) != self._digest_size_bytes:
            raise VermilionError(Code.INVALID_ARGUMENT, f"a {self.hash_name} digest has {self._digest_size_bytes} bytes")
        head, middle, before_signature, before_token = self._pieces(len(signature), len(timestamp_token))
        return b"".join((head, self._signed_data_head, middle, digest, before_signature, signature, before_token, timestamp_token))

    def _make_pieces(self, signature_bytes: int, token_bytes: int) -> tuple[bytes, bytes, bytes, bytes]:
        """What comes before the signed data's constant head, the digest, the signature and the token, for these lengths of the last two."""
        before_token = _attribute_head(_SIGNATURE_TIME_STAMP, token_bytes)
        before_token = der.head(der.CONTEXT_1, len(before_token) + token_bytes) + before_token
        before_signature = self._attributes_tail + self._signature_algorithm + der.head(der.OCTET_STRING, signature_bytes)
        implicit = bytes((der.CONTEXT_0,)) + self._attributes_head[1:]  # SET → [0] IMPLICIT (RFC 5652 §5.4)
        middle = self._signer_head + implicit
        size = len(middle) + self._digest_size_bytes + len(before_signature) + signature_bytes + len(before_token) + token_bytes
        for tag in (der.SEQUENCE, der.SET):  # SignerInfo in SignerInfos
            middle = der.head(tag, size) + middle
            size += len(der.head(tag, size))
        size += len(self._signed_data_head)
        head = b""
        for tag in (der.SEQUENCE, der.CONTEXT_0):  # SignedData in [0] EXPLICIT
            head = der.head(tag, size) + head
            size += len(der.head(tag, size))
        return der.head(der.SEQUENCE, len(_SIGNED_DATA) + size) + _SIGNED_DATA + head, middle, before_signature, before_token

    def largest_bytes(self, timestamp_bytes: int) -> int:
        """Size of the hole: the longest CMS with a timestamp token of ``timestamp_bytes``, rounded up to whole KiB."""
        # Assembled for real, so that the size cannot drift from what ``assemble`` writes.
        largest = len(self.assemble(bytes(self._digest_size_bytes), bytes(self._longest_signature_bytes()), bytes(timestamp_bytes)))
        return -(-largest // HOLE_STEP_BYTES) * HOLE_STEP_BYTES

    def _longest_signature_bytes(self) -> int:
        if self.algorithm.is_rsa:
            return RSA_BITS[self.algorithm] // 8
        return _LONGEST_ECDSA_BYTES[self.algorithm]


def _issuing(chain: Sequence[x509.Certificate]) -> list[bytes]:
    """DER of those that are sent along."""
    return [each.public_bytes(Encoding.DER) for each in chain if each.subject != each.issuer]


def _attribute(kind: bytes, value: bytes) -> bytes:
    return _attribute_head(kind, len(value)) + value


def _attribute_head(kind: bytes, value_bytes: int) -> bytes:
    values = der.head(der.SET, value_bytes)
    return der.head(der.SEQUENCE, len(kind) + len(values) + value_bytes) + kind + values
