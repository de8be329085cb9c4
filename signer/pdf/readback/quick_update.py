"""Splits an update in the lean writer's spelling into its objects and its trailer.

The objects fill the update from its first byte to the cross-reference section, and each is where that section says.
"""

from __future__ import annotations

import re
from operator import itemgetter
from struct import Struct
from typing import Final, NamedTuple

from signer.pdf.readback.quick_values import OtherwiseError

_END_BYTES: Final = 64  # startxref and what follows it
_ENDOBJ: Final = b"\nendobj\n"
_TABLE_ROW_BYTES: Final = 20

_TABLE: Final = re.compile(rb"xref\n0 1\n0000000000 65535 f \n((?:\d{1,10} \d{1,10}\n(?:\d{10} \d{5} n \n)++)++)trailer\n<<")
_RUN: Final = re.compile(rb"(\d{1,10}) (\d{1,10})\n((?:\d{10} \d{5} n \n)++)")
_STREAM: Final = re.compile(rb"(\d{1,10}) 0 obj\n<</Type/XRef/W\[1 8 2\]/Index\[([\d ]++)\]/Length (\d{1,9})(?=/Size )")
_ROW: Final = Struct(">BQH")  # type, offset, generation (ISO 32000-2 table 18)
_OFFSET: Final = itemgetter(0)


Part = tuple[int, int, int]
"""One object: its generation, and the range of its body (between ``obj`` and ``endobj``) in the update."""


class Update(NamedTuple):
    """``trailer`` is text, from /Size on and without brackets; ``numbers`` are those of all objects, and of the section if it is a stream."""

    parts: dict[int, Part]
    trailer: bytes
    numbers: set[int]


_Place = tuple[int, int, int]  # offset in the update, number, generation


def take_apart(suffix: bytes, base: int) -> Update:
    """``base`` is where the update begins in the file; OtherwiseError if it is spelled differently in a single byte."""
    end = suffix.rfind(b"startxref\n", -_END_BYTES)
    told = suffix[end + len(b"startxref\n") : -len(b"\n%%EOF\n")]
    if end < 0 or not told.isdigit() or not suffix.endswith(b"\n%%EOF\n") or not suffix.startswith(b"\n"):
        raise OtherwiseError
    at = int(told) - base
    if not 0 < at < end:
        raise OtherwiseError
    section = suffix[at:end]
    places, trailer, own = _table(section, base) if section.startswith(b"xref") else _stream(section, base, at)
    places.sort(key=_OFFSET)
    parts: dict[int, Part] = {}
    number = generation = start = -1
    between = b"\n"  # ahead of the first object
    for offset, following, following_generation in places:
        head = b"%b%d %d obj\n" % (between, following, following_generation)
        stop = offset - len(between)
        if not suffix.startswith(head, stop) or stop < start or (start < 0 and stop != 0):
            raise OtherwiseError
        if start >= 0:
            parts[number] = generation, start, stop
        number, generation, start = following, following_generation, stop + len(head)
        between = _ENDOBJ
    stop = at - len(_ENDOBJ)
    if not suffix.startswith(_ENDOBJ, stop) or not 0 <= start <= stop:
        raise OtherwiseError
    parts[number] = generation, start, stop
    if len(parts) != len(places):
        raise OtherwiseError
    return Update(parts, trailer, {*parts, *own})


def _table(section: bytes, base: int) -> tuple[list[_Place], bytes, set[int]]:
    table = _TABLE.match(section)
    if table is None or section[-3:] != b">>\n":
        raise OtherwiseError
    places: list[_Place] = []
    for first, count, rows in _RUN.findall(table[1]):
        number = int(first)
        if len(rows) != _TABLE_ROW_BYTES * int(count):
            raise OtherwiseError
        for at in range(0, len(rows), _TABLE_ROW_BYTES):
            places.append((int(rows[at : at + 10]) - base, number, int(rows[at + 11 : at + 16])))
            number += 1
    return places, section[table.end() : -3], set()


def _stream(section: bytes, base: int, at: int) -> tuple[list[_Place], bytes, set[int]]:
    """A cross-reference stream that lists itself last."""
    head = _STREAM.match(section)
    end = section.find(b">>\nstream\n", head.end()) if head is not None else -1
    if head is None or end < 0:
        raise OtherwiseError
    own, size_bytes, index = int(head[1]), int(head[3]), list(map(int, head[2].split()))
    data = section[end + len(b">>\nstream\n") : -len(b"\nendstream\nendobj\n")]
    # Checked before the numbers are listed: a hostile index may claim billions of them.
    if not len(data) == size_bytes == _ROW.size * sum(index[1::2]) or not section.endswith(b"\nendstream\nendobj\n"):
        raise OtherwiseError
    numbers = [number for first, count in zip(index[::2], index[1::2], strict=True) for number in range(first, first + count)]
    rows = list(_ROW.iter_unpack(data))
    if set(map(_OFFSET, rows)) != {1} or own != numbers[-1]:
        raise OtherwiseError
    places = [(offset - base, number, generation) for number, (_, offset, generation) in zip(numbers, rows, strict=True) if number != own]
    if len(places) + 1 != len(numbers) or rows[-1] != (1, base + at, 0):
        raise OtherwiseError
    return places, section[head.end() : end], {own}
