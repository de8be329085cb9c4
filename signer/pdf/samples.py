"""A few documents of our own, with plans: what a process that is to fork prepares beforehand (``signer.pipeline.sandbox.warm_up``)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.plan import ContentPolicy, Plan

_HOLE_BYTES: Final = 8192
_MARK: Final = Rectangle(20_000, 20_000, 80_000, 80_000)


def samples() -> Sequence[tuple[bytes, Plan]]:
    """Each document without a mark and with one. The last document is none that can be sealed."""
    picture = _classic(_pages(b"1 0 0 rg 0 0 60 60 re f"))
    digest = hashlib.sha256(picture).digest()
    plans = _plan(Placement(), {}), _plan(Placement((Mark((0,), _MARK, digest),)), {digest: picture})
    return [(document, plan) for document in _documents() for plan in plans]


def _plan(placement: Placement, pictures: Mapping[bytes, bytes]) -> Plan:
    return Plan("Sample-1", datetime(2026, 1, 1, tzinfo=UTC), placement, pictures, _HOLE_BYTES, ContentPolicy.REPORT, "sample", "Sample")


def _documents() -> Sequence[bytes]:
    """One with a table of contents, one with a stream for it, one that has to be mended, and one that cannot be."""
    objects = _pages(b"0 0 m 9 9 l S")
    form = {1: b"<</Type/Catalog/Pages 2 0 R/Lang(en)/AcroForm<</Fields[]>>>>"}
    whole, packed = _classic({**objects, **form}), _packed(objects)
    return whole, packed, whole.partition(b"xref\n")[0], b"%PDF-1.4\n"


def _pages(content: bytes) -> dict[int, bytes]:
    """A document of one page, without text: a font that is looked for would change how PDFium draws later ones."""
    data = zlib.compress(content)
    return {
        1: b"<</Type/Catalog/Pages 2 0 R/Lang(en)>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 595 842]>>",
        3: b"<</Type/Page/Parent 2 0 R/Resources<</ExtGState<</G 5 0 R>>>>/Contents 4 0 R/Annots[]>>",
        4: b"<</Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream" % (len(data), data),
        5: b"<</Type/ExtGState/LW 1.5>>",
    }


def _written(objects: Mapping[int, bytes]) -> tuple[bytearray, dict[int, int]]:
    file, offsets = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in objects.items():
        offsets[number] = len(file)
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    return file, offsets


def _classic(objects: Mapping[int, bytes]) -> bytes:
    file, offsets = _written(objects)
    size = len(objects) + 1
    rows = b"".join(b"%010d 00000 n \n" % offsets[number] for number in range(1, size))
    return bytes(file) + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        *(size, rows, size, len(file)),
    )


def _packed(objects: Mapping[int, bytes]) -> bytes:
    """With all that is no stream in an object stream (ISO 32000-2 §7.5.7), and a cross-reference stream (§7.5.8)."""
    inside = {number: body for number, body in objects.items() if b"stream" not in body}
    at, head, bodies = 0, b"", b"\n".join(inside.values())
    for number, body in inside.items():
        head += b"%d %d " % (number, at)
        at += len(body) + 1
    container, crossing = len(objects) + 1, len(objects) + 2
    data = zlib.compress(head + bodies)
    stream = b"<</Type/ObjStm/N %d/First %d/Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream" % (
        len(inside),
        len(head),
        len(data),
        data,
    )
    file, offsets = _written({number: body for number, body in objects.items() if number not in inside} | {container: stream})
    offsets[crossing] = len(file)
    places = {number: (2, container, place) for place, number in enumerate(inside)} | {number: (1, at, 0) for number, at in offsets.items()}
    rows = bytes((0, 0, 0, 255)) + b"".join(
        bytes((kind, *where.to_bytes(2, "big"), last)) for _, (kind, where, last) in sorted(places.items())
    )
    table = b"<</Type/XRef/Size %d/W[1 2 1]/Root 1 0 R/Length %d>>\nstream\n%b\nendstream" % (crossing + 1, len(rows), rows)
    return bytes(file) + b"%d 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (crossing, table, offsets[crossing])
