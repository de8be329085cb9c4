"""Draws a document whose fonts are not in it, for the comparison of a child with whoever is not walled in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pypdfium2

from tests.signer.pdf import documents

_FONTS = (
    (b"<</Type/Font/Subtype/TrueType/BaseFont/DejaVuSans/Encoding/WinAnsiEncoding>>", b"(Seal)"),
    (b"<</Type/Font/Subtype/Type1/BaseFont/Unheard-Of>>", b"(Seal)"),
    (
        b"<</Type/Font/Subtype/Type0/BaseFont/NotoSerifCJKsc/Encoding/UniGB-UCS2-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType0"
        b"/BaseFont/NotoSerifCJKsc/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 5>>/FontDescriptor"
        b"<</Type/FontDescriptor/FontName/NotoSerifCJKsc/Flags 6/FontBBox[0 0 1000 1000]/ItalicAngle 0/Ascent 880/Descent -120/StemV 80>>>>]>>",
        b"<53704EAC671B5370>",
    ),
)


def document() -> bytes:
    """A page of three lines, each in a font of the system's."""
    lines = b" ".join(b"BT /F%d 60 Tf 40 %d Td %b Tj ET" % (index, 600 - 150 * index, text) for index, (_, text) in enumerate(_FONTS))
    fonts = b" ".join(b"/F%d %b" % (index, font) for index, (font, _) in enumerate(_FONTS))
    return documents.assemble(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<<%b>>>>>>" % fonts,
            4: b"<</Length %d>>\nstream\n%b\nendstream" % (len(lines), lines),
        }
    )


def work(parts: list[bytes]) -> Sequence[bytes]:
    """What the first page looks like, as a digest; and how much of it is not blank."""
    with pypdfium2.PdfDocument(parts[0]) as opened:
        pixels = bytes(opened[0].render(scale=1).buffer)
    return [hashlib.sha256(pixels).hexdigest().encode(), b"%d" % (len(pixels) - pixels.count(b"\xff"))]
