"""Draws a round company seal as vector paths in a one-page PDF (docs/appearance.md, "Seals"): ring, star, the owner's name on the arc.

Lengths are millimetres from the centre of the seal, angles are degrees; the arc of the name is measured clockwise from the top.
"""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTCollection, TTFont

from sealcore.errors import Code, VermilionError

DIAMETER: Final = 42.0
RING: Final = 1.2
STAR_RADIUS: Final = DIAMETER / 6  # the star is one third of the diameter across
VERMILION: Final = (0xC8 / 255, 0x32 / 255, 0x1F / 255)
LONGEST_NAME: Final = 60  # characters; beyond, letters are thinner than a printer's dot
_POINTS: Final = 72 / 25.4

_TEXT_RADIUS: Final = 19.05  # where the tops of the name's characters are: 0.75 inside of the ring
_NAME_SPAN: Final = 236.0  # the widest arc of the name, from the middle of the first character to that of the last
_WIDEST_STEP: Final = 37.0  # between neighbours of a short name
_TALLEST, _LOWEST = 6.6, 4.4  # height of the name's characters
_WIDEST_RATIO: Final = 0.80  # width to height: characters on seals stand tall
_GAP: Final = 0.10  # of a character's width stays free beside it
_LATIN_HEIGHT: Final = 5.4  # em of Latin letters on the arc
_CAPTION_EM, _CAPTION_WIDTH, _CAPTION_MIDDLE = 4.1, 18.4, -11.5
_NUMBER_EM, _NUMBER_STEP, _NUMBER_BASELINE = 2.0, 5.4, 18.85
_EM_TOP: Final = 0.88  # of the em above the baseline, as CJK fonts have it
_ASCENDERS: Final = 0.82  # the same of Latin letters

Matrix = tuple[float, float, float, float, float, float]


def round_seal(name: str, caption: str = "", number: str = "", *, font_file: Path) -> bytes:
    """A one-page PDF of 42 mm × 42 mm, the same bytes for the same arguments.

    name       of the owner, Chinese or Latin, on the upper arc
    caption    what the seal is for, on a line below the star
    number     of the seal, on the lower arc
    font_file  of a font with all these characters (a collection's Simplified Chinese face is taken)

    INVALID_ARGUMENT when the name is empty or too long, or the font lacks a character.
    """
    name, caption, number = (" ".join(unicodedata.normalize("NFC", text).split()) for text in (name, caption, number))
    if not 0 < len(name) <= LONGEST_NAME or len(caption) > LONGEST_NAME or len(number) > LONGEST_NAME // 2:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the name on a seal has 1 to {LONGEST_NAME} characters")
    face = _face(font_file)
    drawing = [_ring(), _star()]
    drawing += _upper_arc(face, name)
    drawing += _line(face, caption)
    drawing += _lower_arc(face, number)
    return _one_page(" ".join(drawing))


class _Face:
    """The outlines of one font, as PDF path operators."""

    def __init__(self, file: Path) -> None:
        self._font = _simplified_chinese(file)
        self._characters: dict[int, str] = self._font.getBestCmap()
        self._glyphs: Any = self._font.getGlyphSet()
        self._em: int = self._font["head"].unitsPerEm

    def advance(self, character: str) -> float:
        """Width in em."""
        return float(self._glyphs[self._glyph(character)].width) / self._em

    def path(self, character: str, matrix: Matrix) -> str:
        """The filled outline; the matrix takes em to millimetres."""
        pen = _PathPen(self._glyphs, tuple(value / self._em for value in matrix[:4]) + matrix[4:])
        self._glyphs[self._glyph(character)].draw(pen)
        return " ".join([*pen.operators, "f"]) if pen.operators else ""

    def _glyph(self, character: str) -> str:
        glyph = self._characters.get(ord(character))
        if glyph is None:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the font has no character {character!r}")
        return glyph


@lru_cache(maxsize=1)
def _face(file: Path) -> _Face:
    """A CJK font takes most of a second to read, and an office has several seals."""
    return _Face(file)


