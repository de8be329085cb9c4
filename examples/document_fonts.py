"""Noto CJK as TrueType subsets, because reportlab embeds TrueType outlines only and Debian's Noto CJK has CFF ones."""

from __future__ import annotations

import io
from pathlib import Path

from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTCollection, TTFont, newTable
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont as ReportlabFont

FOLDER = Path("/usr/share/fonts/opentype/noto")
FACES = {
    "Serif": ("NotoSerifCJK-Regular.ttc", "Noto Serif CJK SC"),
    "SerifBold": ("NotoSerifCJK-Bold.ttc", "Noto Serif CJK SC"),
    "Sans": ("NotoSansCJK-Regular.ttc", "Noto Sans CJK SC"),
    "SansBold": ("NotoSansCJK-Bold.ttc", "Noto Sans CJK SC"),
}
CURVE_ERROR_UNITS = 1.0  # a thousandth of the em: invisible, and half the points of a finer fit
LATIN = "".join(chr(code) for code in range(0x20, 0x7F)) + "–—·•“”‘’×±²§©№→…‧€¥£"


def register(characters: str) -> None:
    """Registers the four faces with reportlab, each holding only ``characters`` and Latin."""
    wanted = sorted(set(characters) | set(LATIN))
    for name, (file, family) in FACES.items():
        pdfmetrics.registerFont(ReportlabFont(name, io.BytesIO(_truetype(FOLDER / file, family, wanted))))


def _truetype(path: Path, family: str, characters: list[str]) -> bytes:
    font = next(face for face in TTCollection(path, lazy=True) if face["name"].getDebugName(1) == family)
    options = Options(layout_features=[], hinting=False, notdef_outline=True, name_IDs=[1, 2, 4, 6], drop_tables=["vhea", "vmtx", "VORG"])
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(characters))
    subsetter.subset(font)
    _replace_outlines(font)
    target = io.BytesIO()
    font.recalcTimestamp = False
    font.save(target)
    return target.getvalue()


def _replace_outlines(font: TTFont) -> None:
    """CFF curves to quadratic ones, in place."""
    order, glyphs = font.getGlyphOrder(), font.getGlyphSet()
    table = newTable("glyf")
    table.glyphOrder = order
    table.glyphs = {}
    for name in order:
        pen = TTGlyphPen(glyphs)
        glyphs[name].draw(Cu2QuPen(pen, CURVE_ERROR_UNITS, reverse_direction=True))
        table.glyphs[name] = pen.glyph()
    font["loca"], font["glyf"] = newTable("loca"), table
    del font["CFF "]
    maximum = font["maxp"]
    maximum.tableVersion = 0x00010000
    for field in ("maxZones", "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs", "maxStackElements"):
        setattr(maximum, field, 0)
    maximum.maxZones = 1
    maximum.maxSizeOfInstructions = maximum.maxComponentElements = maximum.maxComponentDepth = 0
    font["post"].formatType = 3.0
    font.sfntVersion = "\x00\x01\x00\x00"
