"""Private keys for ``cryptography``'s builders. They sign in the token and refuse whatever else a private key could do."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NoReturn, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.utils import Buffer

from sealcore.errors import Code, VermilionError
from sealcore.hsm.keys import TokenKey

_HASH_NAMES: Final = {hashes.SHA256: "sha256", hashes.SHA384: "sha384", hashes.SHA512: "sha512"}


def _refuse(*_: object, **__: object) -> NoReturn:
    raise VermilionError(Code.PERMISSION_DENIED, "a key of the token signs; it is neither copied out nor used otherwise")


def _sign(key: TokenKey, data: Buffer, algorithm: object) -> bytes:
    """Signs ``data``, or the digest that it is said to be."""
    prehashed = isinstance(algorithm, utils.Prehashed)
    inner = algorithm._algorithm if isinstance(algorithm, utils.Prehashed) else algorithm
    name = _HASH_NAMES.get(cast(Any, type(inner)))
    if name is None:
        raise VermilionError(Code.INVALID_ARGUMENT, "keys of the token sign SHA-256, SHA-384 or SHA-512")
    return key.sign_prehashed(bytes(data) if prehashed else hashlib.new(name, data).digest(), name)


class TokenRSAPrivateKey(rsa.RSAPrivateKey):
    """An RSA key of the token; PKCS#1 v1.5 only."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    def public_key(self) -> rsa.RSAPublicKey:
        return cast(rsa.RSAPublicKey, self._key.public_key)

    @property
    def key_size(self) -> int:
        return self.public_key().key_size

    def sign(self, data: bytes, padding: Any, algorithm: Any) -> bytes:
        if not isinstance(padding, _PKCS1v15):
            raise VermilionError(Code.INVALID_ARGUMENT, "RSA keys of the token sign with PKCS#1 v1.5 padding")
        return _sign(self._key, data, algorithm)

    # Also pickling: a key that is handed to another process by mistake must fail here, where it
    # is understood.
    decrypt = private_numbers = private_bytes = __reduce__ = _refuse

    def __copy__(self) -> TokenRSAPrivateKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenRSAPrivateKey:
        return self


class TokenECPrivateKey(ec.EllipticCurvePrivateKey):
    """A P-256 or P-384 key of the token."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return cast(ec.EllipticCurvePublicKey, self._key.public_key)

    @property
    def curve(self) -> ec.EllipticCurve:
        return self.public_key().curve

    @property
    def key_size(self) -> int:
        return self.public_key().key_size

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return _sign(self._key, data, signature_algorithm.algorithm)

    exchange = private_numbers = private_bytes = __reduce__ = _refuse

    def __copy__(self) -> TokenECPrivateKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenECPrivateKey:
        return self


class TokenEd25519PrivateKey(ed25519.Ed25519PrivateKey):
    """An Ed25519 key of the token."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return cast(ed25519.Ed25519PublicKey, self._key.public_key)

    def sign(self, data: Buffer) -> bytes:
        return self._key.sign(bytes(data))

    private_bytes = private_bytes_raw = __reduce__ = _refuse

    def __copy__(self) -> TokenEd25519PrivateKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenEd25519PrivateKey:
        return self


_PKCS1v15: Final = padding.PKCS1v15

TokenPrivateKey = TokenRSAPrivateKey | TokenECPrivateKey | TokenEd25519PrivateKey


def private_key_of(key: TokenKey) -> TokenPrivateKey:
    """The class for this key's algorithm."""
    if key.algorithm.is_rsa:
        return TokenRSAPrivateKey(key)
    return TokenECPrivateKey(key) if key.algorithm.is_ecdsa else TokenEd25519PrivateKey(key)