def _simplified_chinese(file: Path) -> TTFont:
    try:
        if file.suffix.lower() not in {".ttc", ".otc"}:
            return TTFont(file, lazy=True)
        faces = TTCollection(file, lazy=True).fonts
    except Exception as fault:  # fontTools raises anything over a file that is no font
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{file.name} is no font that can be used for seals") from fault
    return next((face for face in faces if " SC" in str(face["name"].getDebugName(1))), faces[0])


class _PathPen(BasePen):  # type: ignore[misc]
    """fontTools pen that writes PDF operators under a matrix."""

    def __init__(self, glyphs: Any, matrix: tuple[float, ...]) -> None:
        super().__init__(glyphs)
        self.operators: list[str] = []
        self._matrix = matrix

    def _at(self, point: tuple[float, float]) -> str:
        a, b, c, d, e, f = self._matrix
        x, y = point
        return f"{_text(a * x + c * y + e)} {_text(b * x + d * y + f)}"

    def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802  (fontTools calls it so)
        self.operators.append(f"{self._at(pt)} m")

    def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802  (fontTools calls it so)
        self.operators.append(f"{self._at(pt)} l")

    def _curveToOne(self, pt1: tuple[float, float], pt2: tuple[float, float], pt3: tuple[float, float]) -> None:  # noqa: N802  (fontTools calls it so)
        self.operators.append(f"{self._at(pt1)} {self._at(pt2)} {self._at(pt3)} c")

    def _closePath(self) -> None:  # noqa: N802  (fontTools calls it so)
        self.operators.append("h")


def _upper_arc(face: _Face, name: str) -> list[str]:
    if all(_is_wide(character) for character in name if character != " "):
        return _chinese_arc(face, name.replace(" ", ""))
    return _proportional_arc(face, name)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _chinese_arc(face: _Face, name: str) -> list[str]:
    """Equal steps; characters lose height, then width, as the name grows."""
    count = len(name)
    step = min(_WIDEST_STEP, _NAME_SPAN / max(1, count - 1))
    height = max(_LOWEST, min(_TALLEST, _TALLEST - (count - 12) * 0.2))
    # Neighbours come closest at their feet, on the inner side of the arc.
    room = 2 * (_TEXT_RADIUS - height) * math.tan(math.radians(step) / 2)
    width = min(height * _WIDEST_RATIO, room / (1 + _GAP) * 1.12)  # strokes keep clear of the edges of the em, so it may overlap a little
    paths = []
    for position, character in enumerate(name):
        angle = (position - (count - 1) / 2) * step
        foot = _TEXT_RADIUS - height
        box = (width, 0.0, 0.0, height, -width / 2, foot + (1 - _EM_TOP) * height)
        paths.append(face.path(character, _turned(box, -angle)))
    return paths


def _proportional_arc(face: _Face, name: str) -> list[str]:
    """Latin and mixed names: advances as the font has them, opened up where there is room, squeezed where there is none."""
    tallest = _EM_TOP if any(_is_wide(character) for character in name) else _ASCENDERS
    em, baseline = _LATIN_HEIGHT, _TEXT_RADIUS - tallest * _LATIN_HEIGHT
    advances = [face.advance(character) * em for character in name]
    arc = math.radians(_NAME_SPAN) * (baseline + 0.5)
    spacing = min(0.22 * em, max(0.06 * em, (arc * 0.8 - sum(advances)) / len(name)))
    squeeze = min(1.0, arc / (sum(advances) + spacing * (len(name) - 1)))
    lengths = [(advance + spacing) * squeeze for advance in advances]
    paths, position = [], -(sum(lengths) - spacing * squeeze) / 2
    for character, advance, length in zip(name, advances, lengths, strict=True):
        angle = math.degrees((position + advance * squeeze / 2) / baseline)
        box = (em * squeeze, 0.0, 0.0, em, -advance * squeeze / 2, baseline)
        paths.append(face.path(character, _turned(box, -angle)))
        position += length
    return paths


