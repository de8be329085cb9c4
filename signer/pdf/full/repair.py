"""Rebuilds broken cross-references as an incremental update, without touching an earlier byte.

Readers rebuild such a file by searching it for objects, each in its own way. This does the same once and writes the outcome down, so
that all readers, and the signature, speak of the same document. Rules as in readers: of several objects with one number the last
in the file counts; the last trailer with a usable catalog counts. Encrypted files are left alone.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import read_non_whitespace
from pyhanko.pdf_utils.rw_common import PdfHandler

from signer.pdf.full.numbers import LARGEST_OBJECT_NUMBER
from signer.pdf.full.objects import Appendix, dictionary, found, name, number

MOST_OBJECTS: Final = 1_000_000
MOST_STREAM_BYTES: Final = 64 * 1024 * 1024  # of one object stream, decoded
_OBJECT: Final = re.compile(rb"(?<![0-9])(\d{1,7})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+obj(?![a-zA-Z])")
_STREAM: Final = re.compile(rb">>[\x00\t\n\x0c\r ]*stream(?:\r\n|\n|\r)")
_TRAILER: Final = re.compile(rb"trailer[\x00\t\n\x0c\r ]*(?=<<)")
_CARRIED_OVER: Final = ("/Info", "/ID")
_COMPRESSED: Final = 2  # type of a cross-reference entry (ISO 32000-2 table 18)


class _Shelf(PdfHandler):
    """Stands in for the reader that pyHanko's object parser expects; resolves direct stream lengths only."""

    strict = False

    def __init__(self, survey: _Survey) -> None:
        self._survey = survey

    def get_object(self, reference: Any, as_metadata_stream: bool = False) -> Any:
        place = self._survey.places.get(reference.idnum)
        if place is None or place.stream is not None:
            return generic.NullObject()
        return _parsed(self._survey.file, place.body, self)


@dataclass(frozen=True)
class _Place:
    """Where an object is: in the file (header and body), or at an index in an object stream."""

    offset: int
    body: int
    generation: int
    stream: int | None = None
    index: int = 0


@dataclass
class _Survey:
    file: bytes
    places: dict[int, _Place] = field(default_factory=dict)
    trailers: list[generic.DictionaryObject] = field(default_factory=list)


def repair(file: bytes) -> bytes | None:
    """The bytes to append to give the file a sound cross-reference stream; None if that is not possible."""
    survey = _Survey(file)
    shelf = _Shelf(survey)
    _survey_objects(survey, shelf)
    if not survey.places or any("/Encrypt" in trailer for trailer in survey.trailers):
        return None
    root = _catalog(survey, shelf)
    if root is None:
        return None
    return _written(survey, root)


def _survey_objects(survey: _Survey, shelf: _Shelf) -> None:
    file, position = survey.file, 0
    while (match := _OBJECT.search(file, position)) and len(survey.places) < MOST_OBJECTS:
        object_number, generation = int(match[1]), int(match[2])
        position = match.end()
        if 0 < object_number <= LARGEST_OBJECT_NUMBER and generation <= 0xFFFF:
            survey.places[object_number] = _Place(match.start(), match.end(), generation)
            position = _behind_stream(survey, shelf, object_number, match.end())
    for trailer in _TRAILER.finditer(file):
        value = _parsed(file, trailer.end(), shelf)
        if isinstance(value, generic.DictionaryObject):
            survey.trailers.append(value)


def _behind_stream(survey: _Survey, shelf: _Shelf, object_number: int, body: int) -> int:
    """Where to go on searching: after the object's stream, if it has one, since what looks like objects in there is only data."""
    file = survey.file
    following = _OBJECT.search(file, body)
    stream = _STREAM.search(file, body, following.start() if following else len(file))
    if stream is None:
        return body
    value = _parsed(file, body, shelf)
    if isinstance(value, generic.StreamObject):
        kind = found(value, "/Type")
        if kind == "/ObjStm":
            _survey_object_stream(survey, object_number, value)
        elif kind == "/XRef":
            survey.trailers.append(value)
        end = stream.end() + len(value.encoded_data)
    else:
        end = stream.end()
    closing = file.find(b"endstream", end)
    return closing if closing >= 0 else stream.end()


