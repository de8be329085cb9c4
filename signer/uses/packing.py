"""Suffixes as they are stored and sent. Most of a suffix is one signature in hexadecimal, padded with zeros to the size of its hole.

The signature is kept in binary, the zeros as a count, and what many signatures have in common, the certificates in them, by name: they
make up three quarters of what a small document gets appended. ``Packed.whole`` gives exactly the original bytes. A suffix of any
other form is kept as it is.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from asn1crypto import cms

from sealcore import compiled
from signer.model import Packed, Part

if compiled.AVAILABLE:
    from sealcore.compiled import core

_UNCHANGED, _PACKED, _NAMING = 0, 1, 2  # forms; the first two were written by earlier versions and are read
_PLACES: Final = struct.Struct(">BIII")  # form 1: offset of the digits, bytes that they encode, zeros behind them
_HEAD: Final = struct.Struct(">BIIB")  # form 2: bytes before the signature, zeros behind it, parts in it
_LENGTH: Final = struct.Struct(">I")  # of each stretch between parts
_BEGIN: Final = b"<3082"  # a hexadecimal string whose bytes are a DER SEQUENCE of 256 to 65,535 bytes: the CMS
_DER_HEAD_BYTES: Final = 4
_NAME_BYTES: Final = 32
_LEAST_PART_BYTES: Final = 256
_MOST_PARTS: Final = 8  # of one kind of signature
_MOST_KINDS: Final = 1024
_MOST_IN_VAIN: Final = 8
_LEAD_DIGITS: Final = 48


class _Sought(NamedTuple):
    """A part with its digits, and those that it is looked for by."""

    part: Part
    digits: bytes
    lead: bytes

    @classmethod
    def of(cls, content: bytes) -> _Sought:
        """Bytes that signatures have in common."""
        digits = binascii.hexlify(content)
        return cls(Part.of(content), digits, digits[:_LEAD_DIGITS])


class _Known(NamedTuple):
    """Parts of one kind of signature, in the order in which they occur, and how often nothing new was found."""

    sought: tuple[_Sought, ...]
    in_vain: int
    parts: tuple[Part, ...]
    compiled: core.Parts | None

    @classmethod
    def of(cls, sought: tuple[_Sought, ...], in_vain: int) -> _Known:
        """In the form of the compiled core, too, where that is there."""
        parts = tuple(one.part for one in sought)
        return cls(sought, in_vain, parts, core.Parts([part.content for part in parts]) if compiled.AVAILABLE else None)

    def teaches(self, packed: Packed) -> bool:
        """Whether something new may be learnt from a signature."""
        # Another TSA, say, or a first signature. Not again and again where nothing new comes of it: two TSAs in turn lack each other's parts.
        return (len(packed.parts) < len(self.parts) or not packed.parts) and self.in_vain < _MOST_IN_VAIN


_NOTHING: Final = _Known.of((), 0)


class Packer:
    """Packs the suffixes of one process. It learns which parts signatures have in common from the signatures themselves. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}  # by kind of signature

    def pack_all(self, suffixes: Sequence[tuple[bytes, str]]) -> list[tuple[Packed, bytes]]:
        """Each packed, and as it is stored; ``pack`` for a batch, with the kind of each."""
        if not compiled.AVAILABLE:
            return [self._pack(*each) for each in suffixes]
        known = [self._known.get(kind, _NOTHING) for _, kind in suffixes]
        jobs = [(suffix, one.compiled) for (suffix, _), one in zip(suffixes, known, strict=True) if one.compiled is not None]
        packed: list[tuple[Packed, bytes]] = []
        for each, one, fields in zip(suffixes, known, core.pack_all(jobs), strict=True):
            if fields is None:
                packed.append(self._pack(*each))
                continue
            before, stretches, places, zeros, after, stored = fields
            parts = one.parts if len(places) == len(one.parts) else tuple(one.parts[place] for place in places)
            made = Packed(before, stretches, parts, zeros, after)
            packed.append(self._pack(*each) if one.teaches(made) else (made, stored))
        return packed

    def _pack(self, suffix: bytes, kind: str) -> tuple[Packed, bytes]:
        packed = self.pack(suffix, kind)
        return packed, encode(packed)

    def pack(self, suffix: bytes, kind: str) -> Packed:
        """The packed suffix. Signatures of one ``kind`` (the certificate of their seal) are expected to have parts in common."""
        known = self._known.get(kind, _NOTHING)
        packed = _packed(suffix, known.sought)
        if packed is None:
            return Packed(suffix, (b"",), (), 0, b"")
        if known.teaches(packed):
            known = self._learn(kind, known, packed.signature())
            packed = _packed(suffix, known.sought) or packed
        return packed

    def _learn(self, kind: str, known: _Known, signature: bytes) -> _Known:
        there = _parts_in(signature)
        is_new = not set(there) <= set(known.sought)
        sought = (*there, *(part for part in known.sought if part not in there))[:_MOST_PARTS]
        if len(self._known) >= _MOST_KINDS:  # emptied whole: it fills again within a few batches
            self._known = {}
        self._known[kind] = learnt = _Known.of(sought, 0 if is_new else known.in_vain + 1)
        return learnt