def _line(face: _Face, caption: str) -> list[str]:
    """Centred below the star, squeezed to the width that the name's arc leaves."""
    advances = [face.advance(character) * _CAPTION_EM for character in caption]
    spacing = 0.06 * _CAPTION_EM
    natural = sum(advances) + spacing * (len(caption) - 1)
    squeeze = min(0.95, _CAPTION_WIDTH / natural) if caption else 1.0
    paths, x = [], -natural * squeeze / 2
    for character, advance in zip(caption, advances, strict=True):
        baseline = _CAPTION_MIDDLE - _CAPTION_EM * (_EM_TOP - 0.5)
        paths.append(face.path(character, (_CAPTION_EM * squeeze, 0, 0, _CAPTION_EM, x, baseline)))
        x += (advance + spacing) * squeeze
    return paths


def _lower_arc(face: _Face, number: str) -> list[str]:
    """Along the bottom, tops inwards, reading from left to right."""
    paths = []
    for position, character in enumerate(number):
        angle = (position - (len(number) - 1) / 2) * _NUMBER_STEP
        box = (_NUMBER_EM, 0.0, 0.0, _NUMBER_EM, -face.advance(character) * _NUMBER_EM / 2, -_NUMBER_BASELINE)
        paths.append(face.path(character, _turned(box, angle)))
    return paths


def _turned(matrix: Matrix, degrees: float) -> Matrix:
    """The matrix, then a turn around the centre of the seal (positive: anticlockwise)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    a, b, c, d, e, f = matrix
    return (
        *(a * cosine - b * sine, a * sine + b * cosine),
        *(c * cosine - d * sine, c * sine + d * cosine),
        *(e * cosine - f * sine, e * sine + f * cosine),
    )


def _ring() -> str:
    """A stroked circle of four Bézier curves."""
    radius = (DIAMETER - RING) / 2
    handle = radius * 4 / 3 * (math.sqrt(2) - 1)
    quarter = ((radius, 0.0), (radius, handle), (handle, radius), (0.0, radius))
    curves = []
    for turn in range(4):
        _start, *rest = (_rotated(point, 90 * turn) for point in quarter)
        curves.append(" ".join(f"{_text(x)} {_text(y)}" for x, y in rest) + " c")
    return f"{_text(RING)} w {_text(radius)} 0 m {' '.join(curves)} h S"


def _star() -> str:
    """Five points, one up (the inner corners lie on the lines between the outer ones)."""
    inner = STAR_RADIUS * math.sin(math.radians(18)) / math.sin(math.radians(54))
    corners = (_rotated((0.0, inner if i % 2 else STAR_RADIUS), 36 * i) for i in range(10))
    first, *rest = (f"{_text(x)} {_text(y)}" for x, y in corners)
    return " ".join([f"{first} m", *(f"{point} l" for point in rest), "h f"])


def _rotated(point: tuple[float, float], degrees: float) -> tuple[float, float]:
    _a, _b, _c, _d, x, y = _turned((1, 0, 0, 1, *point), degrees)
    return x, y


def _text(value: float) -> str:
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


def _one_page(drawing: str) -> bytes:
    colour = " ".join(_text(part) for part in VERMILION)
    middle = _text(DIAMETER / 2 * _POINTS)
    content = f"{colour} rg {colour} RG {_text(_POINTS)} 0 0 {_text(_POINTS)} {middle} {middle} cm {drawing}"
    return b"".join(_objects(zlib.compress(content.encode("ascii"), 9)))


def _objects(content: bytes) -> Iterator[bytes]:
    side = _text(DIAMETER * _POINTS)
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {side} {side}] /Resources << >> /Contents 4 0 R >>".encode("ascii"),
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(content), content),
    )
    written = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    yield written
    offset, offsets = len(written), []
    for number, body in enumerate(bodies, 1):
        whole = b"%d 0 obj\n%b\nendobj\n" % (number, body)
        offsets.append(offset)
        offset += len(whole)
        yield whole
    rows = b"".join(b"%010d 00000 n \n" % each for each in offsets)
    yield b"xref\n0 5\n0000000000 65535 f \n%btrailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (rows, offset)
