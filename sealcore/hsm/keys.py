"""Key pairs in the token: their attributes, and signing with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pkcs11
from asn1crypto.core import OctetString
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm, algorithm_of
from sealcore.hsm.sessions import PooledSession, PrivateKeyName, SessionPool
from sealcore.hsm.signing import DIGEST_INFO_PREFIX, ORDER_BYTES, check_digest, ecdsa_sig_value, mechanism_of

if TYPE_CHECKING:
    from sealcore.hsm.private import TokenPrivateKey

TokenPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

# CKA_EC_PARAMS: DER of the curve's object identifier (RFC 5480 §2.1.1.1, RFC 8410 §3).
EC_PARAMS: Final = {
    Algorithm.P256: bytes.fromhex("06082a8648ce3d030107"),
    Algorithm.P384: bytes.fromhex("06052b81040022"),
    Algorithm.ED25519: bytes.fromhex("06032b6570"),
}
_ED25519_PARAMS: Final = (EC_PARAMS[Algorithm.ED25519], b"\x13\x0cedwards25519")  # the latter: PKCS#11 v3.0 §2.3.5
# The answers for an object that lacks an attribute or has been destroyed meanwhile. Some tokens say FUNCTION_FAILED.
_MISSING: Final = (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, pkcs11.FunctionFailed, pkcs11.ObjectHandleInvalid, LookupError)
_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {EC_PARAMS[Algorithm.P256]: ec.SECP256R1(), EC_PARAMS[Algorithm.P384]: ec.SECP384R1()}


@dataclass(frozen=True)
class TokenKey:
    """A key pair whose private half never leaves the token. Threads may share it.

    spki_der     SubjectPublicKeyInfo (RFC 5280 §4.1.2.7)
    extractable  CKA_EXTRACTABLE as the token reports it; false for every key made here
    sensitive    CKA_SENSITIVE as the token reports it; true for every key made here
    """

    label: str
    algorithm: Algorithm
    public_key: TokenPublicKey = field(repr=False)
    spki_der: bytes = field(repr=False)
    extractable: bool
    sensitive: bool
    key_id: bytes = field(repr=False)
    spki_sha256: bytes = field(init=False, repr=False)
    _pool: SessionPool = field(repr=False, compare=False)
    _name: PrivateKeyName = field(init=False, repr=False, compare=False)
    _hash_name: str | None = field(init=False, repr=False, compare=False)
    _order_bytes: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spki_sha256", hashlib.sha256(self.spki_der).digest())
        object.__setattr__(self, "_name", PrivateKeyName(self.label, self.key_id, mechanism_of(self.algorithm)))
        object.__setattr__(self, "_hash_name", None if self.algorithm is Algorithm.ED25519 else self.algorithm.hash_name)
        object.__setattr__(self, "_order_bytes", ORDER_BYTES.get(self.algorithm))

    def sign(self, data: bytes) -> bytes:
        """Signature over ``data`` by the algorithm's own hash: PKCS#1 v1.5, DER ECDSA-Sig-Value, or Ed25519's 64 bytes (RFC 8032 §5.1.6).

        It takes one C_Sign, which is never made again once it has begun: HSM_UNAVAILABLE, HSM_KEY_MISSING, HSM_TIMEOUT, HSM_PIN_REFUSED.
        """
        if self._hash_name is None:
            return self._raw(data)
        return self.sign_prehashed(hashlib.new(self._hash_name, data).digest(), self._hash_name)

    def sign_digest(self, digest: bytes) -> bytes:
        """The same over a digest of ``algorithm.hash_name``; INVALID_ARGUMENT for Ed25519 or a digest of another length."""
        return self.sign_prehashed(digest, self.algorithm.hash_name if self._hash_name is None else self._hash_name)

    def sign_prehashed(self, digest: bytes, hash_name: str) -> bytes:
        """The same over a SHA-256, SHA-384 or SHA-512 digest, where another standard asks for a hash of its own."""
        check_digest(digest, hash_name)
        if self._order_bytes is not None:
            return ecdsa_sig_value(self._raw(digest[: self._order_bytes]))
        if self._hash_name is None:
            raise VermilionError(Code.INVALID_ARGUMENT, "an Ed25519 key signs the message itself, not a digest of it")
        return self._raw(DIGEST_INFO_PREFIX[hash_name] + digest)

    def _raw(self, data: bytes) -> bytes:
        """What the token's mechanism makes of ``data``."""
        # By id as well as by label: after a restore of the token another key may bear the label.
        name = self._name
        return self._pool.run(lambda session: session.sign(name, data), "signing")

    def private_key(self) -> TokenPrivateKey:
        """A private key for ``cryptography``'s builders (certificate, CRL, OCSP, request) that signs in the token."""
        from sealcore.hsm.private import private_key_of  # noqa: PLC0415  (private.py needs TokenKey)

        return private_key_of(self)


