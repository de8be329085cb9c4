"""The key algorithms of the office. Imports no PKCS#11, so that sandboxes may name an algorithm without loading a token."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from sealcore.errors import Code, VermilionError


class Algorithm(StrEnum):
    """A kind of key and, with it, the one hash that it signs."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    P256 = "p-256"
    P384 = "p-384"
    ED25519 = "ed25519"

    @property
    def is_rsa(self) -> bool:
        """Whether signatures are PKCS#1 v1.5 (RFC 8017 §8.2)."""
        return self in RSA_BITS

    @property
    def is_ecdsa(self) -> bool:
        """Whether signatures are ECDSA-Sig-Value (RFC 3279 §2.2.3)."""
        return self in (Algorithm.P256, Algorithm.P384)

    @property
    def hash_name(self) -> str:
        """The hash as ``hashlib`` names it; INVALID_ARGUMENT for Ed25519, which signs the message itself (RFC 8032 §5.1)."""
        if self is Algorithm.ED25519:
            raise VermilionError(Code.INVALID_ARGUMENT, "an Ed25519 key signs the message itself, not a digest of it")
        return "sha384" if self is Algorithm.P384 else "sha256"


RSA_BITS: Final = {Algorithm.RSA_2048: 2048, Algorithm.RSA_3072: 3072, Algorithm.RSA_4096: 4096}


def algorithm_of(public_key: PublicKeyTypes) -> Algorithm:
    """The algorithm of a public key; INVALID_ARGUMENT for a kind that the office does not use."""
    match public_key:
        case rsa.RSAPublicKey():
            for algorithm, bits in RSA_BITS.items():
                if public_key.key_size == bits and public_key.public_numbers().e == 65537:
                    return algorithm
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return Algorithm.P256
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            return Algorithm.P384
        case ed25519.Ed25519PublicKey():
            return Algorithm.ED25519
    raise VermilionError(Code.INVALID_ARGUMENT, "the key is of a kind that the office does not use")
