"""Signing with a key in the token: which mechanism, what goes in, and how what comes out is encoded.

Digests are made outside the token and signed by the raw mechanisms (CKM_RSA_PKCS, CKM_ECDSA): one call, a few bytes.
"""

from __future__ import annotations

from typing import Final, Protocol

import pkcs11
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sealcore.errors import Code, VermilionError

# DER of DigestInfo up to the digest itself (RFC 8017 §9.2, note 1).
_DIGEST_INFO_PREFIX: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_DIGEST_BYTES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}

# Room for the longest signature (RSA-4096); python-pkcs11 would clear 8 KiB for each one otherwise.
_SIGNATURE_BUFFER_BYTES: Final = 512


class SigningKey(Protocol):
    """A private key bound to a session; the part of python-pkcs11's classes that its own types leave out."""

    def sign(self, data: bytes, *, mechanism: pkcs11.Mechanism, buffer_size: int) -> bytes:
        """C_SignInit and C_Sign."""


def check_digest(digest: bytes, hash_name: str) -> None:
    """INVALID_ARGUMENT unless ``digest`` is one of that hash."""
    if _DIGEST_BYTES.get(hash_name) != len(digest):
        raise VermilionError(Code.INVALID_ARGUMENT, f"{len(digest)} bytes are not a {hash_name} digest")


def sign_rsa(private_key: SigningKey, digest: bytes, hash_name: str) -> bytes:
    """RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.1): the token pads what we wrap as DigestInfo."""
    return private_key.sign(
        _DIGEST_INFO_PREFIX[hash_name] + digest, mechanism=pkcs11.Mechanism.RSA_PKCS, buffer_size=_SIGNATURE_BUFFER_BYTES
    )


def sign_ecdsa(private_key: SigningKey, digest: bytes, order_bytes: int) -> bytes:
    """ECDSA; r ‖ s of the token becomes DER ECDSA-Sig-Value. A digest longer than the order is cut to it (FIPS 186-5 §6.4.1)."""
    raw = private_key.sign(digest[:order_bytes], mechanism=pkcs11.Mechanism.ECDSA, buffer_size=_SIGNATURE_BUFFER_BYTES)
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


def sign_ed25519(private_key: SigningKey, message: bytes) -> bytes:
    """Ed25519 over the message (RFC 8032 §5.1.6): 64 bytes."""
    return private_key.sign(message, mechanism=pkcs11.Mechanism.EDDSA, buffer_size=_SIGNATURE_BUFFER_BYTES)
