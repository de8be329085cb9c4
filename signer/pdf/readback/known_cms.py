"""Verifies a CMS most of which was judged in full before: the same bytes in the same places, then the digest, the signature, the timestamp.

It never refuses: where anything differs from what is known it says no, and the CMS is judged in full.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature

MOST_KEYS: Final = 256  # a few kB each

Verify = Callable[[bytes, bytes], None]
"""Verifies a signature value over a digest; raises InvalidSignature."""

_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
_TIMESTAMP: Final = bytes.fromhex("060b2a864886f70d010910020e")
_TST_INFO: Final = bytes.fromhex("060b2a864886f70d0109100104")
_IMPRINTS: Final = (  # by SHA-256, without parameters as we make it, or with NULL (RFC 5754 §2)
    bytes.fromhex("302f300b06096086480165030402010420"),
    bytes.fromhex("3031300d060960864801650304020105000420"),
)
_VERSION: Final = b"\x02\x01\x01"
_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID, _FIRST, _SECOND = 0x30, 0x31, 0x02, 0x04, 0x06, 0xA0, 0xA1


@dataclass(frozen=True, slots=True)
class Constants:
    """What all seals of one key have in common.

    head               in SignedData, from the version to the certificates
    signer_head        in SignerInfo, from the version to the digest algorithm
    attributes_before  the signed attributes as a SET up to the value of message-digest; ``attributes_after`` from behind it
    algorithm          of the signature
    """

    hash_name: str
    head: bytes
    signer_head: bytes
    attributes_before: bytes
    attributes_after: bytes
    algorithm: bytes
    verify: Verify


class _OtherwiseError(Exception):
    """The CMS is built in a way that is not known here."""


class KnownCms:
    """The constants of the keys that sealed most recently. Thread-safe."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[tuple[bytes, str], Constants] = OrderedDict()

    def remember(self, spki_sha256: bytes, hash_name: str, constants: Constants) -> None:
        """Keeps the constants of a CMS that was judged in full."""
        self._by_key[spki_sha256, hash_name] = constants
        if len(self._by_key) > MOST_KEYS:
            self._by_key.popitem(last=False)

    def verifies(self, cms: bytes, digest: bytes, hash_name: str, spki_sha256: bytes) -> bool:
        """Whether this is a CMS of a known key over ``digest``, with a timestamp over its signature value; False if in doubt."""
        constants = self._by_key.get((spki_sha256, hash_name))
        if constants is None:
            return False
        try:
            _verify(cms, digest, constants)
        except (_OtherwiseError, IndexError, InvalidSignature):
            return False
        return True


def _verify(cms: bytes, digest: bytes, constants: Constants) -> None:
    at, end = _enter(cms, 0, _SEQUENCE)
    at = _skip(cms, at, _SIGNED_DATA)
    at = _enter_last(cms, at, _FIRST, end)
    at = _enter_last(cms, at, _SEQUENCE, end)
    at = _skip(cms, at, constants.head)
    at = _enter_last(cms, at, _SET, end)
    at = _enter_last(cms, at, _SEQUENCE, end)
    at = _skip(cms, at, constants.signer_head)
    # Put together from what is known and this digest: what the signature is verified over comes
    # from nowhere else.
    attributes = b"".join((constants.attributes_before, b"\x04", bytes((len(digest),)), digest, constants.attributes_after))
    if cms[at] != _FIRST:  # a SET, tagged [0] here (RFC 5652 §5.3)
        raise _OtherwiseError
    at = _skip(cms, at + 1, attributes[1:])
    at = _skip(cms, at, constants.algorithm)
    start, at = _enter(cms, at, _OCTETS)
    signature = cms[start:at]
    _check_timestamp(cms, at, end, hashlib.sha256(signature).digest())
    if len(cms) != end and cms.count(0, end) != len(cms) - end:
        raise _OtherwiseError
    # Last, since it costs most; nothing before it makes the CMS valid.
    constants.verify(signature, hashlib.new(constants.hash_name, attributes).digest())


def _check_timestamp(cms: bytes, at: int, end: int, imprint: bytes) -> None:
    """There is one unsigned attribute, a time-stamp token with this imprint."""
    at = _enter_last(cms, at, _SECOND, end)
    at = _enter_last(cms, at, _SEQUENCE, end)
    at = _skip(cms, at, _TIMESTAMP)
    at = _enter_last(cms, at, _SET, end)
    at = _enter_last(cms, at, _SEQUENCE, end)
    at = _skip(cms, at, _SIGNED_DATA)
    at = _enter_last(cms, at, _FIRST, end)
    at = _enter_last(cms, at, _SEQUENCE, end)
    _start, at = _enter(cms, at, _INTEGER)
    _start, at = _enter(cms, at, _SET)
    at, content_end = _enter(cms, at, _SEQUENCE)
    at = _skip(cms, at, _TST_INFO)
    at = _enter_last(cms, at, _FIRST, content_end)
    at = _enter_last(cms, at, _OCTETS, content_end)
    at = _enter_last(cms, at, _SEQUENCE, content_end)
    at = _skip(cms, at, _VERSION)
    _start, at = _enter(cms, at, _OID)
    at = _skip(cms, at, _IMPRINTS[cms[at + 1] == _IMPRINTS[1][1]])
    if cms[at : at + len(imprint)] != imprint or at + len(imprint) > content_end or content_end > end:
        raise _OtherwiseError


def _enter(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where the content of the value at ``at`` begins and ends."""
    if data[at] != tag:
        raise _OtherwiseError
    length, start = data[at + 1], at + 2
    if length == 0x82:
        length, start = data[start] << 8 | data[start + 1], at + 4
    elif length == 0x81:
        length, start = data[start], at + 3
    elif length & 0x80:
        raise _OtherwiseError
    return start, start + length


def _enter_last(data: bytes, at: int, tag: int, end: int) -> int:
    """Where the content of the value at ``at`` begins. The value must end at ``end``, together with everything that encloses it."""
    start, own_end = _enter(data, at, tag)
    # Everything nested here ends with the CMS: so nothing can hide behind an inner value.
    if own_end != end:
        raise _OtherwiseError
    return start


def _skip(data: bytes, at: int, expected: bytes) -> int:
    """The position after ``expected``, which must be there."""
    if not data.startswith(expected, at):
        raise _OtherwiseError
    return at + len(expected)
