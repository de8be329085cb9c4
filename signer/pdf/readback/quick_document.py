"""Reads single objects of a document quickly, for the quick account. Understands a strict subset of PDF.

Anything spelled differently raises ``OtherwiseError`` and is left to the general ``Reader``.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from signer.pdf.plan import Document
from signer.pdf.readback.quick_values import (
    VALUE,
    Entries,
    OtherwiseError,
    W,
    entries_anew,
    entries_of,
    entries_within,
    integer,
    integers,
    reference,
)
from signer.pdf.readback.syntax import WHITE

_MOST_SECTIONS: Final = 64
_MOST_ROWS_BYTES: Final = 1024 * 1024  # of a cross-reference stream
_MOST_DECODED_BYTES: Final = 4 * 1024 * 1024  # of the object streams
_MOST_DICTIONARY_BYTES: Final = 256 * 1024
_MOST_COMMENTED_BYTES: Final = 32 * 1024
_TAIL_BYTES: Final = 1024
_ROW_BYTES: Final = 20

_STARTXREF: Final = re.compile(rb"startxref%b++(\d{1,12})%b++%%%%EOF%b*+\Z" % (W, W, W))
_TABLE: Final = re.compile(rb"xref ?+(?:\r\n|\n|\r)")
_RUN: Final = re.compile(rb"(\d{1,10}) (\d{1,10}) ?+(?:\r\n|\n|\r)")
_ROW: Final = re.compile(rb"(\d{10}) (\d{5}) ([nf])(?: \r| \n|\r\n)")
# Backslashes outside of strings are skipped, or each escaped parenthesis after an unclosed string would start another search.
_COMMENT: Final = re.compile(rb"(\((?>[^()\\]++|\\.)*+\)|<[0-9A-Fa-f\x00\t\n\x0c\r ]*+>|\\.)|%[^\r\n]*+", re.DOTALL)
_TRAILER: Final = re.compile(rb"trailer%b*+<<" % W)
_HEAD: Final = re.compile(rb"(\d{1,10}) (\d{1,5}) obj%b*+<<" % W)
_ARRAY_HEAD: Final = re.compile(rb"(\d{1,10}) (\d{1,5}) obj%b*+(?=\[)" % W)
_ENDOBJ: Final = re.compile(rb"%b*+endobj" % W)
_STREAM: Final = re.compile(rb"stream\r?+\n")
_ENDSTREAM: Final = re.compile(rb"%b*+endstream%b++endobj" % (W, W))
_PREDICTED: Final = re.compile(rb"<<(?=.*?/Columns (\d))(?=.*?/Predictor 1[0-5])%b*+(?:/(?:Columns|Predictor) \d++%b*+){2}>>" % (W, W))


def _closed(text: Document, start: int, word: bytes) -> tuple[bytes, int]:
    """The text from ``start`` up to the ``>>`` before a keyword, and where the keyword begins.

    If a string contains the keyword, the text ends within that string. Then it does not read as entries, and is left to the general reader.
    """
    end = text.find(word, start, start + _MOST_DICTIONARY_BYTES)
    body = text[start:end].rstrip(WHITE)
    if end < 0 or body[-2:] != b">>":
        raise OtherwiseError
    return body[:-2], end


class _Table:
    __slots__ = ("_document", "_runs", "hidden", "highest", "trailer")

    def __init__(self, document: Document, position: int) -> None:
        self._document = document
        self._runs: list[tuple[int, int, int]] = []
        self.highest = -1
        while (run := _RUN.match(document, position)) is not None:
            first, count, start = int(run[1]), int(run[2]), run.end()
            if first <= self.highest and count:
                raise OtherwiseError
            self._runs.append((first, count, start))
            self.highest = max(self.highest, first + count - 1)
            position = start + _ROW_BYTES * count
        head = _TRAILER.match(document, position)
        if head is None:
            raise OtherwiseError
        try:
            self.trailer = entries_anew(_closed(document, head.end(), b"startxref")[0])
        except OtherwiseError:  # some PDF producers put comments into the trailer
            window = _COMMENT.sub(lambda match: match[1] or b" ", document[head.end() : head.end() + _MOST_COMMENTED_BYTES])
            self.trailer = entries_anew(_closed(window, 0, b"startxref")[0])
        self.hidden = _Rows(document, integer(self.trailer[b"XRefStm"])) if b"XRefStm" in self.trailer else None

    def place(self, number: int) -> tuple[int, int, int] | None:
        """The type of the entry (ISO 32000-2 table 18), then offset and generation, or object stream and index."""
        for first, count, start in self._runs:
            if 0 <= number - first < count:
                row = _ROW.match(self._document, start + _ROW_BYTES * (number - first))
                if row is None:
                    raise OtherwiseError
                return (1 if row[3] == b"n" else 0), int(row[1]), int(row[2])
        return None

    def packed(self) -> set[int]:
        """Numbers of the object streams that it mentions."""
        return self.hidden.packed() if self.hidden is not None else set()


class _Rows:
    __slots__ = ("_rows", "_runs", "_width", "_widths", "highest", "trailer")
    hidden = None

    def __init__(self, document: Document, offset: int) -> None:
        self.trailer, start, end = _stream_at(document, offset, None)
        widths = integers(self.trailer.get(b"W"))
        size = integer(self.trailer.get(b"Size"))
        index = integers(self.trailer.get(b"Index", b"[0 %d]" % size))
        if self.trailer.get(b"Type") != b"/XRef" or len(widths) != 3 or widths[0] != 1 or not 0 < widths[1] <= 8 or widths[2] > 8:
            raise OtherwiseError
        self._widths, self._width = (widths[1], widths[2]), sum(widths)
        self._runs, before, self.highest = [], 0, -1
        for first, count in zip(index[::2], index[1::2], strict=True):
            if first <= self.highest and count:
                raise OtherwiseError
            self._runs.append((first, count, before))
            before += count
            self.highest = max(self.highest, first + count - 1)
        data = _inflated(self.trailer.get(b"Filter"), document[start:end], _MOST_ROWS_BYTES)
        self._rows = _unpredicted(self.trailer.get(b"DecodeParms"), data, self._width)
        if len(self._rows) != before * self._width:
            raise OtherwiseError

    def place(self, number: int) -> tuple[int, int, int] | None:
        """See ``_Table``."""
        second, third = self._widths
        for first, count, before in self._runs:
            if 0 <= number - first < count:
                at = (before + number - first) * self._width
                row = self._rows[at : at + self._width]
                return row[0], int.from_bytes(row[1 : 1 + second], "big"), int.from_bytes(row[1 + second : 1 + second + third], "big")
        return None

    def packed(self) -> set[int]:
        """See ``_Table``."""
        rows, width, second = self._rows, self._width, self._widths[0]
        if 2 not in rows[::width]:
            return set()
        columns = zip(rows[::width], *(rows[1 + i :: width] for i in range(second)), strict=True)
        return {int.from_bytes(each[1:], "big") for each in set(columns) if each[0] == 2}


class Lookup:
    """A document with intact cross-references; finds objects by number, each where the newest section says.

    newest_at  where the newest section is
    highest    the highest number that a section speaks of
    """

    __slots__ = ("_alone", "_document", "_sections", "_streams", "_texts", "highest", "newest_at", "trailer")

    def __init__(self, document: Document) -> None:
        self._document = document
        end = _STARTXREF.search(document, max(0, len(document) - _TAIL_BYTES))
        if end is None:
            raise OtherwiseError
        self.newest_at = int(end[1])
        self._sections: list[_Table | _Rows] = []
        offset: int | None = self.newest_at
        while offset is not None:
            if len(self._sections) == _MOST_SECTIONS:
                raise OtherwiseError
            table = _TABLE.match(document, offset)
            section = _Table(document, table.end()) if table is not None else _Rows(document, offset)
            if b"Encrypt" in section.trailer:
                raise OtherwiseError
            self._sections.append(section)
            offset = integer(section.trailer[b"Prev"]) if b"Prev" in section.trailer else None
        self.trailer = self._sections[0].trailer
        hidden = [section.hidden.highest for section in self._sections if section.hidden is not None]
        self.highest = max(*hidden, *[section.highest for section in self._sections], 0)
        self._alone = self._sections[0] if len(self._sections) == 1 and not hidden else None
        self._streams: dict[int, tuple[bytes, int, list[int]]] = {}
        self._texts: list[Document] | None = None

    def trailers(self) -> Entries:
        """The entries of all trailers, each from the newest one that has it. Callers must not change them."""
        if len(self._sections) == 1:
            return self.trailer
        return {key: value for section in reversed(self._sections) for key, value in section.trailer.items()}

    def dictionary(self, number: int, generation: int) -> tuple[Entries, bytes]:
        """The entries of an object that is a dictionary (not a stream), and its text without the closing brackets."""
        place = self._place(number)
        if place[0] == 2:
            text = self._packed(number, generation, place)
            return entries_of(text), text[:-2]
        document = self._document
        head = _HEAD.match(document, place[1])
        if head is None:
            raise OtherwiseError
        self._require_own(head, number, generation, place)
        body, _end = _closed(document, head.end(), b"endobj")
        return entries_within(body), b"<<" + body

    def array(self, value: bytes | None) -> bytes:
        """The text of a direct or indirect array; of an empty one if there is none."""
        if value is None or value[:1] == b"[":
            return value or b"[]"
        number, generation = reference(value)
        place = self._place(number)
        if place[0] == 2:
            match = VALUE.fullmatch(self._packed(number, generation, place))
        else:
            head = _ARRAY_HEAD.match(self._document, place[1])
            self._require_own(head, number, generation, place)
            assert head is not None
            match = VALUE.match(self._document, head.end(), head.end() + _MOST_DICTIONARY_BYTES)
            if match is not None and _ENDOBJ.match(self._document, match.end()) is None:
                raise OtherwiseError
        if match is None or match[0][:1] != b"[":
            raise OtherwiseError
        return match[0]

    def texts(self) -> list[Document]:
        """The document and all its object streams, decoded: every place that may contain a reference."""
        if self._texts is None:
            numbers = set().union(*[section.packed() for section in self._sections])
            self._texts = [self._document, *[self._stream(number)[0] for number in sorted(numbers)]]
        return self._texts

    def _place(self, number: int) -> tuple[int, int, int]:
        """Where the object is. In a hybrid file (ISO 32000-2 §7.5.8.4), old and new readers must find the same object."""
        if self._alone is not None:
            only = self._alone.place(number)
            if only is None or only[0] not in (1, 2):
                raise OtherwiseError
            return only
        plain: tuple[int, int, int] | None = None
        for section in self._sections:
            place = section.place(number)
            if section.hidden is not None and (place is None or place[0] == 0):
                plain, place = plain or place, section.hidden.place(number) or place
            if place is not None:
                if place[0] not in (1, 2) or (plain is not None and plain[0] != 0):
                    raise OtherwiseError
                return place
        raise OtherwiseError

    @staticmethod
    def _require_own(head: re.Match[bytes] | None, number: int, generation: int, place: tuple[int, int, int]) -> None:
        if head is None or (int(head[1]), int(head[2])) != (number, generation) or place[2] != generation:
            raise OtherwiseError

    def _packed(self, number: int, generation: int, place: tuple[int, int, int]) -> bytes:
        """The text of an object in an object stream, up to where the next one begins."""
        data, first, head = self._stream(place[1])
        at = 2 * place[2]
        if generation or head[at : at + 1] != [number] or head[::2].count(number) != 1:
            raise OtherwiseError
        end = first + head[at + 3] if at + 3 < len(head) else len(data)
        return data[first + head[at + 1] : end].rstrip(WHITE)

    def _stream(self, number: int) -> tuple[bytes, int, list[int]]:
        stream = self._streams.get(number)
        if stream is None:
            place = self._place(number)
            if place[0] != 1:
                raise OtherwiseError
            entries, start, end = _stream_at(self._document, place[1], number)
            left = _MOST_DECODED_BYTES - sum(len(each[0]) for each in self._streams.values())
            data = _inflated(entries.get(b"Filter"), self._document[start:end], left)
            first, count = integer(entries.get(b"First")), integer(entries.get(b"N"))
            head = list(map(int, data[:first].split()))
            if entries.get(b"Type") != b"/ObjStm" or b"DecodeParms" in entries or len(head) != 2 * count:
                raise OtherwiseError
            stream = self._streams[number] = data, first, head
        return stream


def _stream_at(document: Document, offset: int, number: int | None) -> tuple[Entries, int, int]:
    """The entries of a stream's dictionary, and where its data begins and ends."""
    head = _HEAD.match(document, offset)
    if head is None or number not in (None, int(head[1])):
        raise OtherwiseError
    body, end = _closed(document, head.end(), b"stream")
    entries = entries_anew(body)
    begin = _STREAM.match(document, end)
    if begin is None:
        raise OtherwiseError
    end = begin.end() + integer(entries.get(b"Length"))
    if _ENDSTREAM.match(document, end) is None:
        raise OtherwiseError
    return entries, begin.end(), end


