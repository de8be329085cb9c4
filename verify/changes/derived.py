"""Whether an appearance shows nothing but a field's value: proven by a small grammar, or not at all (ISO 32000-2 §12.7.4.3).

Allowed are what form fillers write: background and border as large as the field, and in front of them the value's text, in reading
order, in a font of the sealed revision. Anything that could draw other characters, move or hide some of them is not: text begins and
goes on inside of field and clip, in a size that can be read there, in a colour that differs from what is behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeGuard

from verify.changes.values import IrregularError, Stream, Value, decoded, is_number, parse

_OPERATOR = re.compile(rb"[\0\t\n\f\r ]*([A-Za-z*'\"]{1,3})(?=[\0\t\n\f\r /\[(<]|$)")
_BLANK = re.compile(rb"[\0\t\n\f\r ]*$")
_MOST_BYTES: Final = 64 * 1024
_MOST_OPERANDS: Final = 8
_COLOURS: Final = {"g": 1, "G": 1, "rg": 3, "RG": 3, "k": 4, "K": 4}
_PAINT: Final = frozenset({"f", "F", "f*", "S", "s", "B", "B*", "b", "b*"})
_INSET: Final = 8.0  # units between the field's edge and its border or clip
_LOOSEST: Final = 200  # thousandths of an em that a character may be moved back
_SMALLEST: Final = 2.0  # units of a font
_DIGIT: Final = 0.5  # of a font's size: the width of a digit
_NARROW: Final = 0.3  # and of other characters on average
_CONTRAST: Final = 0.3  # least sum of differences in red, green and blue, each of 0 to 1
_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_USUAL_SIZE = re.compile(rb"([\d.]+)[\0\t\n\f\r ]+Tf")
_USUAL_COLOUR = re.compile(rb"((?:[\d.]+[\0\t\n\f\r ]+){1,4})(g|rg|k)(?![A-Za-z])")
_STREAM = {"/Type", "/Subtype", "/FormType", "/BBox", "/Matrix", "/Resources", "/Length", "/Filter"}
Colour = tuple[float, float, float]


class NotDerivedError(Exception):
    """The appearance could show something else than the value."""


@dataclass(frozen=True)
class Usual:
    """Size and colour of the text that the sealed form declares (/DA), where it does."""

    size: float | None = None
    colour: Colour | None = None

    @classmethod
    def of(cls, appearance: Value) -> Usual:
        """From a default appearance string; what cannot be read is not declared."""
        text = appearance if isinstance(appearance, bytes) else b""
        sizes, colours = _USUAL_SIZE.findall(text), _USUAL_COLOUR.findall(text)
        try:
            size = float(sizes[-1]) if sizes else None
            colour = _rgb([float(each) for each in colours[-1][0].split()]) if colours else _BLACK
        except ValueError:
            return cls()
        return cls(size or None, colour)


def require_derived(stream: Value, value: Value, size: tuple[float, float], is_known_font: Callable[[Value], bool], usual: Usual) -> None:
    """Raises NotDerivedError.

    size           of the field's rectangle
    usual          how the sealed form wants its text
    is_known_font  whether this is one of the fonts that the sealed form or the field's sealed appearance names
    """
    if not isinstance(stream, Stream) or stream.entries.keys() - _STREAM or stream.entries.get("/Subtype") != "/Form":
        raise NotDerivedError
    _require_box(stream.entries, size)
    resources = stream.entries.get("/Resources", {})
    if not isinstance(resources, dict) or resources.keys() - {"/Font", "/ProcSet"}:
        raise NotDerivedError
    fonts = resources.get("/Font", {})
    if not isinstance(fonts, dict) or not all(map(is_known_font, fonts.values())):
        raise NotDerivedError
    try:
        shown = _Content(size, set(fonts), usual).read(decoded(stream, _MOST_BYTES))
    except IrregularError:
        raise NotDerivedError from None
    if _letters(shown.decode("cp1252", "replace")) != _letters(_text(value)):
        raise NotDerivedError


def _require_box(entries: dict[str, Value], size: tuple[float, float]) -> None:
    box, matrix = entries.get("/BBox"), entries.get("/Matrix", [1, 0, 0, 1, 0, 0])
    if not _numbers(box, 4) or not _numbers(matrix, 6):
        raise NotDerivedError
    if any(abs(float(one) - wanted) > 0.5 for one, wanted in zip(box, (0, 0, *size), strict=True)) or [float(each) for each in matrix] != [
        1,
        0,
        0,
        1,
        0,
        0,
    ]:
        raise NotDerivedError


def _numbers(value: Value, count: int) -> TypeGuard[list[int | Decimal]]:
    return isinstance(value, list) and len(value) == count and all(map(is_number, value))


def _text(value: Value) -> str:
    if value is None:
        return ""
    if not isinstance(value, bytes):
        raise NotDerivedError
    if value.startswith(b"\xfe\xff"):
        return value[2:].decode("utf-16-be", "replace")
    return value.decode("utf-8-sig", "replace") if value.startswith(b"\xef\xbb\xbf") else value.decode("latin-1")


def _letters(text: str) -> str:
    return "".join(text.split())


def _rgb(parts: Sequence[float]) -> Colour:
    """A colour of one (grey), three (RGB) or four (CMYK) parts."""
    if len(parts) == 4:
        cyan, magenta, yellow, black = parts
        parts = [max(0.0, 1 - each - black) for each in (cyan, magenta, yellow)]
    red, green, blue = parts if len(parts) == 3 else [parts[0]] * 3 if len(parts) == 1 else [-1.0] * 3
    if not all(0 <= each <= 1 for each in (red, green, blue)):
        raise ValueError("no colour")
    return red, green, blue


class _Content:
    """Reads a content stream; what it does not know ends it."""

    def __init__(self, size: tuple[float, float], fonts: set[str], usual: Usual) -> None:
        self._width, self._height = size
        self._fonts, self._usual = fonts, usual
        self._clip = (0.0, 0.0, *size)
        self._box = self._clip
        self._colour: Colour = _BLACK
        self._colours: list[Colour] = []
        self._ground: Colour | None = None
        self._size, self._spacing, self._stretch, self._rise = 0.0, 0.0, 1.0, 0.0
        self._in_text = self._has_text = False
        self._rectangles = 0
        self._leading = 0.0
        self._line = (0.0, 0.0)
        self._last: tuple[float, float] | None = None
        self._shown: list[bytes] = []

    def read(self, data: bytes) -> bytes:
        """The text that it shows."""
        at, operands = 0, list[Value]()
        while not _BLANK.match(data, at):
            operator = _OPERATOR.match(data, at)
            if operator is not None and operator[1] not in {b"true", b"false", b"null"}:
                self._run(operator[1].decode("ascii"), operands)
                at, operands = operator.end(), []
                continue
            operand, at = parse(data, at)
            operands.append(operand)
            if len(operands) > _MOST_OPERANDS:
                raise NotDerivedError
        if operands or self._in_text:
            raise NotDerivedError
        return b"".join(self._shown)

    def _run(self, operator: str, operands: list[Value]) -> None:
        if operator in _COLOURS:
            self._require(_numbers(operands, _COLOURS[operator]))
            self._colour = self._colour_of(operands) if operator.islower() else self._colour
        elif operator in {"q", "Q", "EMC"}:
            self._require(not operands and (operator == "EMC" or not self._in_text))
            self._nest(operator)
        elif operator == "BMC":
            self._require(operands == ["/Tx"])
        elif operator in {"BT", "ET"}:
            self._require(not operands and self._in_text == (operator == "ET"))
            self._in_text = operator == "BT"
            self._has_text, self._line = True, (0.0, 0.0)
        elif self._in_text:
            self._write(operator, operands)
        else:
            self._draw(operator, operands)

    def _colour_of(self, operands: list[Value]) -> Colour:
        try:
            return _rgb([float(each) for each in operands])
        except ValueError:
            raise NotDerivedError from None

    def _nest(self, operator: str) -> None:
        if operator == "q":
            self._colours.append(self._colour)
        elif operator == "Q":
            self._require(bool(self._colours))
            self._colour = self._colours.pop()

    def _draw(self, operator: str, operands: list[Value]) -> None:
        """Background, border, clip: rectangles as large as the field, before any text."""
        if operator == "w":
            self._require(_numbers(operands, 1) and 0 <= float(operands[0]) <= _INSET)
        elif operator == "d":
            self._require(len(operands) == 2 and isinstance(operands[0], list) and all(map(is_number, operands[0])))
        elif operator == "re":
            self._require(_numbers(operands, 4) and self._rectangles < 2)  # a border may be the space between two
            left, bottom, width, height = map(float, operands)
            inset = min(_INSET, self._width / 4), min(_INSET, self._height / 4)
            self._require(0 <= left <= inset[0] and 0 <= bottom <= inset[1])
            self._require(left + width >= self._width - inset[0] and bottom + height >= self._height - inset[1])
            self._rectangles += 1
            self._box = (left, bottom, left + width, bottom + height)
        elif operator in _PAINT:
            self._require(not operands and self._rectangles > 0 and not self._has_text)
            if operator not in {"S", "s"} and not (self._rectangles > 1 and operator.endswith("*")):  # which is a border alone
                self._ground = self._colour
            self._rectangles = 0
        elif operator in {"W", "W*"}:
            self._require(not operands and self._rectangles == 1)
            self._clip = (*map(max, self._clip[:2], self._box[:2]), *map(min, self._clip[2:], self._box[2:]))  # type: ignore[assignment]
        elif operator == "n":
            self._require(not operands)
            self._rectangles = 0
        else:
            raise NotDerivedError

    def _write(self, operator: str, operands: list[Value]) -> None:
        if operator == "Tf":
            self._require(len(operands) == 2 and operands[0] in self._fonts and is_number(operands[1]))
            self._size = float(operands[1])
            self._require(self._is_usual() or _SMALLEST <= self._size <= max(2 * _SMALLEST, self._height * 1.2))
        elif operator in {"Tc", "Tw", "Ts", "TL", "Tz"}:
            self._require(_numbers(operands, 1))
            least, most = {"Tc": (-1, 1000), "Tw": (-1, 1000), "Ts": (-5, 5), "TL": (0, 1000), "Tz": (50, 200)}[operator]
            self._require(least <= float(operands[0]) <= most)
            self._set(operator, float(operands[0]))
        elif operator in {"Td", "TD"}:
            self._require(_numbers(operands, 2))
            self._leading = -float(operands[1]) if operator == "TD" else self._leading
            self._line = (self._line[0] + float(operands[0]), self._line[1] + float(operands[1]))
        elif operator == "Tm":
            self._require(_numbers(operands, 6) and operands[1] == operands[2] == 0)
            self._require(float(operands[0]) == float(operands[3]) == 1)
            self._line = (float(operands[4]), float(operands[5]))
        elif operator == "T*":
            self._require(not operands)
            self._line = (self._line[0], self._line[1] - self._leading)
        elif operator == "Tj":
            self._require(len(operands) == 1)
            self._show(operands)
        elif operator == "TJ":
            self._require(len(operands) == 1 and isinstance(operands[0], list))
            self._show(operands[0])
        else:
            raise NotDerivedError

    def _set(self, operator: str, value: float) -> None:
        if operator == "TL":
            self._leading = value
        elif operator == "Tc":
            self._spacing = value
        elif operator == "Tz":
            self._stretch = value / 100
        elif operator == "Ts":
            self._rise = value

    def _is_usual(self) -> bool:
        return self._size == self._usual.size

    def _show(self, parts: list[Value]) -> None:
        """Text within the field, to the right of or below what came before."""
        x, y = self._line
        left, bottom, right, top = self._clip
        base = y + self._rise
        self._require(left - 1 <= x <= right and bottom - 0.3 * self._size <= base and base + 0.4 * self._size <= max(top, self._size))
        self._require(self._last is None or y < self._last[1] - 1 or (abs(y - self._last[1]) <= 1 and x >= self._last[0]))
        self._require_seen()
        self._last = self._line
        for part in parts:
            if is_number(part):
                self._require(float(part) <= _LOOSEST)
                x -= min(0.0, float(part)) / 1000 * self._size * self._stretch
            else:
                self._require(isinstance(part, bytes))
                end = x + self._width_of(part)
                self._require(end - self._spacing * self._stretch <= right + 1)
                x = end
                self._shown.append(part)

    def _width_of(self, part: bytes) -> float:
        """At least. In the size that the sealed form asks for, a long value may run out of its field."""
        digits = sum(0x30 <= each <= 0x39 for each in part)
        glyphs = 0.0 if self._is_usual() and self._stretch <= 1 else (_DIGIT * digits + _NARROW * (len(part) - digits)) * self._size
        return (glyphs + len(part) * max(0.0, self._spacing)) * self._stretch

    def _require_seen(self) -> None:
        """The text's colour is that which was sealed, on unpainted ground, or differs from what is behind it."""
        if self._ground is None and self._colour == self._usual.colour:
            return
        ground = _WHITE if self._ground is None else self._ground
        self._require(sum(abs(one - other) for one, other in zip(self._colour, ground, strict=True)) >= _CONTRAST)

    @staticmethod
    def _require(holds: bool) -> None:
        if not holds:
            raise NotDerivedError
