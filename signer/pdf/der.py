"""Just enough DER (X.690) to splice structures from pieces that were encoded once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
NULL: Final = b"\x05\x00"
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0xA0
CONTEXT_1: Final = 0xA1


def head(tag: int, length: int) -> bytes:
    """Tag and length of a value; lengths in definite form (X.690 §8.1.3)."""
    if length < 0x80:
        return bytes((tag, length))
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits


def tlv(tag: int, content: bytes) -> bytes:
    """Tag, length, value."""
    return head(tag, len(content)) + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of the parts, in their order."""
    return tlv(SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes], tag: int = SET) -> bytes:
    """SET OF the parts, sorted by their encodings (X.690 §11.6)."""
    return tlv(tag, b"".join(sorted(parts)))


def integer(value: int) -> bytes:
    """INTEGER, two's complement, shortest form (X.690 §8.3)."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER (X.690 §8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        content += bytes(reversed(digits))
    return tlv(OBJECT_IDENTIFIER, bytes(content))
