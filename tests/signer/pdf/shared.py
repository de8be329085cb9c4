"""Documents whose pages share something."""

from __future__ import annotations

import io

import pikepdf

from tests.signer.pdf import documents

_CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


_NOTE = b"<< /Type /Annot /Subtype /Square /Rect [60 600 200 700] /C [0 0 1] /F 4 >>"


def _page(extra: bytes = b"", *, parent: int = 2) -> bytes:
    return b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 9 0 R >> >> /Contents 8 0 R %b >>" % (
        parent,
        extra,
    )


_TEXT = b"BT /F1 14 Tf 60 760 Td (General terms) Tj ET"


_COMMON = {8: b"<< /Length %d >>\nstream\n%b\nendstream" % (len(_TEXT), _TEXT), 9: _FONT}


def _document(pages: list[bytes], more: dict[int, bytes] | None = None, *, catalog: bytes = _CATALOG, kids: bytes = b"") -> bytes:
    """Pages from object 3 on, in one flat tree unless ``kids`` says otherwise."""
    kids = kids or b" ".join(b"%d 0 R" % (3 + index) for index in range(len(pages)))
    tree = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, kids.count(b"R"))
    return documents.assemble({1: catalog, 2: tree, **{3 + i: page for i, page in enumerate(pages)}, **_COMMON, **(more or {})})


def _packed(document: bytes) -> bytes:
    """The same with its objects in object streams."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(document)) as opened:
        opened.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
    return out.getvalue()


_THREE = [_page(b"/Annots 13 0 R")] * 3


SHARED: dict[str, bytes] = {
    "an empty array": _document(_THREE, {13: b"[]"}),
    "an array with a note": _document(_THREE, {13: b"[14 0 R]", 14: _NOTE}),
    "an array in an object stream": _packed(_document(_THREE, {13: b"[14 0 R]", 14: _NOTE})),
    "another page's own array": _document([_page(b"/Annots 13 0 R"), _page(), _page(b"/Annots 13 0 R")], {13: b"[]"}),
    "null": _document(_THREE, {13: b"null"}),
    "an array of their own with the same note": _document([_page(b"/Annots [13 0 R]")] * 3, {13: _NOTE}),
    "the form's fields": _document(
        [_page(), _page(b"/Annots 13 0 R")], {13: b"[]"}, catalog=b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields 13 0 R >> >>"
    ),
    "the fields of a form in an object of its own": _document(
        [_page(), _page(b"/Annots 13 0 R")],
        {13: b"[]", 14: b"<< /Fields 13 0 R >>"},
        catalog=b"<< /Type /Catalog /Pages 2 0 R /AcroForm 14 0 R >>",
    ),
    "the catalog's permissions": _document(
        [_page(), _page(b"/Annots 13 0 R")], {13: b"[]"}, catalog=b"<< /Type /Catalog /Pages 2 0 R /Perms 14 0 R >>"
    ),
}