def _survey_object_stream(survey: _Survey, object_number: int, stream: generic.StreamObject) -> None:
    count, first = found(stream, "/N"), found(stream, "/First")
    data = _decoded(stream)
    if not isinstance(count, int) or not isinstance(first, int) or data is None:
        return
    numbers = re.findall(rb"\d+", data[: max(0, first)])[: 2 * max(0, count)]
    for index, text in enumerate(numbers[::2]):
        if 0 < int(text) <= LARGEST_OBJECT_NUMBER:
            survey.places[int(text)] = _Place(0, 0, 0, object_number, index)


def _decoded(stream: generic.StreamObject) -> bytes | None:
    filters = found(stream, "/Filter")
    if isinstance(filters, generic.ArrayObject):
        filters = filters[0] if len(filters) == 1 else filters
    if filters is None:
        return bytes(stream.encoded_data)
    if filters != "/FlateDecode" or found(stream, "/DecodeParms") is not None:
        return None
    try:
        return zlib.decompressobj().decompress(stream.encoded_data, MOST_STREAM_BYTES)
    except zlib.error:
        return None


def _catalog(survey: _Survey, shelf: _Shelf) -> generic.IndirectObject | None:
    for trailer in reversed(survey.trailers):
        root = trailer.get("/Root")
        if isinstance(root, generic.IndirectObject) and _is_catalog(shelf, root.idnum, survey):
            return generic.IndirectObject(root.idnum, root.generation, shelf)
    for object_number in reversed(survey.places):
        place = survey.places[object_number]
        if place.stream is None and _is_catalog(shelf, object_number, survey):
            return generic.IndirectObject(object_number, place.generation, shelf)
    return None


def _is_catalog(shelf: _Shelf, object_number: int, survey: _Survey) -> bool:
    place = survey.places.get(object_number)
    if place is not None and place.stream is not None:
        return True  # it is in an object stream, so the trailer's word for it has to be enough
    value = shelf.get_object(generic.Reference(object_number, 0, shelf))
    return isinstance(value, generic.DictionaryObject) and "/Pages" in value and dict.get(value, "/Type") in ("/Catalog", None)


def _parsed(file: bytes, position: int, shelf: _Shelf) -> Any:
    window = io.BytesIO(file)
    window.seek(position)
    try:
        read_non_whitespace(window, seek_back=True)
        return generic.read_object(window, generic.Reference(1, 0, shelf))
    except Exception:  # noqa: BLE001  (pyHanko raises anything; what cannot be parsed is left out)
        return None


def _written(survey: _Survey, root: generic.IndirectObject) -> bytes:
    own_number = max(survey.places) + 1
    out = Appendix(len(survey.file))
    out.write(b"\n")
    places = survey.places | {own_number: _Place(out.tell(), 0, 0)}
    numbers = sorted(places)
    index, rows = [0, 1], [struct.pack(">BQH", 0, 0, 0xFFFF)]
    for previous, each in zip([-1, *numbers], numbers, strict=False):
        if each == previous + 1 and len(index) > 2:
            index[-1] += 1
        else:
            index += [each, 1]
        place = places[each]
        compressed = place.stream is not None
        rows.append(
            struct.pack(
                ">BQH", _COMPRESSED if compressed else 1, place.stream or place.offset, place.index if compressed else place.generation
            )
        )
    stream = generic.StreamObject(
        dictionary(
            Type=name("XRef"),
            Size=number(own_number + 1),
            W=generic.ArrayObject([number(1), number(8), number(2)]),
            Index=generic.ArrayObject([number(each) for each in index]),
            Root=root,
        ),
        stream_data=b"".join(rows),
    )
    for key in _CARRIED_OVER:
        value = next((trailer.get(key) for trailer in reversed(survey.trailers) if key in trailer), None)
        if isinstance(value, generic.IndirectObject | generic.ArrayObject):
            stream[key] = value
    offset = out.tell()
    out.write(b"%d 0 obj\n" % own_number)
    stream.write_to_stream(out, None)
    out.write(b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % offset)
    return out.getvalue()
