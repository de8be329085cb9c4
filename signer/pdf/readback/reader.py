"""A small PDF reader for the read back: cross-references and single objects, and nothing else.

Shares no code with the writer and imports no PDF library. Reads bytes that strangers had a part in: depth, sizes and steps are bounded.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Final

from signer.pdf.readback.syntax import BLANK, DEEPEST, Ref, UnreadableError, parse

MOST_SECTIONS: Final = 10_000  # cross-reference sections of one file: one an update
MOST_DECODED_BYTES: Final = 64 * 1024 * 1024  # of one cross-reference or object stream
MOST_WORK: Final = 1_000_000  # rows and objects read for one file, repeated reads included: about 2 s
_NEAR_BYTES: Final = 16
TAIL_BYTES: Final = 2048  # where startxref is looked for
_SEARCHED_BYTES: Final = 1000  # searching so many bytes of the file counts like reading one row

_HEADER: Final = re.compile(BLANK + rb"(\d{1,10})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+obj")
_STREAM: Final = re.compile(BLANK + rb"stream(\r\n|\n|\r)")
_SUBSECTION: Final = re.compile(BLANK + rb"(\d{1,10})[\t ]+(\d{1,10})(?=[\x00\t\n\x0c\r ])")
_ENTRY: Final = re.compile(rb"[\x00\t\n\x0c\r ]*(\d{1,10})[\t ]+(\d{1,5})[\t ]+([nf])")
_TABLE: Final = re.compile(BLANK + rb"xref")
_TRAILER: Final = re.compile(BLANK + rb"trailer")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an object is: at an offset, or in an object stream; ``offset`` None means free."""

    offset: int | None
    generation: int
    stream: int | None = None


@dataclass(slots=True)
class _Section:
    offset: int
    entries: dict[int, Entry]
    trailer: dict[str, Any]


