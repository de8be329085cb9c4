"""PDF documents of our own making, one of each structure that an incremental update has to fit to."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pikepdf
from reportlab.pdfgen.canvas import Canvas


def assemble(objects: Mapping[int, bytes], *, root: int = 1, extra: bytes = b"", header: bytes = b"%PDF-1.7\n") -> bytes:
    """A classic file: these objects, one cross-reference table, a trailer."""
    out, offsets = bytearray(header), {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    out += b"".join(b"%010d 00000 n \n" % offsets[n] if n in offsets else b"0000000000 00000 f \n" for n in range(1, size))
    out += b"trailer\n<< /Size %d /Root %d 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (size, root, extra, start)
    return bytes(out)


def simple(*, page: bytes = b"", catalog: bytes = b"", more: Mapping[int, bytes] | None = None) -> bytes:
    """One page with a grey box; further entries and objects (from 10 on) as given."""
    content = b"0.6 g 100 100 300 400 re f"
    return assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R %b >>" % catalog,
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 /Resources << >> >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R %b >>" % page,
            4: b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
            **(more or {}),
        }
    )


def pages(count: int, *, rotate: int = 0) -> bytes:
    """Several pages of text, A4."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(595, 842), invariant=1)
    for index in range(count):
        canvas.setPageRotation(rotate)
        for line in range(40):
            canvas.drawString(60, 60 + 18 * line, f"Page {index + 1}, line {line}: the quick brown fox jumps over the lazy dog")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _saved(**options: object) -> bytes:
    buffer = io.BytesIO()
    with pikepdf.open(io.BytesIO(pages(3))) as document:
        document.save(buffer, deterministic_id=True, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def xref_stream() -> bytes:
    """A cross-reference stream that is not compressed, and no object streams."""
    base = simple()
    table = base.rindex(b"xref\n0 ")
    offsets = [int(row[:10]) for row in base[table:].split(b"\n")[3:7]]
    rows = b"".join(b"\x01" + offset.to_bytes(4, "big") + b"\x00" for offset in [*offsets, table])
    head = b"/Type /XRef /Size 6 /W [1 4 1] /Root 1 0 R /Length %d" % (len(rows) + 6)
    stream = b"5 0 obj\n<< %b >>\nstream\n%b\nendstream\nendobj\n" % (head, b"\x00\x00\x00\x00\x00\xff" + rows)
    return base[:table] + stream + b"startxref\n%d\n%%%%EOF\n" % table


def object_streams() -> bytes:
    """Objects in compressed streams, behind a cross-reference stream."""
    return _saved(object_stream_mode=pikepdf.ObjectStreamMode.generate)


def linearized() -> bytes:
    """Arranged for the web: two cross-reference sections, the first one last."""
    return _saved(linearize=True)


def linearized_object_streams() -> bytes:
    """The same with cross-reference streams."""
    return _saved(linearize=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def hybrid() -> bytes:
    """A classic table whose trailer points to a cross-reference stream for further objects (ISO 32000-2 §7.5.8.4)."""
    base = bytearray(simple(page=b"/Annots [9 0 R]", more={9: b"<< /Type /Annot /Subtype /Square /Rect [10 10 20 20] >>"}))
    hidden = b"<< /Type /Annot /Subtype /Circle /Rect [30 30 40 40] >>"
    table = base.rindex(b"xref\n0 ")
    tail = bytes(base[table:])
    del base[table:]
    object_offset = len(base)
    base += b"10 0 obj\n%b\nendobj\n" % hidden
    stream_offset = len(base)
    row = b"\x01" + object_offset.to_bytes(4, "big") + b"\x00\x00"
    head = b"/Type /XRef /Size 12 /W [1 4 2] /Index [10 1] /Root 1 0 R /Length %d" % len(row)
    base += b"11 0 obj\n<< %b >>\nstream\n%b\nendstream\nendobj\n" % (head, row)
    new_table = len(base)
    tail = tail.replace(b"/Root 1 0 R", b"/Root 1 0 R /XRefStm %d" % stream_offset).replace(b"/Size 10", b"/Size 12")
    base += tail[: tail.index(b"startxref")] + b"startxref\n%d\n%%%%EOF\n" % new_table
    return bytes(base)


def form() -> bytes:
    """A form with a text field that has a look, and a reference to the form from the catalog."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    canvas.acroForm.textfield(name="amount", value="100", x=60, y=600, width=200, height=24)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def updated() -> bytes:
    """With an incremental update behind it, and no line end at the end of the file."""
    base = simple()
    at = len(base)
    body = b"4 0 obj\n<< /Length 26 >>\nstream\n0.3 g 100 100 300 400 re f\nendstream\nendobj\n"
    prev = base.rindex(b"xref\n0 ")
    table = at + len(body)
    return (
        base + body + b"xref\n4 1\n%010d 00000 n \ntrailer\n<< /Size 5 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF" % (at, prev, table)
    )


def encrypted(user: str = "", owner: str = "owner") -> bytes:
    """AES-256; readers open it without asking where the user password is empty."""
    buffer = io.BytesIO()
    with pikepdf.open(io.BytesIO(pages(2))) as document:
        document.save(buffer, encryption=pikepdf.Encryption(user=user, owner=owner), object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return buffer.getvalue()


STRUCTURES: dict[str, Callable[[], bytes]] = {
    "classic": lambda: pages(2),
    "minimal": simple,
    "xref-stream": xref_stream,
    "object-streams": object_streams,
    "linearized": linearized,
    "linearized-object-streams": linearized_object_streams,
    "hybrid": hybrid,
    "form": form,
    "updated": updated,
    "old-version": lambda: simple().replace(b"%PDF-1.7", b"%PDF-1.2"),
    "annotations-inline": lambda: simple(page=b"/Annots [<< /Type /Annot /Subtype /Square /Rect [10 10 20 20] >>]"),
    "annotations-elsewhere": lambda: simple(page=b"/Annots 10 0 R", more={10: b"[]"}),
    "annotations-null": lambda: simple(page=b"/Annots 10 0 R", more={10: b"null"}),
    "annotations-no-array": lambda: simple(page=b"/Annots << >>"),
    "form-inline": lambda: simple(catalog=b"/AcroForm << /Fields [] >>"),
    "form-inline-without-fields": lambda: simple(catalog=b"/AcroForm << >>"),
    "form-null": lambda: simple(catalog=b"/AcroForm null"),
    "form-missing-object": lambda: simple(catalog=b"/AcroForm 77 0 R"),
    "fields-elsewhere": lambda: simple(catalog=b"/AcroForm 10 0 R", more={10: b"<< /Fields 11 0 R /SigFlags 1 >>", 11: b"[]"}),
    "gbk-names": lambda: simple(page=b"/Resources << /Font << /\xcb\xce\xcc\xe5 10 0 R >> >>", more={10: b"<< /Type /Font >>"}),
    "wrong-size": lambda: simple(more={n: b"(object %d)" % n for n in range(10, 20)}).replace(b"/Size 20", b"/Size 5"),
    "no-identifier-no-info": simple,
    "page-within-its-parent": lambda: assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Count 1 /Kids [<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>] >>",
        }
    ),
}