def _inflated(coding: bytes | None, data: bytes, most_bytes: int) -> bytes:
    if coding is None:
        return data
    if coding != b"/FlateDecode" or most_bytes <= 0:
        raise OtherwiseError
    inflating = zlib.decompressobj()
    result = inflating.decompress(data, most_bytes)
    if inflating.unconsumed_tail:
        raise OtherwiseError
    return result


def _unpredicted(parameters: bytes | None, data: bytes, width: int) -> bytes:
    """Rows whose bytes were written as differences to the row above (PNG "up"), all summed at once: after step k, each row holds the sum

    of the 2^k rows up to itself. Even and odd bytes are added apart, so that no carry runs into a neighbour.
    """
    if parameters is None:
        return data
    match = _PREDICTED.fullmatch(parameters)
    if match is None or int(match[1]) != width:
        raise OtherwiseError
    row = width + 1
    count = len(data) // row
    if len(data) % row or data[::row] != b"\x02" * count:
        raise OtherwiseError
    even = int.from_bytes(b"\xff\x00" * (len(data) // 2 + 1), "little")
    odd, whole = even << 8, (1 << 8 * len(data)) - 1
    total, shift = int.from_bytes(data, "little"), 8 * row
    while shift < 8 * len(data):
        moved = total << shift & whole
        total = (((total & even) + (moved & even) & even) | ((total & odd) + (moved & odd) & odd)) & whole
        shift *= 2
    summed = total.to_bytes(len(data), "little")
    return b"".join([summed[start + 1 : start + row] for start in range(0, len(data), row)])
