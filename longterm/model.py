"""What augmentation is about: signatures in a PDF, the document security store (DSS), levels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from sealcore.errors import Code, VermilionError

ByteRange = tuple[int, int, int, int]


class Level(StrEnum):
    """Levels of a PAdES baseline signature (ETSI EN 319 142-1 §6); of a file, the lowest of its signatures."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature, or a document timestamp, as it stands in a PDF.

    contents    decoded value of /Contents with its padding
    byte_range  two (offset, length) pairs around the hole
    """

    field: str
    is_timestamp: bool
    contents: bytes
    byte_range: ByteRange

    @property
    def end(self) -> int:
        """Where what it covers ends, in bytes from the file's beginning."""
        return self.byte_range[2] + self.byte_range[3]

    @property
    def vri_key(self) -> str:
        """Its name in /VRI: SHA-1 over the value of /Contents, which is no security measure (ISO 32000-2 table 262)."""
        return hashlib.sha1(self.contents, usedforsecurity=False).hexdigest().upper()

    def digest(self, document: bytes, hash_name: str) -> bytes:
        """Of the bytes that it covers."""
        start, first, second, rest = self.byte_range
        digest = hashlib.new(hash_name, memoryview(document)[start : start + first])
        digest.update(memoryview(document)[second : second + rest])
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Store:
    """Validation data, each piece as DER and once."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    def without(self, other: Store) -> Store:
        """What ``other`` does not have."""
        return Store(
            tuple(one for one in self.certificates if one not in other.certificates),
            tuple(one for one in self.crls if one not in other.crls),
            tuple(one for one in self.ocsps if one not in other.ocsps),
        )

    def __bool__(self) -> bool:
        return bool(self.certificates or self.crls or self.ocsps)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a PDF holds of interest: its signatures, by what they cover, the least first; and its DSS."""

    signed: tuple[Signed, ...]
    store: Store = field(default_factory=Store)


def placed(document: bytes, name: str, is_timestamp: bool, byte_range: list[int], contents: bytes) -> Signed:
    """The signature, after a look at whether its hole is exactly where /Contents stands; SIGNATURE_BROKEN."""
    if len(byte_range) != 4 or min(byte_range) < 0 or byte_range[0] != 0:
        raise broken(name, "its byte range has not the one form that covers a whole revision")
    start, first, second, rest = byte_range
    hole = document[first:second]
    if not first < second <= second + rest <= len(document) or not (hole[:1] == b"<" and hole[-1:] == b">"):
        raise broken(name, "its byte range does not lie around its own value")
    try:
        value = bytes.fromhex(hole[1:-1].decode("ascii"))
    except ValueError:
        raise broken(name, "its value is not written in hexadecimal digits") from None
    if value != contents:
        raise broken(name, "its byte range does not lie around its own value")
    return Signed(name, is_timestamp, contents, (start, first, second, rest))


def broken(name: str, why: str) -> VermilionError:
    """SIGNATURE_BROKEN for the signature in the field of that name."""
    return VermilionError(Code.SIGNATURE_BROKEN, f"the signature {name!r} is broken: {why}")
