"""Updates that readers repair in different ways, and how verification tells of them."""

from __future__ import annotations

import io
from collections.abc import Mapping

from pyhanko.pdf_utils.reader import PdfFileReader

from sealcore.clock import FixedClock
from tests.attacks.appended import (
    Writer,
    catalog,
    free_number,
    information_of,
    update,
)
from tests.verify.office import NOW, Office
from verify.report import Change, Report, Verdict
from verify.verifier import verify


def told(office: Office, document: bytes) -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW))


def require_change(office: Office, document: bytes) -> None:
    report = told(office, document)
    changed = next(each.changed for each in report.seals if each.field == "Seal1")
    assert report.verdict is Verdict.INVALID and changed.state is Change.FORBIDDEN, report.sentence


def root_of(sealed: bytes) -> int:
    return int(PdfFileReader(io.BytesIO(sealed)).root_ref.idnum)


def packed_update(
    sealed: bytes,
    objects: Mapping[int, bytes],
    packed: Mapping[int, bytes] | None = None,
    *,
    widths: tuple[int, int, int] = (1, 4, 2),
    index: int = 0,
    lists_itself: bool = True,
) -> bytes:
    """An update with a cross-reference stream, and with an object stream for ``packed``, whose first index is given as ``index``."""
    reader, packed = PdfFileReader(io.BytesIO(sealed)), packed or {}
    free = max([free_number(sealed), *(number + 1 for number in (*objects, *packed))])
    body, rows = b"\n", {}

    def add(number: int, content: bytes) -> None:
        nonlocal body
        rows[number] = (1, len(sealed) + len(body), 0)
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)

    for number, content in objects.items():
        add(number, content)
    if packed:
        heads, data = b"", b""
        for position, (number, content) in enumerate(packed.items()):
            heads += b"%d %d " % (number, len(data))
            data += content + b" "
            rows[number] = (2, free, position + index)
        data = heads + data
        add(free, b"<</Type/ObjStm/N %d/First %d/Length %d>>\nstream\n%b\nendstream" % (len(packed), len(heads), len(data), data))
        free += 1
    start = len(sealed) + len(body)
    if lists_itself:
        rows[free] = (1, start, 0)
    data = b"".join(value.to_bytes(width, "big") for _, row in sorted(rows.items()) for value, width in zip(row, widths, strict=True))
    entries = b"/Type/XRef/W[%d %d %d]/Index[%b]" % (*widths, b" ".join(b"%d 1" % number for number in sorted(rows)))
    assert reader.last_startxref is not None
    entries += b"/Size %d/Prev %d/Root %d 0 R/Length %d" % (free + 1, reader.last_startxref, reader.root_ref.idnum, len(data))
    entries += information_of(reader)
    add(free, b"<<%b>>\nstream\n%b\nendstream" % (entries, data))
    return sealed + body + b"startxref\n%d\n%%%%EOF\n" % start


def store(sealed: bytes, certificate: bytes = b"\x30\x00", text: bytes = b"D:20260601120000Z") -> dict[int, bytes]:
    """The objects of an update that is permitted: a store with one "certificate" and a time."""
    number, vri = free_number(sealed), b"/VRI<</%b<</TU(%b)>>>>" % (b"A" * 40, text)
    return {
        number: b"<</Length %d>>\nstream\n%b\nendstream" % (len(certificate), certificate),
        root_of(sealed): catalog(sealed) + b"/DSS<</Certs[%d 0 R]%b>>>>" % (number, vri),
    }


def named_length(sealed: bytes, length: int, data: bytes = b"\x30\x00") -> bytes:
    """A store whose stream's length is an object of its own."""
    number, out = free_number(sealed), io.BytesIO()
    Writer(io.BytesIO(sealed)).root.write_to_stream(out)
    catalog = out.getvalue().rstrip()[:-2] + b"/DSS<</Certs[%d 0 R]>>>>" % number
    body = {number: b"<</Length %d 0 R>>\nstream\n%b\nendstream" % (number + 1, data), number + 1: b"%d" % length}
    return update(sealed, body | {root_of(sealed): catalog})
