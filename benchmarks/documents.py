"""The documents of the load: made here, byte by byte, so that anybody gets the same ones and no two are alike.

Each kind exists as a classic PDF (cross-reference table) and as a modern one (objects packed into an object stream,
cross-reference stream with a predictor). A document differs from every other by a serial of fixed length on its first page.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

SERIAL_CHARACTERS: Final = 24
STRUCTURES: Final = ("classic", "streams")
_PLACEHOLDER: Final = b"#" * SERIAL_CHARACTERS
_IMAGE_WIDTH: Final = 100


@dataclass(frozen=True)
class Kind:
    """A class of documents: about so large, and how many of ten in the mix are of it."""

    name: str
    size_bytes: int
    pages: int
    of_ten: int


# The mix. Small ones are invoices and receipts, medium ones letters and contracts, large ones reports with a picture.
SMALL = Kind("small", 3_000, 1, 6)
MEDIUM = Kind("medium", 25_000, 3, 3)
LARGE = Kind("large", 100_000, 10, 1)
KINDS: Final = (SMALL, MEDIUM, LARGE)
MIX: Final = (SMALL, MEDIUM, SMALL, SMALL, MEDIUM, SMALL, LARGE, SMALL, MEDIUM, SMALL)  # the order within ten
assert all(MIX.count(kind) == kind.of_ten for kind in KINDS)


@dataclass(frozen=True)
class Paper:
    """One document, and whether its seal is to be seen on it."""

    kind: Kind
    structure: str
    visible: bool
    content: bytes

    @property
    def last_page(self) -> int:
        """0-based."""
        return self.kind.pages - 1


def papers(pattern: Sequence[Kind], count: int, series: str) -> Iterator[Paper]:
    """``count`` documents after ``pattern``; each kind goes through its four variants in turn. A series is used once a run."""
    made = dict.fromkeys(pattern, 0)
    for number in range(count):
        kind = pattern[number % len(pattern)]
        structure, visible = STRUCTURES[made[kind] % 2], made[kind] // 2 % 2 == 0
        made[kind] += 1
        before, after = _template(kind, structure)
        serial = f"{series}-{number:08d}".rjust(SERIAL_CHARACTERS, "0").encode("ascii")
        if len(serial) != SERIAL_CHARACTERS:
            raise ValueError(f"the series {series!r} is too long")
        yield Paper(kind, structure, visible, b"".join((before, serial, after)))


@cache
def _template(kind: Kind, structure: str) -> tuple[bytes, bytes]:
    """What stands before and after the serial; the filler makes up what is missing to the size."""
    filler = max(0, kind.size_bytes - len(_build(kind, structure, 0)))
    filler = max(0, filler + kind.size_bytes - len(_build(kind, structure, filler)))
    before, _, after = _build(kind, structure, filler).partition(_PLACEHOLDER)
    return before, after


def _build(kind: Kind, structure: str, filler_bytes: int) -> bytes:
    """A document with the placeholder in it. Filler is text on a single page, else a grey picture on the last one."""
    has_image = kind.pages > 1
    objects: dict[int, bytes] = {}
    pages = range(5, 5 + 2 * kind.pages, 2)
    kids = b" ".join(b"%d 0 R" % page for page in pages)
    objects[1] = b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>"
    objects[2] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (kind.pages, kids)
    objects[3] = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects[4] = _image(filler_bytes) if has_image else b"<< /Title (Invoice) /Producer (vermilion benchmark) >>"
    for position, page in enumerate(pages):
        last = has_image and position == kind.pages - 1
        image = b" /XObject << /I1 4 0 R >>" if last else b""
        objects[page] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >>%s >> /Contents %d 0 R >>"
            % (image, page + 1)
        )
        objects[page + 1] = _stream(b"", _text(position, 0 if has_image else filler_bytes, picture=last))
    info = None if has_image else 4
    return _classic(objects, info) if structure == "classic" else _packed(objects, info)


def _text(page: int, filler_bytes: int, *, picture: bool) -> bytes:
    number = _PLACEHOLDER if page == 0 else b"continued, page %d" % (page + 1)
    lines = [b"BT /F1 11 Tf 72 770 Td 15 TL", b"(No. %s) Tj T*" % number, b"(Pay to: Qinghe Office Equipment Co., Ltd.) Tj T*"]
    row, written = 0, 0
    while written < filler_bytes:
        row += 1
        line = b"(Item %02d  Paper A4, 80 g/m2, 500 sheets  %4d x CNY 24.90) Tj T*" % (row, 1 + row * 7 % 40)
        line = line if written + len(line) + 1 <= filler_bytes else b" " * (filler_bytes - written - 1)
        lines.append(line)
        written += len(line) + 1
    lines.append(b"ET")
    if picture:
        lines.append(b"q 200 0 0 200 72 320 cm /I1 Do Q")
    return b"\n".join(lines)


def _image(filler_bytes: int) -> bytes:
    """A grey picture that does not compress, as scans and photographs do not."""
    rows = max(1, filler_bytes // _IMAGE_WIDTH)
    dictionary = (
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 "
        % (_IMAGE_WIDTH, rows)
    )  # fmt: skip
    return _stream(dictionary, random.Random(rows).randbytes(rows * _IMAGE_WIDTH))


def _stream(dictionary: bytes, data: bytes) -> bytes:
    return b"<< %s/Length %d >>\nstream\n%s\nendstream" % (dictionary, len(data), data)


def _classic(objects: dict[int, bytes], info: int | None) -> bytes:
    """ISO 32000-2 §7.5.4: a cross-reference table."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = _write(out, objects)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    out += b"".join(b"%010d 00000 n \n" % offsets[number] for number in range(1, size))
    out += b"trailer\n<< /Size %d /Root 1 0 R%s %s >>\n" % (size, b" /Info %d 0 R" % info if info else b"", _id(objects))
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def _packed(objects: dict[int, bytes], info: int | None) -> bytes:
    """ISO 32000-2 §7.5.7 and §7.5.8: all that is no stream in an object stream, found by a cross-reference stream."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    streams = {number: body for number, body in objects.items() if b"\nstream\n" in body}
    packed = {number: body for number, body in objects.items() if number not in streams}
    container, crossing = max(objects) + 1, max(objects) + 2
    directory, bodies = bytearray(), bytearray()
    for number, body in packed.items():
        directory += b"%d %d " % (number, len(bodies))
        bodies += body + b"\n"
    data = zlib.compress(bytes(directory + bodies))
    head = b"/Type /ObjStm /N %d /First %d /Filter /FlateDecode " % (len(packed), len(directory))
    offsets = _write(out, {**streams, container: _stream(head, data)})
    start = offsets[crossing] = len(out)
    places = {number: place for place, number in enumerate(packed)}
    rows = [b"\x00\x00\x00\x00\x00\xff\xff"]
    for number in range(1, crossing + 1):
        in_stream = number in places
        kind, first, second = (2, container, places[number]) if in_stream else (1, offsets[number], 0)
        rows.append(bytes((kind,)) + first.to_bytes(4, "big") + second.to_bytes(2, "big"))
    table = zlib.compress(_predicted(rows))
    head = b"/Type /XRef /Size %d /W [1 4 2] /Root 1 0 R%s %s /Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 7 >> " % (
        crossing + 1, b" /Info %d 0 R" % info if info else b"", _id(objects),
    )  # fmt: skip
    _write(out, {crossing: _stream(head, table)})
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def _write(out: bytearray, objects: dict[int, bytes]) -> dict[int, int]:
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    return offsets


def _predicted(rows: Sequence[bytes]) -> bytes:
    """PNG's "up" filter over the rows (predictor 12), as most writers use it."""
    above, filtered = bytes(len(rows[0])), bytearray()
    for row in rows:
        filtered += b"\x02" + bytes((now - before) & 0xFF for now, before in zip(row, above, strict=True))
        above = row
    return bytes(filtered)


def _id(objects: dict[int, bytes]) -> bytes:
    mark = b"%032x" % (zlib.crc32(b"".join(objects.values())))
    return b"/ID [<%s> <%s>]" % (mark, mark)


def one_of_size(size_bytes: int, series: str) -> Paper:
    """One large document, for what is measured on it alone: a classic one with a single huge picture, sealed invisibly."""
    kind = Kind("huge", size_bytes, 2, 0)
    (paper,) = papers((kind,), 1, series)
    return Paper(kind, paper.structure, False, paper.content)
