"""Second spellings of what is signed: the twin of an ECDSA signature, and a P-256 key in its other encodings."""

from __future__ import annotations

import base64

from asn1crypto import core, keys
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


def twin(signature: bytes) -> bytes:
    """(r, n - s): equally valid, made without the key."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, ORDER - s)


def high_s(signature: bytes) -> bytes:
    """The same signature with the larger s."""
    return max(signature, twin(signature), key=lambda one: decode_dss_signature(one)[1])


def twin_token(jws: str) -> str:
    """A JWS with the twin of its signature."""
    signed, _, encoded = jws.rpartition(".")
    value = base64.urlsafe_b64decode(encoded + "==")
    half = (ORDER - int.from_bytes(value[32:], "big")).to_bytes(32, "big")
    return f"{signed}.{base64.urlsafe_b64encode(value[:32] + half).decode().rstrip('=')}"


def spellings(public_key: ec.EllipticCurvePublicKey) -> dict[str, bytes]:
    """Encodings of one key as SubjectPublicKeyInfo; "canonical" is the one that counts."""
    whole = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    short = public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    named = core.ObjectIdentifier("1.2.840.10045.3.1.7").dump()
    explicit = keys.SpecifiedECDomain(
        {
            "version": "ecdpVer1",
            "field_id": {"field_type": "prime_field", "parameters": core.Integer(_P)},
            "curve": {"a": (_P - 3).to_bytes(32, "big"), "b": _B.to_bytes(32, "big")},
            "base": _G,
            "order": ORDER,
            "cofactor": 1,
        }
    ).dump()
    return {
        "canonical": public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "compressed": _spki(short, named),
        "hybrid": _spki(bytes([6 + (whole[-1] & 1)]) + whole[1:], named),
        "explicit parameters": _spki(whole, explicit),
        "explicit parameters, compressed": _spki(short, explicit),
        "trailing bytes": _spki(whole, named) + b"\x00",
        "BER length": b"\x30\x81" + _spki(whole, named)[1:],
    }


def _spki(point: bytes, parameters: bytes) -> bytes:
    """Assembled by hand: libraries write the canonical form alone."""
    algorithm = _tlv(0x30, core.ObjectIdentifier("1.2.840.10045.2.1").dump() + parameters)
    return _tlv(0x30, algorithm + _tlv(0x03, b"\x00" + point))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content
