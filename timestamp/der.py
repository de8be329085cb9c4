"""The little DER (X.690) that timestamps need: writing values, and reading them strictly.

Own code, because encoding a token through a general ASN.1 library costs more than signing it does.
"""

from __future__ import annotations

from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
UTF8_STRING: Final = 0x0C
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0xA0  # constructed, explicit or implicit over a constructed type
CONTEXT_0_PRIMITIVE: Final = 0x80

LENGTH_OCTETS_LIMIT: Final = 4  # no timestamp message is larger than 4 GiB


class DerError(ValueError):
    """The bytes are not the DER value that was expected."""


def head(tag: int, size: int) -> bytes:
    """The tag and length octets of a value with ``size`` content octets."""
    if size < 0x80:
        return bytes((tag, size))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


def tlv(tag: int, *parts: bytes) -> bytes:
    """The whole encoding of a value whose content is the parts, joined."""
    content = b"".join(parts)
    return head(tag, len(content)) + content


def integer(value: int) -> bytes:
    """An INTEGER, in the fewest octets that hold its sign."""
    size = (value.bit_length() if value >= 0 else (value + 1).bit_length()) // 8 + 1
    return tlv(INTEGER, value.to_bytes(size, "big", signed=True))


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form; ValueError if ``dotted`` is not one."""
    arcs = [int(arc) for arc in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or min(arcs) < 0:
        raise ValueError(f"{dotted} is not an object identifier")
    content = bytearray()
    # the first two arcs share a value; every value is in base 128, with the high bit set on all octets but the last (X.690 §8.19)
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        content += bytes(reversed(groups))
    return tlv(OBJECT_IDENTIFIER, bytes(content))


def named_bits(*bits: int) -> bytes:
    """A BIT STRING of named bits: trailing zero bits are left out (X.690 §11.2.2)."""
    size = max(bits) // 8 + 1
    octets = bytearray(size)
    for bit in bits:
        octets[bit // 8] |= 0x80 >> bit % 8
    return tlv(BIT_STRING, bytes((7 - max(bits) % 8,)), bytes(octets))


class Reader:
    """Reads the values inside one definite-length encoding, one after another. Raises DerError at the first violation of DER."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether all input has been read."""
        return self._at == len(self._data)

    def next_is(self, tag: int) -> bool:
        """Whether the next value has this tag."""
        return self._at < len(self._data) and self._data[self._at] == tag

    def take(self, tag: int) -> bytes:
        """The content of the next value, which must have this tag."""
        return self.take_whole(tag)[1]

    def take_whole(self, tag: int) -> tuple[bytes, bytes]:
        """The next value: its whole encoding, and its content octets."""
        if not self.next_is(tag):
            raise DerError(f"a value of tag 0x{tag:02x} was expected")
        start = self._at
        content_at, size = self._length(start + 1)
        end = content_at + size
        if end > len(self._data):
            raise DerError("a value is longer than what encloses it")
        self._at = end
        return self._data[start:end], self._data[content_at:end]

    def end(self) -> None:
        """Raises DerError if there is input left."""
        if not self.at_end:
            raise DerError("there are bytes after the last value")

    def _length(self, at: int) -> tuple[int, int]:
        if at >= len(self._data):
            raise DerError("a value ends in its length")
        first = self._data[at]
        if first < 0x80:
            return at + 1, first
        count = first & 0x7F
        octets = self._data[at + 1 : at + 1 + count]
        if not 1 <= count <= LENGTH_OCTETS_LIMIT or len(octets) != count:
            raise DerError("a length is indefinite, too long or cut off")
        size = int.from_bytes(octets, "big")
        if octets[0] == 0 or size < 0x80:
            raise DerError("a length is not in its shortest form")
        return at + 1 + count, size


def read_integer(content: bytes) -> int:
    """The value of an INTEGER's content; DerError unless in its shortest form."""
    if not content or (len(content) > 1 and (content[0], content[1] >> 7) in ((0x00, 0), (0xFF, 1))):
        raise DerError("an INTEGER is not in its shortest form")
    return int.from_bytes(content, "big", signed=True)
