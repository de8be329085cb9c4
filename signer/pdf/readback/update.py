"""Splits an update, however it is spelled, into its objects. There must be nothing else between, before or after them."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from signer.pdf.readback.reader import MOST_DECODED_BYTES, Entry, Reader
from signer.pdf.readback.syntax import WHITE, UnreadableError, parse

_BLANKS: Final = rb"[\t\n\r ]*"
_HEADER: Final = re.compile(_BLANKS[:-1] + rb"+([1-9]\d{0,9}) (0|[1-9]\d{0,4}) obj(?=[\t\n\r <\[(/])")
_STREAM: Final = re.compile(_BLANKS + rb"stream(?:\r\n|\n)")
_STREAM_END: Final = re.compile(_BLANKS + rb"endstream")
_END: Final = re.compile(_BLANKS + rb"endobj")
_TABLE: Final = re.compile(_BLANKS + rb"xref\r?\n(?:\d+ \d+ ?\r?\n(?:\d{10} \d{5} [nf](?: \r| \n|\r\n))*)+trailer")
_TAIL: Final = re.compile(_BLANKS + rb"startxref[\r\n ]+(\d+)[\r\n ]+%%EOF(?:\r\n|\n|\r)?")
_FLATE: Final = ("FlateDecode", ["FlateDecode"])


@dataclass(frozen=True, slots=True)
class Object:
    """A value, with the data if it is a stream: decoded if it is coded by Flate alone."""

    value: Any
    generation: int
    data: bytes | None = None


@dataclass(slots=True)
class Revision:
    """One update: where it begins in the file, and its objects without the cross-reference section."""

    start: int
    objects: dict[int, Object] = field(default_factory=dict)


def read_revisions(document: bytes, suffix: bytes) -> list[Revision]:
    """The updates in ``suffix``. Every byte belongs to an object or a cross-reference section, and every object is where its section says."""
    file, position = document + suffix, len(document)
    revisions = []
    while position < len(file):
        revision = Revision(position)
        position = _read(file, position, revision)
        revisions.append(revision)
    # Two at most: a new table of contents for a broken document, and the update with the seal.
    if not 0 < len(revisions) <= 2:
        raise UnreadableError("there are several updates")
    return revisions


def _read(file: bytes, position: int, revision: Revision) -> int:
    places: dict[int, tuple[int, int]] = {}
    sections: list[int] = []
    itself: set[int] = set()
    while (header := _HEADER.match(file, position)) is not None:
        number, generation = int(header[1]), int(header[2])
        if number in places:
            raise UnreadableError(f"object {number} is there twice")
        places[number] = header.start(1), generation
        found, position = read_object(file, header.end(), generation)
        if isinstance(found.value, dict) and found.value.get("Type") == "XRef":
            _require_plain_rows(found)
            sections.append(header.start(1))
            itself.add(number)
            break
        revision.objects[number] = found
    table = _TABLE.match(file, position) if not sections else None
    if table is not None:
        sections.append(file.index(b"xref", position))
        _trailer, position = parse(file, table.end(), strict=True)
    tail = _TAIL.match(file, position)
    if tail is None or [int(tail[1])] != sections:
        raise UnreadableError("something stands between the objects of the update")
    if revision.objects:  # without objects it is a new cross-reference table for a document whose own is broken
        _require_listed(file[: tail.end()], places, itself)
    return tail.end()


def read_object(file: bytes, position: int, generation: int) -> tuple[Object, int]:
    """The object whose header ends at ``position``, and where it ends."""
    value, end = parse(file, position, strict=True)
    data = None
    start = _STREAM.match(file, end)
    if start is not None:
        length = value["Length"]
        if not isinstance(length, int) or length < 0:
            raise UnreadableError("a stream has no length of its own")
        data = file[start.end() : start.end() + length]
        closing = _STREAM_END.match(file, start.end() + length)
        if closing is None:
            raise UnreadableError("a stream does not end where its length says")
        end = closing.end()
        data = _inflated(data) if value.get("Filter") in _FLATE and "DecodeParms" not in value else data
    closing = _END.match(file, end)
    if closing is None:
        raise UnreadableError("an object does not end")
    return Object(value, generation, data), closing.end()


def _inflated(data: bytes) -> bytes:
    """Bytes after the end of the compressed data are refused: no reader shows them, but readers that repair a file would find objects in them."""
    inflating = zlib.decompressobj()
    try:
        result = inflating.decompress(data, MOST_DECODED_BYTES)
    except zlib.error:
        raise UnreadableError("a stream cannot be decompressed") from None
    if inflating.unconsumed_tail or inflating.unused_data.strip(WHITE):
        raise UnreadableError("something stands behind the data of a stream")
    return result


def _require_plain_rows(section: Object) -> None:
    """A cross-reference stream holds exactly its rows."""
    index = section.value.get("Index") or [0, section.value["Size"]]
    if "DecodeParms" in section.value or len(section.data or b"") != sum(index[1::2]) * sum(section.value["W"]):
        raise UnreadableError("a cross-reference section holds something else")


def _require_listed(file: bytes, places: dict[int, tuple[int, int]], itself: set[int]) -> None:
    """The section lists exactly these objects, each with its place and generation. It marks none as free and points none elsewhere."""
    entries = Reader(file).newest_entries()
    first = entries.pop(0, None)
    listed = {number: (entry.offset, entry.generation) for number, entry in entries.items()}
    required = {number: place for number, place in places.items() if number in listed or number not in itself}
    if listed != required:
        raise UnreadableError("the cross-references do not fit to the objects of the update")
    if first is not None and first != Entry(None, first.generation):
        raise UnreadableError("the cross-references have an object 0")