class Reader:
    """Finds objects by the newest cross-reference section that knows them; older sections are read only when needed."""

    def __init__(self, file: bytes, *, newest_at: int | None = None) -> None:
        """``newest_at``: where the newest section really is, if startxref is off by a few bytes (readers tolerate that)."""
        self._file = file
        self._sections: list[_Section] = []
        self._seen: set[int] = set()
        self._broken = False
        self._work = 0
        self._known: dict[int, Any] = {}
        self._next: list[int] = [self._newest(newest_at)]
        newest = self._more()
        if newest is None:
            raise UnreadableError("the last cross-reference section is missing")
        self.trailer = newest.trailer
        self.newest_at = newest.offset

    @property
    def encrypted(self) -> bool:
        """Whether strings and streams are encrypted."""
        return self.trailer.get("Encrypt") is not None

    def resolve(self, value: Any) -> Any:
        """Follows references, a bounded number of times."""
        for _ in range(DEEPEST):
            if not isinstance(value, Ref):
                return value
            value = self.object(value)
        raise UnreadableError("references run in a circle")

    def _spend(self, count: int) -> None:
        self._work += count
        if self._work > MOST_WORK:
            raise UnreadableError("reading it takes too much work")

    def newest_entries(self) -> dict[int, Entry]:
        """All rows of the newest section."""
        return self._sections[0].entries

    def generation(self, number: int) -> int | None:
        """The generation of the object in use under that number; None if there is none."""
        entry = self._entry(number)
        return None if entry is None or (entry.offset is None and entry.stream is None) else entry.generation

    def sections(self) -> list[tuple[dict[int, Entry], dict[str, Any]]]:
        """Rows and trailers of all sections, the newest first."""
        while self._older() is not None:
            pass
        return [(section.entries, section.trailer) for section in self._sections]

    def object_streams(self) -> list[bytes]:
        """All object streams that the cross-references mention, decoded."""
        numbers = {entry.stream for entries, _ in self.sections() for entry in entries.values() if entry.stream is not None}
        places = [self._entry(number) for number in sorted(numbers)]
        headers = [_HEADER.match(self._file, each.offset) for each in places if each is not None and each.offset is not None]
        return [self._stream(header.end())[1] for header in headers if header is not None]

    def stream(self, value: Any) -> tuple[dict[str, Any], bytes]:
        """Dictionary and data of a stream. The data is decoded if it is coded by Flate alone; otherwise it is returned as it is in the file."""
        entry = self._entry(value.number) if isinstance(value, Ref) else None
        header = _HEADER.match(self._file, entry.offset) if entry is not None and entry.offset is not None else None
        if header is None:
            raise UnreadableError("there is no stream where one should be")
        head, end = parse(self._file, header.end())
        start, length = _STREAM.match(self._file, end), self.resolve(head.get("Length"))
        if start is None or not isinstance(length, int):
            raise UnreadableError("a stream is malformed")
        data = self._file[start.end() : start.end() + length]
        plain = head.get("Filter") in ("FlateDecode", ["FlateDecode"]) and not head.get("DecodeParms")
        return head, decoded(head, data) if plain else data

    def object(self, ref: Ref) -> Any:
        """The object that is referred to, which may be a reference itself. Cached, so callers must not change it."""
        if ref.number not in self._known:
            self._known[ref.number] = self._read(ref)
        return self._known[ref.number]

    def _read(self, ref: Ref) -> Any:
        self._spend(1)
        entry = self._entry(ref.number)
        if entry is None or (entry.offset is None and entry.stream is None):
            return None
        if entry.stream is not None:
            return self._from_stream(entry.stream, ref.number)
        assert entry.offset is not None
        header = _HEADER.match(self._file, entry.offset)
        if header is None or int(header[1]) != ref.number:
            raise UnreadableError(f"object {ref.number} is not where the cross-references say")
        value, end = parse(self._file, header.end())
        self._spend((end - header.end()) // 16)
        return value

    def _entry(self, number: int) -> Entry | None:
        for section in self._sections:
            if number in section.entries:
                return section.entries[number]
        while (older := self._older()) is not None:
            if number in older.entries:
                return older.entries[number]
        return self._searched(number) if self._broken else None

    def _older(self) -> _Section | None:
        try:
            return self._more()
        except UnreadableError:
            if not self._sections:
                raise
            self._broken = True
            return None

    def _searched(self, number: int) -> Entry | None:
        """If older sections are broken, readers search the file: the last object with that number counts."""
        self._spend(len(self._file) // _SEARCHED_BYTES)
        pattern = rb"(?<![0-9])%d[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+obj" % number
        last = max(re.finditer(pattern, self._file), key=re.Match.start, default=None)
        return Entry(last.start(), int(last[1])) if last else None

    def _newest(self, really: int | None) -> int:
        told = self._startxref()
        if really is not None and abs(really - told) > _NEAR_BYTES:
            raise UnreadableError("the last cross-reference section is elsewhere")
        return told if really is None else really

    def _startxref(self) -> int:
        tail_start = max(0, len(self._file) - TAIL_BYTES)
        found = re.findall(rb"startxref[\x00\t\n\x0c\r ]*(\d{1,12})[\x00\t\n\x0c\r ]*%%EOF", self._file[tail_start:])
        if not found:
            raise UnreadableError("the file does not end with startxref")
        return int(found[-1])

    def _more(self) -> _Section | None:
        """Reads the next older section; None when there is none."""
        while self._next:
            offset = self._next.pop(0)
            if offset in self._seen:
                continue
            self._seen.add(offset)
            if len(self._seen) > MOST_SECTIONS:
                raise UnreadableError("there are too many cross-reference sections")
            section = self._section(offset)
            self._sections.append(section)
            # /XRefStm before /Prev: readers of PDF 1.5 and later look there first (ISO 32000-2
            # §7.5.8.4).
            older = [section.trailer.get("XRefStm"), section.trailer.get("Prev")]
            self._next = [each for each in older if isinstance(each, int)] + self._next
            return section
        return None

    def _section(self, offset: int) -> _Section:
        if not 0 <= offset < len(self._file):
            raise UnreadableError(f"a cross-reference section is said to be at {offset}, outside of the file")
        table = _TABLE.match(self._file, offset)
        return self._table(offset, table.end()) if table else self._stream_section(offset)

    def _table(self, offset: int, position: int) -> _Section:
        entries: dict[int, Entry] = {}
        while head := _SUBSECTION.match(self._file, position):
            first, count, position = int(head[1]), int(head[2]), head.end()
            for number in range(first, first + count):
                row = _ENTRY.match(self._file, position)
                if row is None:
                    raise UnreadableError("a row of the cross-reference table is malformed")
                entries[number] = Entry(int(row[1]) if row[3] == b"n" else None, int(row[2]))
                position = row.end()
            self._spend(count)
        trailer = _TRAILER.match(self._file, position)
        value = parse(self._file, trailer.end())[0] if trailer else None
        if not isinstance(value, dict):
            raise UnreadableError("a cross-reference table has no trailer")
        return _Section(offset, entries, value)

    def _stream_section(self, offset: int) -> _Section:
        header = _HEADER.match(self._file, offset)
        if header is None:
            raise UnreadableError(f"there is no cross-reference section at {offset}")
        head, data = self._stream(header.end())
        if head.get("Type") != "XRef":
            raise UnreadableError(f"the stream at {offset} holds no cross-references")
        widths: Any = head.get("W")
        index: Any = head.get("Index") or [0, head.get("Size")]
        if not (_integers(widths, 3) and _integers(index)) or len(index) % 2 or max(widths) > 8:
            raise UnreadableError("a cross-reference stream is malformed")
        entries = _rows(data, widths, index)
        self._spend(len(entries))
        return _Section(offset, entries, head)

    def _from_stream(self, number: int, wanted: int) -> Any:
        entry = self._entry(number)
        header = _HEADER.match(self._file, entry.offset) if entry is not None and entry.offset is not None else None
        if header is None or self.encrypted:
            raise UnreadableError(f"the object stream {number} cannot be read")
        head, data = self._stream(header.end())
        count, first = head.get("N"), head.get("First")
        if not isinstance(count, int) or not isinstance(first, int):
            raise UnreadableError(f"the object stream {number} is malformed")
        numbers = [int(each) for each in data[:first].split()[: 2 * count]]
        for own, offset in zip(numbers[::2], numbers[1::2], strict=False):
            if own == wanted:
                return parse(data, first + offset)[0]
        return None

    def _stream(self, position: int) -> tuple[dict[str, Any], bytes]:
        head, end = parse(self._file, position)
        start = _STREAM.match(self._file, end)
        if not isinstance(head, dict) or start is None:
            raise UnreadableError("a stream is malformed")
        length = self.resolve(head.get("Length"))
        if not isinstance(length, int) or not 0 <= length <= len(self._file) - start.end():
            raise UnreadableError("a stream has no sound length")
        data = decoded(head, self._file[start.end() : start.end() + length])
        self._spend((length + len(data)) // 100)
        return head, data


def _integers(value: Any, count: int | None = None) -> bool:
    return isinstance(value, list) and all(isinstance(each, int) and each >= 0 for each in value) and count in (None, len(value))


def _rows(data: bytes, widths: list[int], index: list[int]) -> dict[int, Entry]:
    entries: dict[int, Entry] = {}
    first_width, second_width, size = widths[0], widths[0] + widths[1], sum(widths)
    position = 0
    for first, count in zip(index[::2], index[1::2], strict=True):
        for number in range(first, first + count):
            row = data[position : position + size]
            position += size
            if len(row) < size or size == 0:
                return entries
            # A width of 0 stands for type 1 (ISO 32000-2 §7.5.8.2).
            kind = int.from_bytes(row[:first_width], "big") if first_width else 1
            middle, last = int.from_bytes(row[first_width:second_width], "big"), int.from_bytes(row[second_width:], "big")
            if kind == 2:
                entries[number] = Entry(None, 0, middle)
            else:
                entries[number] = Entry(middle if kind == 1 else None, last)
    return entries


def decoded(head: dict[str, Any], data: bytes) -> bytes:
    """The data of a stream coded by Flate, or not coded at all; UnreadableError for any other filter."""
    filters, parameters = head.get("Filter"), head.get("DecodeParms")
    filters = filters if isinstance(filters, list) else [] if filters is None else [filters]
    parameters = parameters if isinstance(parameters, list) else [parameters]
    for filter_name, parameter in zip(filters, [*parameters, *[None] * len(filters)], strict=False):
        if filter_name not in ("FlateDecode", "Fl"):
            raise UnreadableError(f"a stream is coded with {filter_name!r}")
        try:
            # Bounded: a few kilobytes can unpack to gigabytes.
            data = zlib.decompressobj().decompress(data, MOST_DECODED_BYTES)
        except zlib.error:
            raise UnreadableError("a stream cannot be decompressed") from None
        if isinstance(parameter, dict) and parameter.get("Predictor", 1) != 1:
            data = _unpredicted(data, parameter)
    return data


def _unpredicted(data: bytes, parameters: dict[str, Any]) -> bytes:
    """Undoes the PNG predictors for one byte a pixel, as cross-reference streams have them (PNG specification §9)."""
    columns = parameters.get("Columns", 1)
    if parameters["Predictor"] < 10 or not isinstance(columns, int) or columns < 1:
        raise UnreadableError("a stream has an unknown predictor")
    result, above = bytearray(), bytes(columns)
    for start in range(0, len(data) - columns, columns + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + columns])
        for i in range(columns):
            left = row[i - 1] if i else 0
            corner = above[i - 1] if i else 0
            row[i] = (row[i] + _prediction(kind, left, above[i], corner)) & 0xFF
        result += row
        above = bytes(row)
    return bytes(result)


def _prediction(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        return min((left, up, corner), key=lambda value: abs(left + up - corner - value))
    return {0: 0, 1: left, 2: up, 3: (left + up) // 2}.get(kind, 0)
