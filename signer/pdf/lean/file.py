"""A document as an update needs it: its cross-reference sections, and single objects by number (ISO 32000-2 §7.5).

Tables are looked into by offset arithmetic, never read row by row; predictors of cross-reference streams are undone for all rows at once.
What is relied upon is checked: rows, keywords, numbers and generations where objects begin, lengths of streams, the end of the file.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Protocol

from signer.pdf.lean.grammar import (
    ARRAY,
    ARRAY_HEAD,
    DICTIONARY_END,
    DICTIONARY_HEAD,
    END,
    ENDSTREAM,
    FOLLOWING,
    HEAD,
    INTEGER_OBJECT,
    SPACE,
    NotLeanError,
    closed,
    entries_from,
    integer,
    is_reference,
    items,
    pairs,
    reference,
    uncommented,
)
from signer.pdf.lean.predictor import without_predictor
from signer.pdf.lean.values import deep_pairs
from signer.pdf.numbers import LARGEST_OBJECT_NUMBER
from signer.pdf.plan import Document

MOST_SECTIONS: Final = 64  # one per update; documents with more are left to the sandbox
MOST_RUNS: Final = 10_000  # of consecutive numbers, in one section
MOST_ROWS: Final = 100_000  # of one cross-reference stream
MOST_PACKED: Final = 20_000  # objects in one stream
LARGEST_OBJECT_BYTES: Final = 256 * 1024  # without the data of a stream; matching takes memory for each value
LARGEST_SLOW_BYTES: Final = 32 * 1024  # of an object that is read token by token
MOST_DECODED_BYTES: Final = 4 * 1024 * 1024  # of all streams of one document: about 10 ms of decompression
MOST_WORK_BYTES: Final = 8 * 1024 * 1024  # parsed for one document, repeats included: about 0.2 s; 400 kB is unusual already
_TAIL_BYTES: Final = 1024

_HEADER: Final = re.compile(rb"%PDF-[12]\.[0-9]")
_TAIL: Final = re.compile(rb"[\r\n ]startxref[ \t]*+[\r\n]++(\d{1,12}+)[ \t]*+[\r\n]++%%EOF" + SPACE + rb"*+\Z")
_RUN: Final = re.compile(rb"(\d{1,10}+) (\d{1,10}+)[ \t]*+(?:\r\n|\n|\r)")
_TABLE: Final = re.compile(SPACE + rb"*+(xref)[ \t]*+(?:\r\n|\n|\r)" + _RUN.pattern)
_TRAILER: Final = re.compile(SPACE + rb"*+trailer" + SPACE + rb"*+<<")
_TRAILER_END: Final = re.compile(SPACE + rb"*+>>" + SPACE + rb"*+startxref" + SPACE)
_OWN_NUMBER: Final = re.compile(SPACE + rb"*+(\d{1,10}+)" + SPACE)
_WIDTHS: Final = re.compile(rb"\[" + SPACE + rb"*+1" + SPACE + rb"++([1-8])" + SPACE + rb"++([0-8])" + SPACE + rb"*+\]")
_USUAL_PREDICTOR: Final = re.compile(rb"<< ?/Columns ([1-9]) ?/Predictor 1[0-5] ?>>\Z")
_ROW_BYTES: Final = 20
_ZEROS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x6E if byte == 0x66 else byte for byte in range(256))  # digits to 0, f to n
_ROW: Final = b"0000000000 00000 n"
_LINE_ENDS: Final = (b" \n", b"\r\n", b" \r")
_USED: Final = 0x6E
_FIRST: Final = itemgetter(0)

FREE, PLAIN, PACKED = 0, 1, 2  # types of entries (table 18)
Place = tuple[int, int, int]  # PLAIN, offset, generation; PACKED, number of the object stream, index in it
Run = tuple[int, int, int]  # first number, count, where its rows begin
_FREE: Final[Place] = (FREE, 0, 0)


@dataclass(slots=True)
class Found:
    """A dictionary: its text, its entries (raw values), and where the data of its stream begins, if it has one."""

    text: bytes
    entries: dict[bytes, bytes]
    data_offset: int | None = None


class Section(Protocol):
    """One cross-reference section: where it is, its trailer, and the runs of object numbers that it lists."""

    offset: int
    trailer: dict[bytes, bytes]
    runs: list[Run]

    def place(self, number: int) -> Place | None:
        """The entry of an object; None if this section does not list it."""

    def packed_in(self) -> set[int]:
        """Numbers of all object streams that contain its objects."""


@dataclass(slots=True)
class Table:
    """A cross-reference table. In a hybrid file, ``hidden`` is the stream beside it, which readers of PDF 1.5 and later use (§7.5.8.4)."""

    offset: int
    trailer: dict[bytes, bytes]
    runs: list[Run]
    document: Document
    hidden: Rows | None = None

    def place(self, number: int) -> Place | None:
        """See ``Section``."""
        runs = self.runs
        first, count, start = runs[0] if len(runs) == 1 else _run_of(runs, number)
        if not first <= number < first + count:
            return None
        start += _ROW_BYTES * (number - first)
        row = self.document[start : start + _ROW_BYTES]
        return (PLAIN, int(row[:10]), int(row[11:16])) if row[17] == _USED else _FREE

    def packed_in(self) -> set[int]:
        """See ``Section``."""
        return self.hidden.packed_in() if self.hidden is not None else set()


@dataclass(slots=True)
class Rows:
    """A cross-reference stream: decoded rows of one byte, ``second`` and ``third`` bytes."""

    offset: int
    trailer: dict[bytes, bytes]
    runs: list[Run]
    rows: bytes
    second: int
    third: int

    def place(self, number: int) -> Place | None:
        """See ``Section``."""
        runs = self.runs
        first, count, start = runs[0] if len(runs) == 1 else _run_of(runs, number)
        if not first <= number < first + count:
            return None
        middle = start + (1 + self.second + self.third) * (number - first) + 1
        last = middle + self.second
        rows = self.rows
        return rows[middle - 1], int.from_bytes(rows[middle:last], "big"), int.from_bytes(rows[last : last + self.third], "big")

    def packed_in(self) -> set[int]:
        """See ``Section``."""
        width = 1 + self.second + self.third
        kinds = self.rows[::width]
        if PACKED not in kinds:
            return set()
        columns = [self.rows[1 + i :: width] for i in range(self.second)]
        return {int.from_bytes(row[1:], "big") for row in set(zip(kinds, *columns, strict=True)) if row[0] == PACKED}


def _run_of(runs: list[Run], number: int) -> Run:
    return runs[max(0, bisect_right(runs, number, key=_FIRST) - 1)]


class File:
    """An opened document. Only the cross-reference sections are read in advance, the newest first.

    next_number  the first that no object has
    in_streams   whether its cross-references are in streams, so that an update's must be, too
    """

    __slots__ = (
        *("_alone", "_counts", "_decoded_bytes", "_hybrid", "_object_streams", "_packed", "_work_bytes"),
        *("document", "in_streams", "next_number", "sections", "size_bytes", "trailer"),
    )

    def __init__(self, document: Document) -> None:
        self.document = document
        self.size_bytes = len(document)
        self._decoded_bytes = self._work_bytes = 0
        self._hybrid = self.in_streams = False
        self._object_streams: list[bytes] | None = None
        self._alone: Table | Rows | None = None
        self._packed: dict[int, tuple[bytes, int, list[int]]] = {}
        self._counts: dict[int, int] = {}
        self.sections: list[Table | Rows] = []
        if _HEADER.match(document) is None:
            raise NotLeanError("the header is not at the beginning")
        # From the end, as readers do: an earlier startxref belongs to an older revision.
        start = document.rfind(b"startxref", max(0, self.size_bytes - _TAIL_BYTES))
        tail = _TAIL.match(document, start - 1) if start > 0 else None
        if tail is None:
            raise NotLeanError("the file does not end with startxref and %%EOF")
        self._read_sections(int(tail[1]))
        if len(self.sections) == 1 and not self._hybrid:
            self._alone = self.sections[0]
        self.trailer = self.sections[0].trailer
        # A wrong /Size would let new objects take the numbers of old ones.
        self.next_number = integer(self.trailer.get(b"Size"))
        for section in self.sections:
            integer(section.trailer.get(b"Size"))
            for first, count, _start in (section.runs[-1], *(section.hidden.runs if isinstance(section, Table) and section.hidden else ())):
                self.next_number = max(self.next_number, first + count)
        if self.next_number > LARGEST_OBJECT_NUMBER:
            raise NotLeanError("object numbers are too large")

    def spend(self, size_bytes: int) -> None:
        """Counts parsed bytes against the document's one allowance, since an object that many others refer to is parsed as many times."""
        self._work_bytes += size_bytes
        if self._work_bytes > MOST_WORK_BYTES:
            raise NotLeanError("the document takes too much work")

    # --- cross-references --------------------------------------------------------------------------------------------------------

    def _read_sections(self, offset: int) -> None:
        seen = {offset}
        while True:
            match = _TABLE.match(self.document, offset)
            section = self._table(match) if match is not None else self._stream_section(offset)
            self.sections.append(section)
            trailer = section.trailer
            if b"Encrypt" in trailer:
                raise NotLeanError("the document is encrypted")
            if isinstance(section, Rows):
                self.in_streams = True
            elif b"XRefStm" in trailer:
                section.hidden = self._stream_section(integer(trailer[b"XRefStm"]))
                self._hybrid = True
            if b"Prev" not in trailer:
                break
            offset = integer(trailer[b"Prev"])
            # Otherwise /Prev that leads back to its own section would keep the process that holds
            # the keys busy for ever.
            if offset in seen or len(seen) >= MOST_SECTIONS:
                raise NotLeanError("cross-reference sections run in a circle, or there are too many")
            seen.add(offset)
        if isinstance(section, Table):
            _check_first_object(section)

    def _table(self, head: re.Match[bytes]) -> Table:
        document, end = self.document, 0
        runs: list[Run] = []
        offset, run = head.start(1), (int(head[2]), int(head[3]), head.end())
        while True:
            first, count, start = run
            position = start + _ROW_BYTES * count
            if first < end or position > self.size_bytes or len(runs) >= MOST_RUNS:
                raise NotLeanError("a cross-reference table names numbers twice, or is cut off")
            # All rows in one comparison, digits masked: every table is checked, and a loop over its
            # rows would cost more than all the rest.
            rows = document[start:position]
            if count and (rows[18:20] not in _LINE_ENDS or rows.translate(_ZEROS) != (_ROW + rows[18:20]) * count):
                raise NotLeanError("a cross-reference table has an odd row")
            end = first + count
            runs.append(run)
            further = _RUN.match(document, position)
            if further is None:
                return Table(offset, self._trailer(position), runs, document)
            run = (int(further[1]), int(further[2]), further.end())

    def _trailer(self, position: int) -> dict[bytes, bytes]:
        head = _TRAILER.match(self.document, position)
        if head is None:
            raise NotLeanError("a cross-reference table has an odd end")
        entries, end = entries_from(self.document, head.end(), head.end() + LARGEST_OBJECT_BYTES)
        self.spend(end - position)
        if _TRAILER_END.match(self.document, end) is None:  # some PDF producers put comments into it or after it
            self.spend(LARGEST_SLOW_BYTES)
            window = uncommented(self.document[head.end() : head.end() + LARGEST_SLOW_BYTES])
            entries, end = entries_from(window, 0, len(window))
            if _TRAILER_END.match(window, end) is None:
                raise NotLeanError("a cross-reference table has an odd end")
        return entries

    def _stream_section(self, offset: int) -> Rows:
        head = DICTIONARY_HEAD.match(self.document, offset)
        if head is None:
            raise NotLeanError("there is no cross-reference section where one should be")
        trailer, position = entries_from(self.document, head.end(), head.end() + LARGEST_OBJECT_BYTES)
        self.spend(position - offset)
        end_of_head = DICTIONARY_END.match(self.document, position)
        if end_of_head is None or end_of_head[1] == b"endobj":
            raise NotLeanError("there is no cross-reference section where one should be")
        widths = _WIDTHS.fullmatch(trailer.get(b"W", b""))
        if trailer.get(b"Type") != b"/XRef" or widths is None:
            raise NotLeanError("a cross-reference stream is odd")
        second, third = int(widths[1]), int(widths[2])
        width, start, end = 1 + second + third, 0, 0
        size = integer(trailer.get(b"Size"))
        index = [integer(each) for each in items(trailer[b"Index"])] if b"Index" in trailer else [0, size]
        runs: list[Run] = []
        for first, count in zip(index[::2], index[1::2], strict=True):
            if first < end:
                raise NotLeanError("a cross-reference stream names numbers twice")
            end = first + count
            runs.append((first, count, start))
            start += width * count
        if not 0 < len(runs) <= MOST_RUNS or start > MOST_ROWS * width:
            raise NotLeanError("a cross-reference stream has very many rows, or none")
        begin = end_of_head.end()
        data = self.document[begin : self.stream_end(trailer, begin)]
        return Rows(head.start(1), trailer, runs, self._rows(trailer, data, width, start), second, third)

    def _rows(self, trailer: dict[bytes, bytes], data: bytes, width: int, size_bytes: int) -> bytes:
        """The rows of a cross-reference stream; NotLeanError if its data is anything but these rows."""
        columns = _columns(trailer.get(b"DecodeParms"))
        if columns not in (0, width):
            raise NotLeanError("a stream has an odd predictor")
        data = self._decoded(trailer.get(b"Filter"), data)
        if len(data) != (size_bytes + size_bytes // width if columns else size_bytes):
            raise NotLeanError("a cross-reference stream has another size than it says")
        return without_predictor(data, columns) if columns else data

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def place(self, number: int) -> Place | None:
        """Where the newest object with that number is; None if there is none (which means null)."""
        if self._alone is not None:
            place = self._alone.place(number)
            return place if place is not None and place[0] != FREE else None
        place = self._newest(number, hidden=self._hybrid)
        # A hybrid file may show one thing to readers before PDF 1.5 and another to later ones; both
        # would be under the seal.
        if self._hybrid and self._newest(number, hidden=False) not in (None, place):
            raise NotLeanError("old and new readers see different objects")
        return place

    def _newest(self, number: int, *, hidden: bool) -> Place | None:
        for depth, section in enumerate(self.sections):
            place = section.place(number)
            if hidden and isinstance(section, Table) and section.hidden is not None and (place is None or place[0] == FREE):
                place = section.hidden.place(number) or place
            if place is None:
                continue
            if place[0] != FREE:
                return place
            if any((older.place(number) or _FREE)[0] != FREE for older in self.sections[depth + 1 :]):
                raise NotLeanError("an object was freed, which readers take in two ways")
            return None
        return None

    def dictionary(self, number: int, generation: int) -> Found | None:
        """A dictionary or stream; None if the object is missing or free."""
        place = self.place(number)
        if place is None:
            return None
        kind, offset, own_generation = place
        if kind == PACKED:
            data, position = self._packed_at(place, number, generation)
            packed = _packed_dictionary(data, position)
            self.spend(len(packed.text) if packed is not None else LARGEST_SLOW_BYTES)
            return packed or _slowly(data, position)
        document = self.document
        head = DICTIONARY_HEAD.match(document, offset)
        if head is None or kind != PLAIN or not offset:
            raise NotLeanError("there is no dictionary where one should be")
        # A table may name any offset: what is there must say itself that it is this object.
        if int(head[1]) != number or int(head[2]) != generation or generation != own_generation:
            raise NotLeanError("another object is where one should be")
        start = head.end()
        entries, end = entries_from(document, start, start + LARGEST_OBJECT_BYTES)
        behind = DICTIONARY_END.match(document, end)
        if behind is None:
            self.spend(LARGEST_SLOW_BYTES)
            return _slowly(document, start - 2, whole=True)
        self.spend(behind.end() - offset)
        data_offset = None if behind[1] == b"endobj" else behind.end()
        return Found(b"<<%b>>" % document[start:end], entries, data_offset)

    def array(self, number: int, generation: int) -> bytes:
        """The text of an array."""
        place = self._required(number)
        if place[0] == PACKED:
            data, position = self._packed_at(place, number, generation)
            packed = ARRAY.match(data, position, position + LARGEST_OBJECT_BYTES)
            if packed is None:
                raise NotLeanError("an object in a stream is no array")
            self.spend(len(packed[0]))
            return packed[0]
        start = self._plain(ARRAY_HEAD, place, number, generation).end()
        plain = ARRAY.match(self.document, start, place[1] + LARGEST_OBJECT_BYTES)
        if plain is None or END.match(self.document, plain.end()) is None:
            raise NotLeanError("an object is no array")
        self.spend(plain.end() - place[1])
        return plain[0]

    def entries(self, value: bytes | None) -> dict[bytes, bytes] | None:
        """The entries of a direct or indirect dictionary; None if it is missing or null."""
        if value is None or value == b"null":
            return None
        if value.startswith(b"<<"):
            self.spend(len(value))
            return pairs(value)
        found = self.dictionary(*reference(value))
        return found.entries if found is not None else None

    def elements(self, value: bytes | None) -> list[bytes]:
        """The elements of a direct or indirect array; empty if it is missing or null."""
        if value is None or value == b"null":
            return []
        if is_reference(value):
            return items(self.array(*reference(value)))
        if not value.startswith(b"["):
            raise NotLeanError("there is no array where one should be")
        self.spend(len(value))
        return items(value)

    def position(self, number: int, generation: int) -> tuple[Document, int, bool] | None:
        """The text that contains an object, where its value begins, and whether the text is an object stream; None if the object is missing."""
        place = self.place(number)
        if place is None:
            return None
        if place[0] == PACKED:
            return *self._packed_at(place, number, generation), True
        return self.document, self._plain(HEAD, place, number, generation).end(), False

    def data(self, found: Found) -> bytes:
        """The decoded data of a stream."""
        if found.data_offset is None or found.entries.get(b"DecodeParms", b"null") != b"null":
            raise NotLeanError("there is no plain stream where one should be")
        end = self.stream_end(found.entries, found.data_offset)
        return self._decoded(found.entries.get(b"Filter"), self.document[found.data_offset : end])

    def stream_end(self, entries: dict[bytes, bytes], offset: int) -> int:
        """Where the encoded data of a stream ends, given that it begins at ``offset``."""
        length = entries.get(b"Length", b"?")
        if is_reference(length):
            number, generation = reference(length)
            length = self._plain(INTEGER_OBJECT, self._required(number), number, generation)[3]
        end = offset + integer(length)
        # Readers that distrust /Length search for ``endstream``. Both must come to the same data.
        if ENDSTREAM.match(self.document, end) is None:
            raise NotLeanError("a stream does not end where its length says")
        return end

    def object_streams(self) -> list[bytes]:
        """All object streams, decoded."""
        if self._object_streams is None:
            numbers: set[int] = set()
            if self.in_streams or self._hybrid:
                for section in self.sections:
                    numbers |= section.packed_in()
            self._object_streams = [self._stream_of(number)[0] for number in sorted(numbers)]
        return self._object_streams

    def _required(self, number: int) -> Place:
        place = self.place(number)
        if place is None:
            raise NotLeanError("an object is missing")
        return place

    def _plain(self, pattern: re.Pattern[bytes], place: Place, number: int, generation: int) -> re.Match[bytes]:
        match = pattern.match(self.document, place[1], place[1] + LARGEST_OBJECT_BYTES)
        if match is None:
            raise NotLeanError("an object cannot be read where it should be")
        self.spend(match.end() - place[1])
        _require_own(match, place, number, generation)
        return match

    def _packed_at(self, place: Place, number: int, generation: int) -> tuple[bytes, int]:
        _kind, stream, index = place
        data, first, head = self._stream_of(stream)
        if not head:
            head += self._head_of(stream, data, first)
        index *= 2
        if generation or index >= len(head) or head[index] != number:
            raise NotLeanError("an object is not in its stream where it should be")
        return data, first + head[index + 1]

    def _stream_of(self, number: int) -> tuple[bytes, int, list[int]]:
        """A decoded object stream, where its first object begins, and its head (read on first use)."""
        packed = self._packed.get(number)
        if packed is None:
            if self._required(number)[0] == PACKED:
                raise NotLeanError("an object stream is packed in a stream")
            found = self.dictionary(number, 0)
            if found is None or found.entries.get(b"Type") != b"/ObjStm":
                raise NotLeanError("there is no object stream where one should be")
            data, entries = self.data(found), found.entries
            packed = self._packed[number] = (data, integer(entries.get(b"First")), [])
            self._counts[number] = integer(entries.get(b"N"))
        return packed

    def _head_of(self, stream: int, data: bytes, first: int) -> list[int]:
        """Numbers and offsets of the objects in a stream; no number may occur twice."""
        if first > len(data) or first > 2 * 20 * MOST_PACKED:
            raise NotLeanError("an object stream has a very long head")
        text = data[:first]
        head = list(map(int, (uncommented(text) if b"%" in text else text).split()))
        count = self._counts[stream]
        if not 0 < count <= MOST_PACKED or len(head) != 2 * count or len(set(head[::2])) != count:
            raise NotLeanError("an object stream has an odd head")
        return head

    def _decoded(self, kind: bytes | None, data: bytes) -> bytes:
        """Decodes data that is coded by Flate, or not coded at all."""
        room = MOST_DECODED_BYTES - self._decoded_bytes
        if kind in (b"/FlateDecode", b"[/FlateDecode]", b"[ /FlateDecode ]"):
            # One byte more than allowed is asked for, so that a stream over the limit is told from
            # one that just fits, without being unpacked whole.
            inflater: Any = zlib.decompressobj()
            data = inflater.decompress(data, room + 1)
            if not inflater.eof:
                raise NotLeanError("a stream is cut off or too large")
        elif kind is not None:
            raise NotLeanError("a stream is coded in another way")
        self._decoded_bytes += len(data)
        if len(data) > room:
            raise NotLeanError("streams are too large")
        return data


def _check_first_object(oldest: Table) -> None:
    """PDFium checks the first object of the oldest table; if it is not where the table says, PDFium searches the whole file for objects."""
    for first, count, start in oldest.runs:
        used = oldest.document[start + 17 : start + _ROW_BYTES * count : _ROW_BYTES].find(b"n")
        if used >= 0:
            row = start + _ROW_BYTES * used
            own = _OWN_NUMBER.match(oldest.document, int(oldest.document[row : row + 10]))
            if own is None or int(own[1]) != first + used:
                raise NotLeanError("the first object is not where the table says")
            return


def _require_own(match: re.Match[bytes], place: Place, number: int, generation: int) -> None:
    kind, offset, own_generation = place
    if kind != PLAIN or not offset or int(match[1]) != number or generation != own_generation or int(match[2]) != generation:
        raise NotLeanError("another object is where one should be")


def _packed_dictionary(data: bytes, position: int) -> Found | None:
    if data[position : position + 2] != b"<<":
        return None
    entries, end = entries_from(data, position + 2, position + LARGEST_OBJECT_BYTES)
    if closed(data, end) is None:
        return None
    return Found(b"%b>>" % data[position:end], entries)


def _slowly(text: Document, position: int, *, whole: bool = False) -> Found:
    """A dictionary with comments or deep nesting; ``whole``: together with what ends an object in the file itself."""
    window = uncommented(text[position : position + LARGEST_SLOW_BYTES])
    entries, end = deep_pairs(window)
    following = FOLLOWING.match(window, end) if whole else None
    if whole and following is None:
        raise NotLeanError("an object ends oddly")
    is_stream = following is not None and following[1] != b"endobj"
    return Found(window[:end].lstrip(), entries, position + following.end() if following is not None and is_stream else None)


def _columns(parameters: bytes | None) -> int:
    """Bytes per row of a PNG predictor; 0 if there is none."""
    if parameters is None or parameters == b"null":
        return 0
    usual = _USUAL_PREDICTOR.match(parameters)
    if usual is not None:
        return int(usual[1])
    told = pairs(parameters) if parameters.startswith(b"<<") else {b"Predictor": b"2"}
    predictor = integer(told.get(b"Predictor", b"1"))
    if predictor == 1:
        return 0
    if predictor < 10 or told.get(b"Colors", b"1") != b"1" or told.get(b"BitsPerComponent", b"8") != b"8":
        raise NotLeanError("a stream has an odd predictor")
    return integer(told.get(b"Columns", b"1"))
