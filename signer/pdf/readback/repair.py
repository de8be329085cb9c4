"""A new table of contents says what a whole file's own says, and of a broken file what readers find by searching it.

Whoever may write it as he likes could lead to objects that lie in the file unused.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from signer.pdf.readback.reader import Entry, Reader, decoded
from signer.pdf.readback.syntax import UnreadableError, parse

_HEADER: Final = re.compile(rb"(?<![0-9])(\d{1,7})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+obj(?![a-zA-Z])")
_STREAM: Final = re.compile(rb">>[\x00\t\n\x0c\r ]*stream(?:\r\n|\n|\r)|endstream")
_ROOT: Final = re.compile(rb"/Root[\x00\t\n\x0c\r ]*(\d{1,7})[\x00\t\n\x0c\r ]+\d{1,5}[\x00\t\n\x0c\r ]+R(?![A-Za-z0-9])")
_LARGEST_NUMBER: Final = 4_000_000
_FAULTS: Final = (UnreadableError, RecursionError, ValueError, LookupError, TypeError, AttributeError, OverflowError)
_Place = tuple[int | None, int | None]  # an offset, or the number of an object stream


def require_repaired(document: bytes, mended: Reader) -> None:
    """``mended`` is the document with its new table of contents."""
    # Where the document's own table holds, a new one must say the same: whoever wrote the
    # update may not choose which objects count.
    whole = _whole(document)
    found = whole[0] if whole is not None else _Search(document).places
    told = {number: _place(entry) for number, entry in mended.newest_entries().items() if number and _place(entry) != (None, None)}
    told = {number: place for number, place in told.items() if (place[0] or 0) < len(document)}  # without the table itself
    if told != found:
        number = min(number for number in told.keys() | found.keys() if told.get(number) != found.get(number))
        raise UnreadableError(f"the repair leads to another object {number} than readers find")
    roots = [int(each[1]) for each in _ROOT.finditer(document)] if whole is None else [whole[1]]
    if roots and mended.trailer["Root"].number != next((each for each in reversed(roots) if each in found), None):
        raise UnreadableError("the repair leads to another catalog than readers find")


def _whole(document: bytes) -> tuple[dict[int, _Place], int] | None:
    """What a document's own cross-references say, and its catalog; None where they do not lead to what they say."""
    try:
        reader = Reader(document)
        counting: dict[int, Entry] = {}
        for section, _ in reversed(reader.sections()):
            counting |= section
        places = {number: _place(entry) for number, entry in counting.items() if number and _place(entry) != (None, None)}
        root = reader.trailer["Root"]
        # A table that parses may still lead nowhere: it counts as whole when the pages are found
        # through it.
        reader.resolve(reader.resolve(reader.resolve(root)["Pages"])["Kids"])
    except _FAULTS:
        return None
    for number, (offset, _stream) in places.items():
        header = _HEADER.match(document, offset) if offset is not None else None
        if offset is not None and (header is None or int(header[1]) != number):
            return None
    return places, root.number


def _place(entry: Entry) -> _Place:
    return entry.offset, entry.stream


class _Search:
    """All objects of a file in their order; of several with one number the last counts. What looks like one within a stream is none."""

    def __init__(self, document: bytes) -> None:
        self._document = document
        self._streams = [(each.start(), each[0] != b"endstream") for each in _STREAM.finditer(document)]
        self.places: dict[int, _Place] = {}
        for header in _HEADER.finditer(document):
            number, generation = int(header[1]), int(header[2])
            if not self._in_stream(header.start()) and 0 < number <= _LARGEST_NUMBER and generation <= 0xFFFF:
                self.places[number] = header.start(), None
                self._unpack(number, header.end())

    def _in_stream(self, position: int) -> bool:
        before = bisect_left(self._streams, (position, False))
        return before > 0 and self._streams[before - 1][1]

    def _unpack(self, number: int, position: int) -> None:
        end = self._document.find(b"obj", position)
        if self._document.find(b"/ObjStm", position, end if end >= 0 else len(self._document)) < 0:
            return
        try:
            head, end = parse(self._document, position)
            start = _STREAM.search(self._document, end - 2)
            if head["Type"] != "ObjStm" or start is None or "DecodeParms" in head:
                return
            data = decoded(head, self._document[start.end() : start.end() + head["Length"]])
            numbers = [int(each) for each in data[: head["First"]].split()[: 2 * head["N"] : 2]]
        except _FAULTS:
            return
        self.places |= {each: (None, number) for each in numbers if 0 < each <= _LARGEST_NUMBER}
