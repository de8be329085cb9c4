"""What was appended to a file, read as a chain of incremental updates (ISO 32000-2 §7.5.6) and as nothing else.

Every byte is accounted for: objects, one cross-reference section that lists exactly these objects at exactly these places and leads
to the section before it, its trailer, ``startxref`` and ``%%EOF``. Where readers could see different things ("incremental saving",
"shadow" and parser attacks: Mladenov et al., CCS 2019; Mainka et al., NDSS 2021), it is no proper update. Nor is one that holds what
a reader would take for more objects if it searched the bytes for them, as readers do with files that they find damaged; or one that
some readers find damaged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from verify.steps.changes.values import IrregularError, Ref, Stream, Value, decoded, parse

MOST_OBJECTS: Final = 20_000  # appended; more are a trap
MOST_REVISIONS: Final = 256
MOST_BLANK_BYTES: Final = 512  # at the end; behind more, readers that search their last kilobyte find no startxref
MOST_NUMBER: Final = 4_194_303  # of an object: readers in use take no more
_BLANK = re.compile(rb"[\0\t\n\f\r ]*")
_BETWEEN = re.compile(rb"(?:[\0\t\n\f\r ]+|%(?!%EOF|PDF-)[^\r\n]{0,200}[\r\n])*")
_TELLING_COMMENT = re.compile(rb"obj|xref|trailer|EOF|PDF-")  # a reader that repairs files could take such a comment for more
_OBJECT = re.compile(rb"([1-9]\d{0,6})[\0\t\n\f\r ]{1,4}(\d{1,5})[\0\t\n\f\r ]{1,4}obj(?=[\0\t\n\f\r (<\[/])")
_SKIPPED = rb"(?:[\0\t\n\f\r ]++|%[^\r\n]{0,1000}+[\r\n]){1,500}+"
_FOUND_BY_SEARCH = re.compile(rb"\d%b\d{1,10}+%bobj|trailer(?:%b)?<<" % (_SKIPPED, _SKIPPED, _SKIPPED))
_STREAM = re.compile(rb"[\0\t\n\f\r ]*stream\r?\n")
_END_OF_STREAM = re.compile(rb"(?:\r\n|\n|\r)?endstream")
_END_OF_OBJECT = re.compile(rb"[\0\t\n\f\r ]*endobj(?=[\0\t\n\f\r ])")
_TABLE = re.compile(rb"xref ?(?:\r\n|\n|\r)")
_SUBSECTION = re.compile(rb"(\d{1,7}) (\d{1,7}) ?(?:\r\n|\n|\r)")  # MuPDF repairs the file where more blanks follow
_ENTRY = re.compile(rb"(\d{10}) (\d{5}) ([nf])(?: \r| \n|\r\n)")
_TRAILER = re.compile(rb"trailer(?=[\0\t\n\f\r <])")
_TAIL = re.compile(rb"[\0\t\n\f\r ]*startxref[\t ]*(?:\r\n|\n|\r)[\t ]*(\d{1,10})[\t ]*(?:\r\n|\n|\r)%%EOF")
_PAIR = re.compile(rb"[\0\t\n\f\r ]*(\d{1,7})[\0\t\n\f\r ]+(\d{1,8})(?=[\0\t\n\f\r ]|$)")
_WIDEST = (1, 8, 4)  # bytes of the fields in a cross-reference stream; readers in use take no more


class TooManyError(Exception):
    """More objects or revisions than one document may append."""


@dataclass(frozen=True)
class Written:
    """An appended object; ``at`` is where it, or the object stream that holds it, begins. ``holder`` is that object stream."""

    ref: Ref
    value: Value
    at: int
    holder: int | None = None


@dataclass(frozen=True)
class Revision:
    """One update: ``end`` lies behind its %%EOF.

    carriers  object streams, the cross-reference stream, and lengths of streams: no content
    freed     numbers that it lists as free
    lengths   of the streams whose length is an object of its own, that object's number
    """

    start: int
    end: int
    section: int
    trailer: dict[str, Value]
    objects: dict[int, Written]
    carriers: frozenset[int]
    freed: frozenset[int] = frozenset()
    lengths: dict[int, int] = field(default_factory=dict)


def appended(document: bytes, start: int, previous_section: int) -> list[Revision]:
    """The updates behind ``start``, none where only white space follows; raises IrregularError, TooManyError.

    previous_section  where the cross-reference section of the bytes before begins
    """
    found: list[Revision] = []
    size = len(document)
    while (at := _matched(_BLANK, document, start).end()) < size:
        if len(found) == MOST_REVISIONS:
            raise TooManyError
        revision = _Reader(document, start, previous_section).read()
        found.append(revision)
        if sum(len(each.objects) for each in found) > MOST_OBJECTS:
            raise TooManyError
        start, previous_section = revision.end, revision.section
    if at - start > MOST_BLANK_BYTES:
        raise IrregularError("blanks_at_end")
    return found


def _matched(pattern: re.Pattern[bytes], data: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(data, at)
    if found is None:
        raise IrregularError("no_proper_update")
    return found


class _Reader:
    def __init__(self, document: bytes, start: int, previous_section: int) -> None:
        self._document, self._start, self._previous = document, start, previous_section
        self._direct: dict[int, Written] = {}
        self._heads: set[int] = set()  # where the heads of objects and of the trailer end
        self._freed: set[int] = set()
        self._lengths: list[tuple[Ref, int]] = []  # of streams whose length is an object of its own
        self._measured: dict[int, int] = {}

    def read(self) -> Revision:
        at = self._objects()
        # Only now is every object known: the length may stand behind its stream.
        self._require_lengths()
        if self._document.startswith(b"xref", at):
            section, last = at, None
            trailer, at, listed, packed = self._table(at)
        else:
            last = list(self._direct.values())[-1] if self._direct else None
            section, trailer, listed, packed = self._stream(last)
        tail = _matched(_TAIL, self._document, self._between(at))
        self._require_nothing_hidden(tail.end())
        previous = trailer.get("/Prev")
        # A reader that follows /Prev must come to exactly the section that was sealed. /XRefStm
        # (ISO 32000-2 §7.5.8.4, hybrid files) would show old and new readers different objects.
        if int(tail[1]) != section or type(previous) is not int or previous != self._previous or "/XRefStm" in trailer:
            raise IrregularError("xref_not_linked")
        if last is not None:
            listed.setdefault(last.ref.number, last.at)  # some writers leave the cross-reference stream itself out, or list it as free
            self._freed.discard(last.ref.number)
        # Equal both ways: an object that is not listed is invisible to readers that follow the
        # table, but found by those that repair; a place that is listed and holds no object leads to
        # bytes nobody checked.
        if listed != {number: each.at for number, each in self._direct.items()}:
            raise IrregularError("xref_other_objects")
        inner = self._unpacked(packed)
        objects = self._direct | inner
        # One number both plain and inside an object stream: which one a reader sees depends on the
        # reader.
        if len(objects) != len(self._direct) + len(inner):
            raise IrregularError("object_twice")
        size = trailer.get("/Size")
        # Readers are to take an object whose number is /Size or more for missing (ISO 32000-2
        # §7.5.5); some do, some do not.
        if type(size) is not int or size > MOST_NUMBER + 1 or any(number >= size for number in objects.keys() | self._freed):
            raise IrregularError("xref_size")
        if self._freed & objects.keys():
            raise IrregularError("xref_freed")
        return Revision(
            self._start, tail.end(), section, trailer, objects, self._carriers(last, inner), frozenset(self._freed), self._measured
        )

    def _carriers(self, last: Written | None, inner: dict[int, Written]) -> frozenset[int]:
        holders = {each.holder for each in inner.values() if each.holder is not None}
        section = {last.ref.number} if last is not None else set()
        return frozenset(holders | section | {ref.number for ref, _length in self._lengths})

    def _require_nothing_hidden(self, end: int) -> None:
        """No string, stream or comment holds what looks like an object or a trailer."""
        for found in _FOUND_BY_SEARCH.finditer(self._document, self._start, end):
            if found.end() not in self._heads:
                raise IrregularError("hidden_for_repair")

    def _between(self, at: int) -> int:
        """Behind white space and comments."""
        found = _matched(_BETWEEN, self._document, at)
        if b"%" in found.group() and _TELLING_COMMENT.search(found.group()):
            raise IrregularError("telling_comment")
        return found.end()

    def _objects(self) -> int:
        at = self._between(self._start)
        while head := _OBJECT.match(self._document, at):
            if len(self._direct) == MOST_OBJECTS:
                raise TooManyError
            ref = Ref(int(head[1]), int(head[2]))
            self._heads.add(head.end())
            value, end = parse(self._document, head.end())
            if isinstance(value, dict) and (stream := _STREAM.match(self._document, end)):
                value, end = self._data(value, stream.end())
            # An object that is itself a reference is followed by some readers and refused by
            # others.
            if isinstance(value, Ref) or ref.number in self._direct:
                raise IrregularError("object_twice_or_reference")
            for length, _size in self._lengths[len(self._measured) :]:
                self._measured[ref.number] = length.number
            self._direct[ref.number] = Written(ref, value, at)
            at = self._between(_matched(_END_OF_OBJECT, self._document, end).end())
        return at

    def _data(self, entries: dict[str, Value], at: int) -> tuple[Stream, int]:
        length = entries.get("/Length")
        if isinstance(length, Ref):  # some writers name it behind the stream
            length = self._length_to_end(length, at)
            entries = entries | {"/Length": length}
        if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= len(self._document) - at:
            raise IrregularError("stream_length")
        # The data would come from another file, which no signature covers.
        if entries.keys() & {"/F", "/FFilter", "/FDecodeParms"}:
            raise IrregularError("stream_outside")
        end = _matched(_END_OF_STREAM, self._document, at + length).end()
        return Stream(entries, self._document[at : at + length]), end

    def _length_to_end(self, ref: Ref, at: int) -> int:
        """Up to the first ``endstream``; ``_require_lengths`` sees to it that the length's object says the same."""
        found = re.compile(rb"(?:\r\n|\n|\r)?endstream[\0\t\n\f\r ]+endobj").search(self._document, at)
        if found is None:
            raise IrregularError("stream_length")
        self._lengths.append((ref, found.start() - at))
        return found.start() - at

    def _require_lengths(self) -> None:
        for ref, length in self._lengths:
            written = self._direct.get(ref.number)
            if written is None or written.ref != ref or type(written.value) is not int or written.value != length:
                raise IrregularError("stream_length")

    def _table(self, at: int) -> tuple[dict[str, Value], int, dict[int, int], dict[int, tuple[int, int]]]:
        """Trailer, its end, the places that the table lists; nothing is packed."""
        at = _matched(_TABLE, self._document, at).end()
        listed: dict[int, int] = {}
        while head := _SUBSECTION.match(self._document, at):
            at = head.end()
            if int(head[1]) + int(head[2]) > MOST_NUMBER + 1 or (head[2].strip(b"0") == b"" and int(head[1])):
                raise IrregularError("xref_part_not_taken")
            for number in range(int(head[1]), int(head[1]) + int(head[2])):
                entry = _matched(_ENTRY, self._document, at)
                at = entry.end()
                self._list(listed, number, in_use=entry[3] == b"n", place=int(entry[1]), generation=int(entry[2]))
        at = _matched(_TRAILER, self._document, _matched(_BLANK, self._document, at).end()).end()
        self._heads.add(_matched(_BLANK, self._document, at).end() + len(b"<<"))
        trailer, at = parse(self._document, at)
        if not isinstance(trailer, dict):
            raise IrregularError("trailer_irregular")
        return trailer, at, listed, {}

    def _list(self, listed: dict[int, int], number: int, *, in_use: bool, place: int, generation: int) -> None:
        if not in_use:
            self._freed |= {number} - {0}
            return
        there = self._direct.get(number)
        if there is None or there.ref.generation != generation or number in listed:
            raise IrregularError("xref_other_objects")
        listed[number] = place

    def _stream(self, last: Written | None) -> tuple[int, dict[str, Value], dict[int, int], dict[int, tuple[int, int]]]:
        """Place, entries, the places that a cross-reference stream lists, and which object stream holds which object where."""
        if last is None or not isinstance(last.value, Stream) or last.value.entries.get("/Type") != "/XRef":
            raise IrregularError("no_proper_update")
        if last.ref.number in self._measured:
            raise IrregularError("xref_length_elsewhere")  # ISO 32000-2 §7.5.8.2
        entries, widths = last.value.entries, last.value.entries.get("/W")
        if not isinstance(widths, list) or len(widths) != 3 or not all(map(_is_width, widths, _WIDEST)):
            raise IrregularError("xref_irregular")
        index, data = entries.get("/Index", [0, entries.get("/Size")]), decoded(last.value)
        width = sum(widths)
        numbers = self._numbers(index, len(data) // width if width else 0)
        if not width or len(data) != width * len(numbers):
            raise IrregularError("xref_irregular")
        listed: dict[int, int] = {}
        packed: dict[int, tuple[int, int]] = {}
        for position, number in enumerate(numbers):
            row = data[position * width : (position + 1) * width]
            kind = int.from_bytes(row[: widths[0]], "big") if widths[0] else 1
            second = int.from_bytes(row[widths[0] : widths[0] + widths[1]], "big")
            third = int.from_bytes(row[widths[0] + widths[1] :], "big")
            if kind == 2 and number not in packed:
                packed[number] = (second, third)
            elif kind in (0, 1):
                self._list(listed, number, in_use=kind == 1, place=second, generation=third)
            else:
                raise IrregularError("xref_irregular")
        return last.at, entries, listed, packed

    @staticmethod
    def _numbers(index: Value, most: int) -> list[int]:
        if not isinstance(index, list) or len(index) % 2 or not all(type(each) is int and each >= 0 for each in index):
            raise IrregularError("xref_irregular")
        if sum(index[1::2]) != most or most > MOST_OBJECTS + 1:
            raise IrregularError("xref_irregular")
        return [first + offset for first, count in zip(index[::2], index[1::2], strict=True) for offset in range(count)]

    def _unpacked(self, packed: dict[int, tuple[int, int]]) -> dict[int, Written]:
        """The objects inside of the update's object streams: exactly those that the cross-references list."""
        found: dict[int, Written] = {}
        for holder in {holder for holder, _index in packed.values()}:
            written = self._direct.get(holder)
            if written is None or not isinstance(written.value, Stream) or written.value.entries.get("/Type") != "/ObjStm":
                raise IrregularError("object_stream_irregular")
            for index, (number, value) in enumerate(_members_of(written.value)):
                if number in found or packed.get(number) != (holder, index):
                    raise IrregularError("object_stream_others")
                found[number] = Written(Ref(number, 0), value, written.at, holder)
        if found.keys() != packed.keys():
            raise IrregularError("object_stream_others")
        return found


def _is_width(value: Value, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _members_of(stream: Stream) -> list[tuple[int, Value]]:
    count, first, data = stream.entries.get("/N"), stream.entries.get("/First"), decoded(stream)
    if type(count) is not int or type(first) is not int or not 0 < count <= MOST_OBJECTS or "/Extends" in stream.entries:
        raise IrregularError("object_stream_irregular")
    heads, at = [], 0
    for _ in range(count):
        pair = _matched(_PAIR, data, at)
        heads.append((int(pair[1]), int(pair[2])))
        at = pair.end()
    found, end = [], first
    if at > first or _matched(_BLANK, data, at).end() < first:
        raise IrregularError("object_stream_irregular")
    for number, offset in heads:
        if first + offset < end or _matched(_BLANK, data, end).end() < first + offset:
            raise IrregularError("object_stream_irregular")
        value, end = parse(data, first + offset)
        if isinstance(value, Ref):
            raise IrregularError("object_reference")
        found.append((number, value))
    if _matched(_BLANK, data, end).end() != len(data):
        raise IrregularError("object_stream_irregular")
    return found
