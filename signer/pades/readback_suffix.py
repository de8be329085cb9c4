"""An update taken apart: all its objects, one behind the other, and nothing between, before or behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from signer.pades.reader import Reader, decoded
from signer.pades.syntax import UnreadableError, parse

_BLANKS: Final = rb"[\x00\t\n\x0c\r ]*"
_HEADER: Final = re.compile(_BLANKS + rb"(\d{1,10}) (\d{1,5}) obj(?=[\x00\t\n\x0c\r <\[(/])")
_STREAM: Final = re.compile(_BLANKS + rb"stream(?:\r\n|\n)")
_STREAM_END: Final = re.compile(_BLANKS + rb"endstream")
_END: Final = re.compile(_BLANKS + rb"endobj")
_TABLE: Final = re.compile(_BLANKS + rb"xref\s+(?:\d+ \d+\s+(?:\d{10} \d{5} [nf]\s+)*)+trailer")
_TAIL: Final = re.compile(_BLANKS + rb"startxref\s+(\d+)\s+%%EOF" + _BLANKS)


@dataclass(frozen=True, slots=True)
class Object:
    """A value; with the data of its stream, decoded where it is coded by Flate alone."""

    value: Any
    data: bytes | None = None


@dataclass(slots=True)
class Revision:
    """One update: where it begins in the file, its objects without the cross-reference section."""

    start: int
    objects: dict[int, Object] = field(default_factory=dict)


def read_revisions(document: bytes, suffix: bytes) -> list[Revision]:
    """Of what is appended to a document; every byte belongs to an object or a section, every object is where the section says."""
    file, position = document + suffix, len(document)
    revisions = []
    while position < len(file):
        revision = Revision(position)
        position = _read(file, position, revision)
        revisions.append(revision)
    if not 0 < len(revisions) <= 2:
        raise UnreadableError("there are several updates")
    return revisions


def _read(file: bytes, position: int, revision: Revision) -> int:
    places: dict[int, int] = {}
    sections: list[int] = []
    while (header := _HEADER.match(file, position)) is not None:
        number = int(header[1])
        if number in places:
            raise UnreadableError(f"object {number} is there twice")
        places[number] = header.start(1)
        found, position = _object(file, header.end())
        if isinstance(found.value, dict) and found.value.get("Type") == "XRef":
            sections.append(header.start(1))
            break
        revision.objects[number] = found
    table = _TABLE.match(file, position) if not sections else None
    if table is not None:
        sections.append(file.index(b"xref", position))
        _trailer, position = parse(file, table.end())
    tail = _TAIL.match(file, position)
    if tail is None or [int(tail[1])] != sections:
        raise UnreadableError("something stands between the objects of the update")
    if revision.objects:  # else a new table of contents for a document whose own is broken
        _require_listed(file[: tail.end()], places)
    return tail.end()


def _object(file: bytes, position: int) -> tuple[Object, int]:
    value, end = parse(file, position)
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
        data = decoded(value, data) if value.get("Filter") == "FlateDecode" and "DecodeParms" not in value else data
    closing = _END.match(file, end)
    if closing is None:
        raise UnreadableError("an object does not end")
    return Object(value, data), closing.end()


def _require_listed(file: bytes, places: dict[int, int]) -> None:
    """The section lists these objects, where they are, and no others."""
    listed = {number: offset for number, offset in Reader(file).newest_entries().items() if number}
    section = {number: offset for number, offset in places.items() if number in listed}
    own = places.keys() - listed.keys()  # a cross-reference stream need not name itself
    if listed != section or len(own) > 1:
        raise UnreadableError("the cross-references do not fit to the objects of the update")