@dataclass(frozen=True)
class ForeignKey:
    """A private key of the token that the office cannot use. It is listed beside our keys and does not disturb them.

    label    as the token has it, for people to read: bytes that are no text are escaped
    refusal  why it cannot be used; its code is what asking for it by its label raises
    """

    label: str
    refusal: VermilionError

    @property
    def described(self) -> str:
        """In the place of an algorithm."""
        return f"unreadable: {self.refusal.reason}"


@dataclass(frozen=True)
class Found:
    """The private keys of the token, or those of one label, by label."""

    keys: list[TokenKey]
    foreign: list[ForeignKey]


def read_keys(session: PooledSession, pool: SessionPool, label: str | None = None) -> Found:
    """Reads each private key by itself. Faults of the token raise PKCS11Error; a fault of one object becomes a ``ForeignKey``."""
    wanted: dict[pkcs11.Attribute, object] = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
    if label is not None:
        # Found through private keys: certificates and public keys of others in the same token
        # disturb nobody.
        wanted[pkcs11.Attribute.LABEL] = label
    found = [_read_key(session, pool, private) for private in session.objects(wanted)]
    keys = sorted((one for one in found if isinstance(one, TokenKey)), key=lambda key: key.label)
    return Found(keys, sorted((one for one in found if isinstance(one, ForeignKey)), key=lambda key: key.label))


def _read_key(session: PooledSession, pool: SessionPool, private: pkcs11.Object) -> TokenKey | ForeignKey:
    label = "?"
    try:
        label = _attribute(session, private, pkcs11.Attribute.LABEL)
        key_id = bytes(_attribute(session, private, pkcs11.Attribute.ID))
        # From the public object: PKCS#11 lets a private EC key give no point.
        public_key = _read_public_key(session, label, key_id)
        return TokenKey(
            label=label,
            algorithm=algorithm_of(public_key),
            public_key=public_key,
            spki_der=public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            extractable=bool(_attribute(session, private, pkcs11.Attribute.EXTRACTABLE)),
            sensitive=bool(_attribute(session, private, pkcs11.Attribute.SENSITIVE)),
            key_id=key_id,
            _pool=pool,
        )
    except UnicodeDecodeError as fault:
        return ForeignKey(fault.object.decode("utf-8", "backslashreplace"), _unreadable("its label is not UTF-8"))
    except VermilionError as fault:
        return ForeignKey(label, fault)


def _attribute(session: PooledSession, found: pkcs11.Object, name: pkcs11.Attribute) -> Any:
    """An attribute of an object; HSM_KEY_MISSING where the object does not have it, does not give it, or is gone by now."""
    try:
        return found[name]
    except (*_MISSING, ValueError) as fault:
        if isinstance(fault, UnicodeDecodeError):
            raise
        session.require_token()  # otherwise the token itself is away, and the object is not to blame
        raise _unreadable(f"it gives no {name.name} that can be read ({type(fault).__name__})") from None


def _unreadable(reason: str) -> VermilionError:
    return VermilionError(Code.HSM_KEY_MISSING, reason)


def _read_public_key(session: PooledSession, label: str, key_id: bytes) -> TokenPublicKey:
    """The public half has the same label and id. Several are one if they say the same."""
    wanted = {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
        pkcs11.Attribute.LABEL: label,
        pkcs11.Attribute.ID: key_id,
    }
    matches = session.objects(wanted)
    if not matches:
        raise _unreadable(f"the public half of the key {label} is not in the token")
    read = [_public_key_of(session, public) for public in matches]
    # Which of them belongs to the private half cannot be told without signing, so neither is
    # believed.
    if any(one != read[0] for one in read):
        raise VermilionError(Code.CONFLICT, f"{len(read)} different public keys have the label and id of the key {label}")
    return read[0]


def _public_key_of(session: PooledSession, public: pkcs11.Object) -> TokenPublicKey:
    kind = _attribute(session, public, pkcs11.Attribute.KEY_TYPE)
    try:
        if kind == pkcs11.KeyType.RSA:
            exponent, modulus = (
                int.from_bytes(_attribute(session, public, name)) for name in (pkcs11.Attribute.PUBLIC_EXPONENT, pkcs11.Attribute.MODULUS)
            )
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        if kind not in (pkcs11.KeyType.EC, pkcs11.KeyType.EC_EDWARDS):
            raise VermilionError(Code.INVALID_ARGUMENT, f"the key is of the kind {kind.name}, which the office does not use")
        parameters = bytes(_attribute(session, public, pkcs11.Attribute.EC_PARAMS))
        if parameters not in _CURVES and parameters not in _ED25519_PARAMS:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the key is on a curve that the office does not use ({parameters[:16].hex()})")
        point = _point(_attribute(session, public, pkcs11.Attribute.EC_POINT))
        if parameters in _CURVES:
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[parameters], point)
        return ed25519.Ed25519PublicKey.from_public_bytes(point)
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        raise VermilionError(Code.HSM_UNAVAILABLE, "the token gives a public key that cannot be read") from None


def _point(value: bytes) -> bytes:
    """CKA_EC_POINT is a DER OCTET STRING (PKCS#11 v2.40 §2.3.3)."""
    return bytes(OctetString.load(value, strict=True).native)
