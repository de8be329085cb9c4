"""Suffixes as they are stored. Most of a suffix is one signature in hexadecimal, padded with zeros to the size of its hole.

The signature is stored in binary and the zeros as a count: the database writes every byte twice, to its log and to its table.
``unpack`` returns exactly the original bytes. A suffix of any other form is stored unchanged.
"""

from __future__ import annotations

import binascii
import struct

_UNCHANGED, _PACKED = b"\x00", b"\x01"
_PLACES = struct.Struct(">BIII")  # form, offset of the digits, bytes that they encode, zeros behind them
_BEGIN = b"<3082"  # a hexadecimal string whose bytes are a DER SEQUENCE of 256 to 65,535 bytes: the CMS
_DER_HEAD_BYTES = 4
_CAPITALS = b"ABCDEF"


def pack(suffix: bytes) -> bytes:
    """The stored form of a suffix."""
    start = suffix.find(_BEGIN) + 1
    end = suffix.find(b">", start)
    if start == 0 or end < 0:
        return _UNCHANGED + suffix
    try:
        size_bytes = _DER_HEAD_BYTES + int(suffix[start + 4 : start + 8], 16)
        behind = start + 2 * size_bytes
        digits = suffix[start:behind]
        signature = binascii.unhexlify(digits)
    except ValueError:
        return _UNCHANGED + suffix
    zeros = end - behind
    # Lower case and zeros alone can be restored exactly. One byte that comes back different
    # would break the signature.
    if zeros < 0 or suffix[behind:end] != b"0" * zeros or any(capital in digits for capital in _CAPITALS):
        return _UNCHANGED + suffix
    return b"".join((_PLACES.pack(1, start, size_bytes, zeros), suffix[:start], signature, suffix[end:]))


def unpack(stored: bytes) -> bytes:
    """The suffix; the inverse of ``pack``."""
    if stored[:1] == _UNCHANGED:
        return stored[1:]
    _, start, size_bytes, zeros = _PLACES.unpack_from(stored)
    at = _PLACES.size + start
    digits = binascii.hexlify(stored[at : at + size_bytes])
    return b"".join((stored[_PLACES.size : at], digits, b"0" * zeros, stored[at + size_bytes :]))
