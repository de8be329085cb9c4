"""Whether an appearance shows nothing but a field's value: proven by a small grammar, or not at all (ISO 32000-2 §12.7.4.3).

Allowed are what form fillers write: background and border as large as the field, and in front of them the value's text, in reading
order, in a font of the sealed revision. Anything that could draw other characters, move or hide some of them is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
_STREAM = {"/Type", "/Subtype", "/FormType", "/BBox", "/Matrix", "/Resources", "/Length", "/Filter"}


class NotDerivedError(Exception):
    """The appearance could show something else than the value."""


def require_derived(stream: Value, value: Value, size: tuple[float, float], is_known_font: Callable[[Value], bool]) -> None:
    """Raises NotDerivedError.

    size           of the field's rectangle
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
        shown = _Content(size, set(fonts)).read(decoded(stream, _MOST_BYTES))
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


class _Content:
    """Reads a content stream; what it does not know ends it."""

    def __init__(self, size: tuple[float, float], fonts: set[str]) -> None:
        self._width, self._height = size
        self._fonts = fonts
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
        elif operator in {"q", "Q", "EMC"}:
            self._require(not operands and (operator == "EMC" or not self._in_text))
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
        elif operator in _PAINT:
            self._require(not operands and self._rectangles > 0 and not self._has_text)
            self._rectangles = 0
        elif operator in {"W", "W*"}:
            self._require(not operands and bool(self._rectangles))
        elif operator == "n":
            self._require(not operands)
            self._rectangles = 0
        else:
            raise NotDerivedError

    def _write(self, operator: str, operands: list[Value]) -> None:
        if operator == "Tf":
            self._require(len(operands) == 2 and operands[0] in self._fonts and is_number(operands[1]) and 0 < float(operands[1]) <= 200)
        elif operator in {"Tc", "Tw", "Ts", "TL", "Tz"}:
            self._require(_numbers(operands, 1))
            least, most = {"Tc": (-1, 1000), "Tw": (-1, 1000), "Ts": (-5, 5), "TL": (0, 1000), "Tz": (50, 200)}[operator]
            self._require(least <= float(operands[0]) <= most)
            self._leading = float(operands[0]) if operator == "TL" else self._leading
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

    def _show(self, parts: list[Value]) -> None:
        """Text within the field, to the right of or below what came before."""
        x, y = self._line
        self._require(-1 <= x <= self._width and -self._height / 4 <= y <= self._height)
        self._require(self._last is None or y < self._last[1] - 1 or (abs(y - self._last[1]) <= 1 and x >= self._last[0]))
        self._last = self._line
        for part in parts:
            if is_number(part):
                self._require(float(part) <= _LOOSEST)
            else:
                self._require(isinstance(part, bytes))
                self._shown.append(part)

    @staticmethod
    def _require(holds: bool) -> None:
        if not holds:
            raise NotDerivedError
