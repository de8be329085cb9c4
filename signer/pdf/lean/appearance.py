"""How a mark looks: the registered picture as a form XObject, and one appearance for each size, turn and slice of it.

The same objects as ``signer.pdf.full.appearance`` makes, as templates: what changes from document to document is object numbers alone.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from signer.pdf.lean.file import File, Found
from signer.pdf.lean.grammar import END, HEXADECIMAL, NAME, REFERENCE, STRING, NotLeanError, is_reference, reference
from signer.pdf.lean.tree import find_pages, visible_box
from signer.pdf.lean.values import parse
from signer.pdf.marks import UPRIGHT, Box, Slice, decimal_text, placed

MOST_OBJECTS: Final = 500  # of one picture
_REFERENCES: Final = re.compile(rb"(" + b"|".join((STRING, HEXADECIMAL, NAME, rb"\\[\x00-\xff]")) + rb")|" + REFERENCE)
_LARGEST_VALUE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Picture:
    """The objects of a picture, with placeholders where one refers to another; the last one is the form XObject."""

    objects: tuple[tuple[bytes | int, ...], ...]
    box: Box

    def written(self, first: int) -> list[bytes]:
        """The bodies of the objects when numbered from ``first``."""
        return [
            b"".join(b"%d 0 R" % (first + part) if isinstance(part, int) else part for part in parts) if len(parts) > 1 else _only(parts)
            for parts in self.objects
        ]


def _only(parts: tuple[bytes | int, ...]) -> bytes:
    (part,) = parts
    assert isinstance(part, bytes)
    return part


@lru_cache(maxsize=64)
def read_picture(source: bytes) -> Picture:
    """A registered one-page PDF, parsed once."""
    file = File(source)
    root = file.dictionary(*reference(file.trailer.get(b"Root", b"?")))
    if root is None:
        raise NotLeanError("a picture has no catalog")
    page = find_pages(file, root.entries.get(b"Pages"), {0})[0]
    commands = b"\n".join(file.data(_stream(file, each)) for each in _contents(file, page.content.entries.get(b"Contents")))
    box = visible_box(file, page)
    copied = _Copied(file)
    resources = copied.rewritten(page.content.entries.get(b"Resources", b"<<>>"))
    data = zlib.compress(commands)
    copied.follow()
    head = b"<</Type/XObject/Subtype/Form/BBox%b/Group<</Type/Group/S/Transparency/I true/CS/DeviceRGB>>/Resources" % _array(box)
    tail = b"/Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream" % (len(data), data)
    form = _joined((head, *resources, tail))
    return Picture((*copied.objects, form), box)


@lru_cache(maxsize=1024)
def appearance(box: Box, part: Slice, width: float, height: float, rotation: int) -> bytes:
    """The body of an appearance stream, with ``%d`` in place of the picture's object number."""
    content = placed(box, part, width, height)
    matrix = b" ".join(b"%d" % value for value in UPRIGHT[rotation])
    return (
        b"<</Type/XObject/Subtype/Form/BBox%b/Matrix[%b]/Resources<</XObject<</Picture %%d 0 R>>/ExtGState<</Multiply"
        b"<</Type/ExtGState/BM/Multiply>>>>>>/Length %d>>\nstream\n%b\nendstream"
    ) % (_array((0, 0, width, height)), matrix, len(content), content)


def _array(values: Box) -> bytes:
    return b"[" + " ".join(map(decimal_text, values)).encode("ascii") + b"]"


def _contents(file: File, value: bytes | None) -> list[bytes]:
    if value is not None and is_reference(value):
        number, generation = reference(value)
        where = file.position(number, generation)
        if where is not None and where[0][where[1] : where[1] + 1] == b"[":
            return file.elements(value)
        return [value]
    if value is None or value == b"null":
        raise NotLeanError("a picture has no content")
    return file.elements(value)


def _stream(file: File, value: bytes) -> Found:
    found = file.dictionary(*reference(value))
    if found is None:
        raise NotLeanError("a picture lacks its content")
    return found


class _Copied:
    """The objects that a picture's resources refer to, with references as indices into ``objects``."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._places: dict[tuple[int, int], int] = {}
        self.objects: list[tuple[bytes | int, ...]] = []

    def rewritten(self, text: bytes) -> list[bytes | int]:
        parts: list[bytes | int] = []
        position = 0
        for match in _REFERENCES.finditer(text):
            if match[1] is not None:
                continue
            parts += [text[position : match.start()], self._place(*reference(match[0]))]
            position = match.end()
        return [*parts, text[position:]]

    def follow(self) -> None:
        """Copies all objects found so far, and everything that they refer to."""
        done = 0
        while done < len(self._places):
            number, generation = list(self._places)[done]
            self.objects.append(self._copy(number, generation))
            done += 1

    def _place(self, number: int, generation: int) -> int:
        if len(self._places) >= MOST_OBJECTS:
            raise NotLeanError("a picture has very many objects")
        return self._places.setdefault((number, generation), len(self._places))

    def _copy(self, number: int, generation: int) -> tuple[bytes | int, ...]:
        where = self._file.position(number, generation)
        if where is None:
            return (b"null",)
        text, position, packed = where
        value, end = parse(text, position, _LARGEST_VALUE_BYTES)
        raw = text[position:end]
        # In an object stream there are no streams (ISO 32000-2 §7.5.7).
        if packed or END.match(text, end):
            return _joined(self.rewritten(raw))
        return self._copy_stream(number, generation, value)

    def _copy_stream(self, number: int, generation: int, value: Any) -> tuple[bytes | int, ...]:
        found = self._file.dictionary(number, generation)
        if found is None or found.data_offset is None or not isinstance(value, dict):
            raise NotLeanError("an object of a picture ends oddly")
        data = self._file.document[found.data_offset : self._file.stream_end(found.entries, found.data_offset)]
        # The length may have been an object of its own; in the copy it stands directly.
        entries = b"".join(b"/%b %b" % entry for entry in found.entries.items() if entry[0] != b"Length")
        return _joined([*self.rewritten(b"<<" + entries + b"/Length %d>>" % len(data)), b"\nstream\n", data, b"\nendstream"])


def _joined(parts: Any) -> tuple[bytes | int, ...]:
    """Joins adjacent texts."""
    result: list[bytes | int] = []
    for part in parts:
        if isinstance(part, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += part
        else:
            result.append(part)
    return tuple(result)
