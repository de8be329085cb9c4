"""Cross-reference sections (ISO 32000-2 §7.5.4, §7.5.8): tables and streams, how each is read and looked into.

Tables are looked into by offset arithmetic, never read row by row; predictors of cross-reference streams are undone for all rows at once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Protocol

from signer.pdf.lean.grammar import (
    DICTIONARY_END,
    DICTIONARY_HEAD,
    SPACE,
    NotLeanError,
    entries_from,
    integer,
    items,
    pairs,
    uncommented,
)
from signer.pdf.lean.predictor import without_predictor
from signer.pdf.plan import Document

LARGEST_OBJECT_BYTES: Final = 256 * 1024  # without the data of a stream; matching takes memory for each value
LARGEST_SLOW_BYTES: Final = 32 * 1024  # of an object that is read token by token
MOST_RUNS: Final = 10_000  # of consecutive numbers, in one section
MOST_ROWS: Final = 100_000  # of one cross-reference stream
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
FREE_PLACE: Final[Place] = (FREE, 0, 0)


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
        return (PLAIN, int(row[:10]), int(row[11:16])) if row[17] == _USED else FREE_PLACE

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


class Holder(Protocol):
    """What the sections of a file need of it."""

    document: Document
    size_bytes: int

    def spend(self, size_bytes: int) -> None:
        """Counts parsed bytes against the document's allowance."""

    def decoded(self, kind: bytes | None, data: bytes) -> bytes:
        """The data of a stream, decoded."""

    def stream_end(self, entries: dict[bytes, bytes], offset: int) -> int:
        """Where the encoded data of a stream ends."""


def read_section(file: Holder, offset: int) -> Table | Rows:
    """The section at ``offset``, whichever kind it is."""
    match = _TABLE.match(file.document, offset)
    return _table(file, match) if match is not None else read_stream(file, offset)


def _table(file: Holder, head: re.Match[bytes]) -> Table:
    document, end = file.document, 0
    runs: list[Run] = []
    offset, run = head.start(1), (int(head[2]), int(head[3]), head.end())
    while True:
        first, count, start = run
        position = start + _ROW_BYTES * count
        if first < end or position > file.size_bytes or len(runs) >= MOST_RUNS:
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
            return Table(offset, _trailer(file, position), runs, document)
        run = (int(further[1]), int(further[2]), further.end())


def _trailer(file: Holder, position: int) -> dict[bytes, bytes]:
    head = _TRAILER.match(file.document, position)
    if head is None:
        raise NotLeanError("a cross-reference table has an odd end")
    entries, end = entries_from(file.document, head.end(), head.end() + LARGEST_OBJECT_BYTES)
    file.spend(end - position)
    if _TRAILER_END.match(file.document, end) is None:  # some PDF producers put comments into it or after it
        file.spend(LARGEST_SLOW_BYTES)
        window = uncommented(file.document[head.end() : head.end() + LARGEST_SLOW_BYTES])
        entries, end = entries_from(window, 0, len(window))
        if _TRAILER_END.match(window, end) is None:
            raise NotLeanError("a cross-reference table has an odd end")
    return entries


def read_stream(file: Holder, offset: int) -> Rows:
    """The cross-reference stream at ``offset``."""
    head = DICTIONARY_HEAD.match(file.document, offset)
    if head is None:
        raise NotLeanError("there is no cross-reference section where one should be")
    trailer, position = entries_from(file.document, head.end(), head.end() + LARGEST_OBJECT_BYTES)
    file.spend(position - offset)
    end_of_head = DICTIONARY_END.match(file.document, position)
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
    data = file.document[begin : file.stream_end(trailer, begin)]
    return Rows(head.start(1), trailer, runs, _rows(file, trailer, data, width, start), second, third)


def _rows(file: Holder, trailer: dict[bytes, bytes], data: bytes, width: int, size_bytes: int) -> bytes:
    """The rows of a cross-reference stream; NotLeanError if its data is anything but these rows."""
    columns = _columns(trailer.get(b"DecodeParms"))
    if columns not in (0, width):
        raise NotLeanError("a stream has an odd predictor")
    data = file.decoded(trailer.get(b"Filter"), data)
    if len(data) != (size_bytes + size_bytes // width if columns else size_bytes):
        raise NotLeanError("a cross-reference stream has another size than it says")
    return without_predictor(data, columns) if columns else data


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


def check_first_object(oldest: Table) -> None:
    """PDFium checks the first object of the oldest table; if it is not where the table says, PDFium searches the whole file for objects."""
    for first, count, start in oldest.runs:
        used = oldest.document[start + 17 : start + _ROW_BYTES * count : _ROW_BYTES].find(b"n")
        if used >= 0:
            row = start + _ROW_BYTES * used
            own = _OWN_NUMBER.match(oldest.document, int(oldest.document[row : row + 10]))
            if own is None or int(own[1]) != first + used:
                raise NotLeanError("the first object is not where the table says")
            return
