"""The key algorithms of the office. Imports no PKCS#11, so that sandboxes may name an algorithm without loading a token."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from sealcore.errors import Code, VermilionError

HashName = Literal["sha256", "sha384"]


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
    def hash_name(self) -> HashName:
        """The hash as ``hashlib`` names it; INVALID_ARGUMENT for Ed25519, which signs the message itself (RFC 8032 §5.1)."""
        match self:  # without a case for all others: a new algorithm has no hash until somebody has chosen it, and mypy says so
            case Algorithm.RSA_2048 | Algorithm.RSA_3072 | Algorithm.RSA_4096 | Algorithm.P256:
                return "sha256"
            case Algorithm.P384:
                return "sha384"
            case Algorithm.ED25519:
                raise VermilionError(Code.INVALID_ARGUMENT, "an Ed25519 key signs the message itself, not a digest of it")

    @property
    def hash(self) -> SHA256 | SHA384:
        """The same for ``cryptography``; INVALID_ARGUMENT likewise."""
        return HASHES[self.hash_name]


RSA_BITS: Final = {Algorithm.RSA_2048: 2048, Algorithm.RSA_3072: 3072, Algorithm.RSA_4096: 4096}
HASHES: Final[Mapping[HashName, SHA256 | SHA384]] = {"sha256": SHA256(), "sha384": SHA384()}


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
