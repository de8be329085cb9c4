"""Appended bytes as they are stored. Most of them are one signature in hexadecimal, with zeros up to the end of its room.

Half the digits and all the zeros need no place on the disk, and what is not written twice (log, then table) costs no time.
``unpack`` gives back exactly the bytes; whatever does not have the usual form is stored as it is.
"""

from __future__ import annotations

import binascii
import struct

_AS_IT_IS, _PACKED = b"\x00", b"\x01"
_PLACES = struct.Struct(">BIII")  # form, where the digits begin, bytes that they stand for, zeros behind them
_BEGIN = b"<3082"  # a hexadecimal string whose bytes are a DER SEQUENCE of 256 to 65,535 bytes: the CMS
_DER_HEAD_BYTES = 4
_CAPITALS = b"ABCDEF"


def pack(suffix: bytes) -> bytes:
    """The stored form of a suffix."""
    start = suffix.find(_BEGIN) + 1
    end = suffix.find(b">", start)
    if start == 0 or end < 0:
        return _AS_IT_IS + suffix
    try:
        size_bytes = _DER_HEAD_BYTES + int(suffix[start + 4 : start + 8], 16)
        behind = start + 2 * size_bytes
        digits = suffix[start:behind]
        signature = binascii.unhexlify(digits)
    except ValueError:
        return _AS_IT_IS + suffix
    zeros = end - behind
    if zeros < 0 or suffix[behind:end] != b"0" * zeros or any(capital in digits for capital in _CAPITALS):
        return _AS_IT_IS + suffix
    return b"".join((_PLACES.pack(1, start, size_bytes, zeros), suffix[:start], signature, suffix[end:]))


def unpack(stored: bytes) -> bytes:
    """The suffix; the inverse of ``pack``."""
    if stored[:1] == _AS_IT_IS:
        return stored[1:]
    _, start, size_bytes, zeros = _PLACES.unpack_from(stored)
    at = _PLACES.size + start
    digits = binascii.hexlify(stored[at : at + size_bytes])
    return b"".join((stored[_PLACES.size : at], digits, b"0" * zeros, stored[at + size_bytes :]))
