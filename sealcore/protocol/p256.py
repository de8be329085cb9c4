"""P-256 keys and signatures in their one form: canonical SubjectPublicKeyInfo, low s (docs/protocol.md, "Keys and trust").

One key has several encodings (compressed, hybrid, explicit parameters), and one signature (r, s) has the twin (r, n - s), which
anybody can compute. Whatever is compared, counted or recognised again is therefore brought to one form first, or refused.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import require

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256 (SEC 2 §2.4.2)
HALF_ORDER: Final = ORDER // 2
"""The largest s that counts as low."""


def p256_key(spki_der: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a SubjectPublicKeyInfo, in whatever encoding; raises INVALID_ARGUMENT for anything else."""
    try:
        key = load_der_public_key(spki_der)
    except (ValueError, UnsupportedAlgorithm):
        raise VermilionError(Code.INVALID_ARGUMENT, "a public key cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VermilionError(Code.INVALID_ARGUMENT, "people and issuers hold P-256 keys")
    return key


def canonical_spki(public_key: Any) -> bytes:
    """The one SubjectPublicKeyInfo of a key: named curve, uncompressed point (RFC 5480 §2), DER."""
    return bytes(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def require_canonical(spki_der: bytes) -> None:
    """INVALID_ARGUMENT unless this is a P-256 key in its one encoding."""
    same = canonical_spki(p256_key(spki_der)) == spki_der
    require(same, "a public key comes as SubjectPublicKeyInfo with the named curve P-256 and an uncompressed point (RFC 5480 §2)")


def low_s(signature: bytes) -> bytes:
    """The same ECDSA-Sig-Value with the smaller of its two s; what is no ECDSA-Sig-Value stays as it is, for whoever verifies it."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return signature
    # Both (r, s) and (r, n - s) verify (SEC 1 §4.1.4).
    return encode_dss_signature(r, ORDER - s) if HALF_ORDER < s < ORDER else signature


def require_low_s(signature: bytes, whose: str) -> None:
    """DECISION_INVALID for the twin of a signature (DER) in which s is the larger."""
    if low_s(signature) != signature:
        raise VermilionError(
            Code.DECISION_INVALID, f"s in {whose} signature is larger than half the curve's order; send n - s in its place"
        )