def encode(packed: Packed) -> bytes:
    """As it is stored."""
    head = _HEAD.pack(_NAMING, len(packed.before), packed.zeros, len(packed.parts))
    lengths = [_LENGTH.pack(len(stretch)) for stretch in packed.stretches]
    return b"".join((head, *lengths, *(part.name for part in packed.parts), packed.before, *packed.stretches, packed.after))


def names(stored: bytes) -> list[bytes]:
    """Of the parts that a stored suffix refers to."""
    if stored[0] != _NAMING:
        return []
    count = _HEAD.unpack_from(stored)[3]
    at = _HEAD.size + (count + 1) * _LENGTH.size
    return [stored[place : place + _NAME_BYTES] for place in range(at, at + count * _NAME_BYTES, _NAME_BYTES)]


def decode(stored: bytes, contents: Mapping[bytes, bytes]) -> Packed:
    """The inverse of ``encode``, given the parts that it names; KeyError when one is missing."""
    if stored[0] == _UNCHANGED:
        return Packed(stored[1:], (b"",), (), 0, b"")
    if stored[0] == _PACKED:
        _, start, size_bytes, zeros = _PLACES.unpack_from(stored)
        at = _PLACES.size + start
        return Packed(stored[_PLACES.size : at], (stored[at : at + size_bytes],), (), zeros, stored[at + size_bytes :])
    _, before, zeros, count = _HEAD.unpack_from(stored)
    lengths = struct.unpack_from(f">{count + 1}I", stored, _HEAD.size)
    named = names(stored)
    at = _HEAD.size + (count + 1) * _LENGTH.size + count * _NAME_BYTES
    fields: list[bytes] = []
    for length in (before, *lengths):
        fields.append(stored[at : at + length])
        at += length
    return Packed(fields[0], tuple(fields[1:]), tuple(Part(each, contents[each]) for each in named), zeros, stored[at:])


def _packed(suffix: bytes, known: tuple[_Sought, ...]) -> Packed | None:
    """With those of the known parts that its signature has in this order; None where that would not restore the bytes."""
    start = suffix.find(_BEGIN) + 1
    if start == 0:
        return None
    stretches: list[bytes] = []
    parts: list[Part] = []
    at = start
    try:
        behind = start + 2 * (_DER_HEAD_BYTES + int(suffix[start + 4 : start + 8], 16))
        for part, digits, lead in known:
            # By its first digits, which are found quickly; then all of them.
            found = suffix.find(lead, at, behind)
            if found >= 0 and suffix.startswith(digits, found) and found + len(digits) <= behind:
                stretches.append(_unhexlified(suffix[at:found]))
                parts.append(part)
                at = found + len(digits)
        stretches.append(_unhexlified(suffix[at:behind]))
    except ValueError:
        return None
    end = suffix.find(b">", behind)
    zeros = end - behind
    if zeros < 0 or suffix[behind:end] != b"0" * zeros:
        return None
    return Packed(suffix[:start], tuple(stretches), tuple(parts), zeros, suffix[end:])


def _unhexlified(digits: bytes) -> bytes:
    """What they encode; ValueError for any but lower-case digits, which alone can be restored exactly."""
    # One byte that comes back different would break the signature.
    if digits.lower() != digits:
        raise ValueError
    return binascii.unhexlify(digits)


def _parts_in(signature: bytes) -> tuple[_Sought, ...]:
    """The certificates in a CMS and in its timestamp, in order; none where it cannot be read."""
    try:
        outer = cms.ContentInfo.load(signature)["content"]
        blocks = [_certificates(outer)]
        for signer in outer["signer_infos"]:
            for attribute in signer["unsigned_attrs"]:
                if attribute["type"].native == "signature_time_stamp_token":
                    blocks += [_certificates(token["content"]) for token in attribute["values"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(_Sought.of(block) for block in blocks if len(block) >= _LEAST_PART_BYTES)[:_MOST_PARTS]


def _certificates(signed: cms.SignedData) -> bytes:
    return bytes(signed["certificates"].contents or b"")
