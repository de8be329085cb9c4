"""Updates as somebody writes them who has taken the writer over: a good one taken apart, changed, and put together again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from signer.pdf.plan import Prepared

_OBJECT = re.compile(rb"(\d+) (\d+) obj\n(.*?)\nendobj\n", re.DOTALL)
_RANGE = re.compile(rb"/ByteRange *\[[0-9 ]+\] *")
_OWN = (b"Size", b"Prev", b"W", b"Index", b"Length", b"Type", b"Filter", b"DecodeParms")
_RANGE_WIDTH = 62


@dataclass(frozen=True)
class Parts:
    """What an update is made of. Whoever holds the writer may change any of it.

    objects      number: (generation, body); in the order in which they are written
    trailer      entries but for /Size and /Prev, as they are spelled
    previous     /Prev
    generations  what the section says of an object, where it is not what the object says
    freed        numbers that the section calls free
    packed       numbers that the section says are in an object stream: its number and the index
    between      stands in front of an object of that number; 0: in front of the section
    stream       whether the section is a stream
    size         /Size
    """

    objects: dict[int, tuple[int, bytes]]
    trailer: bytes
    previous: int
    stream: bool = False
    generations: dict[int, int] = field(default_factory=dict)
    freed: tuple[int, ...] = ()
    packed: dict[int, tuple[int, int]] = field(default_factory=dict)
    between: dict[int, bytes] = field(default_factory=dict)
    size: int | None = None
    behind: bytes = b""

    def find(self, text: bytes) -> int:
        """The number of the object that holds this."""
        return next(number for number, (_, body) in self.objects.items() if text in body)

    def changed(self, number: int, old: bytes, new: bytes) -> Parts:
        """With another text within an object, where it stands once."""
        generation, body = self.objects[number]
        assert body.count(old) == 1, (old, body)
        return replace(self, objects=self.objects | {number: (generation, body.replace(old, new))})

    def having(self, number: int, body: bytes, generation: int = 0) -> Parts:
        """With one object more, written ahead of all others."""
        return replace(self, objects={number: (generation, body)} | self.objects)

    @property
    def free_number(self) -> int:
        """One that no object has."""
        return max(self.objects) + 50


def taken_apart(document: bytes, suffix: bytes) -> Parts:
    """An update of either writer's, but for its section."""
    section = int(re.findall(rb"startxref\s+(\d+)", suffix)[-1]) - len(document)
    found = [(int(each[1]), int(each[2]), each[3]) for each in _OBJECT.finditer(suffix, 0, section)]
    objects = {number: (generation, body) for number, generation, body in found}
    assert len(objects) == len(found)
    rest = suffix[section:]
    stream = not rest.startswith(b"xref")
    start = rest.index(b"<<", 0 if stream else rest.index(b"trailer"))
    end = rest.index(b">>", rest.index(b"/ID")) if not stream else rest.index(b">>\nstream")
    entries = rest[start + 2 : end]
    previous = re.search(rb"/Prev (\d+)", entries)
    assert previous is not None
    for key in _OWN:
        entries = re.sub(rb"/%b *(?:\[[^\]]*\]|/?[A-Za-z0-9]+)" % key, b"", entries)
    return Parts(objects, entries, int(previous[1]), stream=stream)


def put_together(document: bytes, parts: Parts, good: Prepared) -> Prepared:
    """The update, with the byte range and the digest that fit to it."""
    out, places = bytearray(b"\n"), {}
    for number, (generation, body) in parts.objects.items():
        out += parts.between.get(number, b"")
        places[number] = len(document) + len(out)
        out += b"%d %d obj\n%b\nendobj\n" % (number, generation, _RANGE.sub(b"/ByteRange" + b" " * _RANGE_WIDTH, body))
    out += parts.between.get(0, b"")
    rows = {number: (1, offset, parts.generations.get(number, parts.objects[number][0])) for number, offset in places.items()}
    rows |= dict.fromkeys(parts.freed, (0, 0, 0)) | {number: (2, *place) for number, place in parts.packed.items()}
    size = parts.size or max([*rows, *parts.objects]) + 2
    at = len(document) + len(out)
    out += (_stream if parts.stream else _table)(rows, parts, size, at)
    out += b"startxref\n%d\n%%%%EOF\n" % at + parts.behind
    return _measured(document, bytes(out), good)


def _table(rows: dict[int, tuple[int, int, int]], parts: Parts, size: int, _at: int) -> bytes:
    lines = [b"%d 1\n%010d %05d %b \n" % (number, row[1], row[2], b"n" if row[0] else b"f") for number, row in sorted(rows.items())]
    head = b"xref\n0 1\n0000000000 65535 f \n" + b"".join(lines)
    return head + b"trailer\n<</Size %d/Prev %d%b>>\n" % (size, parts.previous, parts.trailer)


def _stream(rows: dict[int, tuple[int, int, int]], parts: Parts, size: int, at: int) -> bytes:
    number = size - 1
    rows = dict(sorted((rows | {number: (1, at, 0)}).items()))
    data = b"".join(bytes([row[0]]) + row[1].to_bytes(8, "big") + row[2].to_bytes(2, "big") for row in rows.values())
    index = b" ".join(b"%d 1" % each for each in rows)
    head = b"<</Type/XRef/W[1 8 2]/Index[%b]/Length %d/Size %d/Prev %d%b>>" % (index, len(data), size, parts.previous, parts.trailer)
    return b"%d 0 obj\n%b\nstream\n%b\nendstream\nendobj\n" % (number, head, data)


def _measured(document: bytes, suffix: bytes, good: Prepared) -> Prepared:
    hole = suffix.rindex(b"<" + b"0" * (2 * good.hole_size_bytes) + b">")
    end = hole + 2 * good.hole_size_bytes + 2
    byte_range = (0, len(document) + hole, len(document) + end, len(suffix) - end)
    text = (b"[%d %d %d %d]" % byte_range).ljust(_RANGE_WIDTH)
    suffix = suffix.replace(b"/ByteRange" + b" " * _RANGE_WIDTH, b"/ByteRange" + text)
    digest = hashlib.sha256(document + suffix[:hole] + suffix[end:]).digest()
    return Prepared(suffix, byte_range[1], good.hole_size_bytes, byte_range, digest, good.field_name, good.warnings)
