"""Signing with a key in the token: which mechanism, what goes in, and how what comes out is encoded.

Digests are made outside the token and signed by the raw mechanisms (CKM_RSA_PKCS, CKM_ECDSA): one call, a few bytes.
"""

from __future__ import annotations

from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm

# DER of DigestInfo up to the digest itself (RFC 8017 §9.2, note 1): with it, the token pads to RSASSA-PKCS1-v1_5.
DIGEST_INFO_PREFIX: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_DIGEST_BYTES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}

# A digest longer than the order is cut to it (FIPS 186-5 §6.4.1); ours are whole octets.
ORDER_BYTES: Final = {Algorithm.P256: 32, Algorithm.P384: 48}

_LONGEST_HALF_BYTES: Final = 60  # of r or s; P-384 has 48

_CKM_RSA_PKCS: Final = 0x0001
_CKM_ECDSA: Final = 0x1041
_CKM_EDDSA: Final = 0x1057


def mechanism_of(algorithm: Algorithm) -> int:
    """The PKCS#11 mechanism by which keys of this algorithm sign."""
    if algorithm.is_rsa:
        return _CKM_RSA_PKCS
    return _CKM_ECDSA if algorithm.is_ecdsa else _CKM_EDDSA


def check_digest(digest: bytes, hash_name: str) -> None:
    """INVALID_ARGUMENT unless ``digest`` is one of that hash."""
    if _DIGEST_BYTES.get(hash_name) != len(digest):
        raise VermilionError(Code.INVALID_ARGUMENT, f"{len(digest)} bytes are not a {hash_name} digest")


def ecdsa_sig_value(raw: bytes) -> bytes:
    """DER ECDSA-Sig-Value (RFC 3279 §2.2.3) of the token's r ‖ s, short enough that every length fits one octet.

    HSM_UNAVAILABLE when the token gives something else.
    """
    half, odd = divmod(len(raw), 2)
    # A length over 127 would need another form of DER length than the one octet written below.
    if odd or not 0 < half <= _LONGEST_HALF_BYTES:
        raise VermilionError(Code.HSM_UNAVAILABLE, f"the token gives an ECDSA signature of {len(raw)} bytes")
    integers = _integer(raw[:half]) + _integer(raw[half:])
    return b"\x30" + bytes((len(integers),)) + integers


def _integer(octets: bytes) -> bytes:
    """DER INTEGER of an unsigned number: no leading zero octets but the one that keeps it from being negative (X.690 §8.3)."""
    minimal = octets.lstrip(b"\0")
    if not minimal or minimal[0] & 0x80:
        minimal = b"\0" + minimal
    return b"\x02" + bytes((len(minimal),)) + minimal
