"""The bytes of an incremental update: objects, a cross-reference section in the document's own style, and the hole (ISO 32000-2 §7.5.6).

All lengths are known before anything is joined, so the byte range is written once and the update is never copied.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from signer.pdf.lean.file import File
from signer.pdf.lean.grammar import HEXADECIMAL, SPACE, STRING, NotLeanError
from signer.pdf.numbers import FreeNumbers

_RANGE_WIDTH: Final = 50  # "[0 n n n]" with three numbers of up to 14 digits
_CONTENTS: Final = b"/Contents"
_CLOSING: Final = b">>\nendobj\n"
_FIRST_IDENTIFIER: Final = re.compile(rb"\[" + SPACE + rb"*+(" + STRING + b"|" + HEXADECIMAL + rb")")
_NOT_CARRIED_OVER: Final = frozenset((b"Size", b"Prev", b"ID", b"Length", b"Filter", b"DecodeParms", b"W", b"Type", b"Index", b"XRefStm"))


Place = tuple[int, int, int]  # number, generation, offset


def dictionary(entries: dict[bytes, bytes]) -> bytes:
    """A dictionary of raw values."""
    return b"<<" + b"".join([b"/%b %b" % entry for entry in entries.items()]) + b">>"


class Update:
    """Objects to be appended, in order, under numbers that nothing in the document refers to."""

    __slots__ = ("_at", "_file", "_numbers", "_parts", "_places")

    def __init__(self, file: File) -> None:
        self._file = file
        self._numbers = FreeNumbers(file.next_number, [file.document, *file.object_streams()])
        # A line end first: the document may not end with one, and ``%%EOF`` must stay a line of its
        # own.
        self._at = file.size_bytes + 1
        self._parts = [b"\n"]
        self._places: list[Place] = []

    def reserve(self, count: int = 1) -> int:
        """Reserves so many consecutive object numbers; returns the first."""
        return self._numbers.take(count)

    def write(self, number: int, body: bytes, generation: int = 0) -> None:
        """Adds an object, either a new one or a new version of an old one. Each number can be written once."""
        text = b"%d %d obj\n%b\nendobj\n" % (number, generation, body)
        self._places.append((number, generation, self._at))
        self._parts.append(text)
        self._at += len(text)

    def finished(
        self, number: int, signature: bytes, hole_size_bytes: int, identifier: bytes, document_digest: hashlib._Hash
    ) -> tuple[bytes, tuple[int, int, int, int], bytes]:
        """Suffix, byte range, digest. ``signature`` is the signature dictionary up to where /ByteRange and /Contents belong."""
        head = b"%d 0 obj\n%b/ByteRange" % (number, signature)
        self._places.append((number, 0, self._at))
        # The byte range is padded to a fixed width, so that the hole's place does not depend on the
        # digits that name it.
        hole_start = self._at + len(head) + _RANGE_WIDTH + len(_CONTENTS)
        hole_end = hole_start + 2 * hole_size_bytes + 2
        after = _CLOSING + self._cross_references(hole_end + len(_CLOSING), identifier, document_digest)
        byte_range = (0, hole_start, hole_end, len(after))
        before = b"".join((*self._parts, head, (b"[%d %d %d %d]" % byte_range).ljust(_RANGE_WIDTH), _CONTENTS))
        digest = document_digest.copy()
        digest.update(before)
        digest.update(after)
        return b"%b<%b>%b" % (before, b"0" * (2 * hole_size_bytes), after), byte_range, digest.digest()

    def closed(self, identifier: bytes, document_digest: hashlib._Hash) -> bytes:
        """The suffix of an update that holds no signature."""
        return b"".join((*self._parts, self._cross_references(self._at, identifier, document_digest)))

    def _cross_references(self, at: int, identifier: bytes, document_digest: hashlib._Hash) -> bytes:
        previous = self._file.sections[0].offset
        trailer = self._trailer(identifier, document_digest)
        if not self._file.in_streams:
            rows = b"".join([b"%d %d\n%b" % (first, count, text) for first, count, text in _runs(self._places, b"%010d %05d n \n")])
            return b"xref\n0 1\n0000000000 65535 f \n%btrailer\n<</Size %d/Prev %d%b>>\nstartxref\n%d\n%%%%EOF\n" % (
                *(rows, self._numbers.size, previous, trailer, at),
            )
        number = self._numbers.take()
        runs = _runs([*self._places, (number, 0, at)], b"\x01%b%b")
        rows = b"".join([text for _first, _count, text in runs])
        index = b" ".join([b"%d %d" % (first, count) for first, count, _text in runs])
        return (
            b"%d 0 obj\n<</Type/XRef/W[1 8 2]/Index[%b]/Length %d/Size %d/Prev %d%b>>\nstream\n%b\nendstream\nendobj\n"
            b"startxref\n%d\n%%%%EOF\n"
        ) % (number, index, len(rows), number + 1, previous, trailer, rows, at)

    def _trailer(self, identifier: bytes, document_digest: hashlib._Hash) -> bytes:
        """The entries of all trailers, newer ones overriding older ones; the second half of /ID changes with each update (§14.4)."""
        sections = self._file.sections
        entries = sections[0].trailer
        if len(sections) > 1:
            entries = {key: value for section in reversed(sections) for key, value in section.trailer.items()}
        carried = b"".join([b"/%b %b" % entry for entry in entries.items() if entry[0] not in _NOT_CARRIED_OVER])
        own = entries.get(b"ID")
        if own is None:
            return b"%b/ID[<%b><%b>]" % (carried, document_digest.digest()[:16].hex().encode(), identifier.hex().encode())
        first = _FIRST_IDENTIFIER.match(own)
        if first is None:
            raise NotLeanError("the identifier of the document is odd")
        return b"%b/ID[%b<%b>]" % (carried, first[1], identifier.hex().encode())


def _runs(places: list[Place], row: bytes) -> list[tuple[int, int, bytes]]:
    """Groups consecutive numbers, as cross-reference sections list them: first number, count, rows."""
    places.sort()
    binary = row[0] == 1
    runs: list[tuple[int, int, bytes]] = []
    first, expected, rows = places[0][0], places[0][0], b""
    for number, generation, offset in places:
        if number != expected:
            if number < expected:
                raise NotLeanError("one object would be written anew twice")
            runs.append((first, expected - first, rows))
            first, rows = number, b""
        rows += row % ((offset.to_bytes(8, "big"), generation.to_bytes(2, "big")) if binary else (offset, generation))
        expected = number + 1
    return [*runs, (first, expected - first, rows)]
