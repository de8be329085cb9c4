"""Whether an appearance shows nothing but a field's value: proven by a small grammar, or not at all (ISO 32000-2 §12.7.4.3).

Allowed are what form fillers write: background and border along the field's edges, and in front of them the value's text, in reading
order, in a font that is known. Anything that could draw other characters, move or hide some of them is not: text begins and goes on
inside of field and clip, in a size that can be read there, in a colour that differs from what is behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from verify.steps.changes.fonts import Font
from verify.steps.changes.painting import Colour, NotDerivedError, Painting, colour_of, numbers, require
from verify.steps.changes.values import IrregularError, Stream, Value, decoded, is_number, parse

_OPERATOR = re.compile(rb"[\0\t\n\f\r ]*([A-Za-z*'\"]{1,3})(?=[\0\t\n\f\r /\[(<]|$)")
_BLANK = re.compile(rb"[\0\t\n\f\r ]*$")
_MOST_BYTES: Final = 64 * 1024
_MOST_OPERANDS: Final = 8
_LOOSEST: Final = 200  # thousandths of an em that a character may be moved back
_TIGHTEST: Final = -0.1  # ems between characters
_NEXT_LINE: Final = 0.5  # ems at least from a line to the next
_CAPITAL, _SLIM = 0.6, 0.2  # ems: the least widths of capitals and of other letters, by which a piece of text ends
_SMALLEST: Final = 2.0  # units of a font
_DIGIT: Final = 0.5  # of a font's size: the width of a digit
_NARROW: Final = 0.3  # and of other characters on average
_USUAL_SIZE = re.compile(rb"([\d.]+)[\0\t\n\f\r ]+Tf")
_USUAL_COLOUR = re.compile(rb"((?:[\d.]+[\0\t\n\f\r ]+){1,4})(g|rg|k)(?![A-Za-z])")
_STREAM = {"/Type", "/Subtype", "/FormType", "/BBox", "/Matrix", "/Resources", "/Length", "/Filter"}
_QUOTES = str.maketrans("\u2018\u2019`", "'''")  # which encodings take for each other


class UnprovenError(Exception):
    """The appearance is only text inside of the field, but which text cannot be told."""


@dataclass(frozen=True)
class Usual:
    """Font, size and colour of the text that the sealed form declares (/DA), where it does."""

    size: float | None = None
    colour: Colour | None = None

    @classmethod
    def of(cls, appearance: Value) -> Usual:
        """From a default appearance string; what cannot be read is not declared."""
        text = appearance if isinstance(appearance, bytes) else b""
        sizes, colours = _USUAL_SIZE.findall(text), _USUAL_COLOUR.findall(text)
        try:
            size = float(sizes[-1]) if sizes else None
            colour = colour_of([float(each) for each in colours[-1][0].split()]) if colours else colour_of([0])
        except (ValueError, NotDerivedError):
            return cls()
        return cls(size or None, colour)


@dataclass(frozen=True)
class Wanted:
    """What a field's appearance has to show.

    texts     of the value, each in full; none for a list, which shows its options
    options   of a list, in their order
    chosen    which of them are
    marks     how many check marks instead of a text
    cells     of a comb; 0 for others
    is_tall   whether the text may have several lines
    """

    texts: tuple[str, ...] = ("",)
    options: tuple[str, ...] = ()
    chosen: frozenset[int] = frozenset()
    marks: int | None = None
    cells: int = 0
    is_tall: bool = False


@dataclass(frozen=True)
class Look:
    """A normal appearance: its stream, the fonts that its resources name, the size of the field's rectangle."""

    stream: Value
    fonts: dict[str, Font | None]
    size: tuple[float, float]


def require_derived(look: Look, wanted: Wanted, usual: Usual) -> None:
    """Raises NotDerivedError where it could show something else, UnprovenError where it cannot be read."""
    if not isinstance(look.stream, Stream) or look.stream.entries.keys() - _STREAM or look.stream.entries.get("/Subtype") != "/Form":
        raise NotDerivedError
    _require_box(look.stream.entries, look.size)
    try:
        content = _Content(look, wanted, usual)
        content.read(decoded(look.stream, _MOST_BYTES))
    except IrregularError:
        raise NotDerivedError from None
    if content.is_unread or content.painting.is_drawing:
        raise UnprovenError
    content.require_all_shown()


def _require_box(entries: dict[str, Value], size: tuple[float, float]) -> None:
    box, matrix = entries.get("/BBox"), entries.get("/Matrix", [1, 0, 0, 1, 0, 0])
    if not numbers(box, 4) or not numbers(matrix, 6):
        raise NotDerivedError
    require(all(abs(float(one) - wanted) <= 0.5 for one, wanted in zip(box, (0, 0, *size), strict=True)))
    require([float(each) for each in matrix] == [1, 0, 0, 1, 0, 0])


def letters(text: str) -> str:
    """A text without blanks, to be compared."""
    return "".join(text.translate(_QUOTES).split())


class _Content:
    """Reads a content stream; what it does not know ends it. ``is_unread`` when a text was drawn that cannot be told."""

    def __init__(self, look: Look, wanted: Wanted, usual: Usual) -> None:
        self._fonts, self._wanted, self._usual = look.fonts, wanted, usual
        self.painting = Painting(look.size, cells=wanted.cells, has_rows=bool(wanted.options), is_box=wanted.marks is not None)
        self._height = look.size[1]
        self._font: Font | None = None
        self._size, self._spacing, self._stretch, self._rise = 0.0, 0.0, 1.0, 0.0
        self._in_text = False
        self._leading = 0.0
        self._line = (0.0, 0.0)
        self._last: tuple[float, float] | None = None
        self._end = 0.0  # where the text of this line ends at least
        self._reached = 0.0  # the same by the narrow measure of ``_width_of``, from where text goes on
        self._is_moved = False  # since that text
        self._styles: set[tuple[float, Colour]] = set()
        self._shown: list[tuple[str, bool]] = []  # each line or part of one, and whether a row is painted behind it
        self.is_unread = False

    def read(self, data: bytes) -> None:
        """Runs all operators."""
        at, operands = 0, list[Value]()
        while not _BLANK.match(data, at):
            operator = _OPERATOR.match(data, at)
            if operator is not None and operator[1] not in {b"true", b"false", b"null"}:
                self._run(operator[1].decode("ascii"), operands)
                at, operands = operator.end(), []
                continue
            operand, at = parse(data, at)
            operands.append(operand)
            require(len(operands) <= _MOST_OPERANDS)
        require(not operands and not self._in_text)

    def require_all_shown(self) -> None:
        """What was shown is the value, or the options with those marked that are chosen."""
        text, wanted = letters("".join(each for each, _row in self._shown)), self._wanted
        if wanted.marks is not None:
            require(len(text) == wanted.marks)
        elif not wanted.texts:
            self._require_options()
        elif text not in map(letters, wanted.texts):
            if not any(map(self._can_show, wanted.texts)):
                raise UnprovenError
            raise NotDerivedError

    def _can_show(self, text: str) -> bool:
        return set(letters(text)) <= {
            each for font in self._fonts.values() if font for code in font.codes.values() for each in letters(code)
        }

    def _require_options(self) -> None:
        """Options in their order, with rows behind those that are chosen; some writers mark none, which says too little."""
        options, chosen = [letters(each) for each in self._wanted.options], self._wanted.chosen
        shown = [letters(text) for text, _row in self._shown]
        marked = [at for at, (_text, row) in enumerate(self._shown) if row]
        for first in range(len(options) - len(shown) + 1):
            if options[first : first + len(shown)] == shown and {first + at for at in marked} == chosen:
                return
            if options[first : first + len(shown)] == shown and not marked and chosen <= set(range(first, first + len(shown))):
                raise UnprovenError
        raise NotDerivedError

    def _run(self, operator: str, operands: list[Value]) -> None:
        if self.painting.colours(operator, operands):
            return
        if operator in {"q", "Q", "EMC"}:
            require(not operands and (operator == "EMC" or not self._in_text))
            self.painting.nest(operator)
        elif operator == "BMC":
            require(operands == ["/Tx"])
        elif operator in {"BT", "ET"}:
            require(not operands and self._in_text == (operator == "ET"))
            self._in_text, self._line, self._is_moved = operator == "BT", (0.0, 0.0), True
            self.painting.is_over = True
        elif self._in_text:
            self._write(operator, operands)
        else:
            self.painting.draw(operator, operands)

    def _write(self, operator: str, operands: list[Value]) -> None:
        if operator == "Tf":
            require(len(operands) == 2 and isinstance(operands[0], str) and operands[0] in self._fonts and is_number(operands[1]))
            self._font, self._size = self._fonts[operands[0]], float(operands[1])
            require(self._is_usual() or _SMALLEST <= self._size <= max(2 * _SMALLEST, self._height * 1.2))
        elif operator in {"Tc", "Tw", "Ts", "TL", "Tz"}:
            require(numbers(operands, 1))
            least, most = {"Tc": (-1, 1000), "Tw": (-1, 1000), "Ts": (-5, 5), "TL": (0, 1000), "Tz": (50, 200)}[operator]
            require(least <= float(operands[0]) <= most)
            self._set(operator, float(operands[0]))
        elif operator in {"Td", "TD"}:
            require(numbers(operands, 2))
            self._is_moved = True
            self._leading = -float(operands[1]) if operator == "TD" else self._leading
            self._line = (self._line[0] + float(operands[0]), self._line[1] + float(operands[1]))
        elif operator == "Tm":
            require(numbers(operands, 6) and operands[1] == operands[2] == 0)
            require(float(operands[0]) == float(operands[3]) == 1)
            self._line, self._is_moved = (float(operands[4]), float(operands[5])), True
        elif operator == "T*":
            require(not operands)
            self._line, self._is_moved = (self._line[0], self._line[1] - self._leading), True
        elif operator == "Tj":
            require(len(operands) == 1)
            self._show(operands)
        elif operator == "TJ":
            require(len(operands) == 1 and isinstance(operands[0], list))
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
        x = x if self._is_moved else self._reached
        left, bottom, right, top = self.painting.clip
        base = y + self._rise
        require(left - 1 <= x <= right and base + 0.4 * self._size <= max(top, self._size))
        if bottom - 0.3 * self._size > base:  # a text of several lines in the size that was sealed may not all fit
            require(self._wanted.is_tall and self._is_usual() and self._last is not None)
            self.is_unread = True
        self._require_beside_the_last()
        if not self.is_unread:
            self.painting.require_seen((x, base, self._size), self._usual.colour)
        self.painting.lines.append((base - 0.2 * self._size, base + 0.7 * self._size))
        self._last = self._line
        read, back = "", 0.0
        for part in parts:
            if is_number(part):
                back += float(part)
                require(back <= _LOOSEST)
                x -= min(0.0, float(part)) / 1000 * self._size * self._stretch
            else:
                require(isinstance(part, bytes))
                end = x + self._width_of(part)
                require(end - self._spacing * self._stretch <= right + 1)
                x = end
                self._end += self._least_width_of(part)
                back = 0.0 if part else back
                read += self._read(part)
        self._reached = x
        self._shown.append((read, self.painting.is_row_at(base + 0.2 * self._size)))

    def _require_beside_the_last(self) -> None:
        """Text hides no other: it goes on behind the last, or clearly below it. In several sizes or colours it may be part ornament."""
        x, y = self._line
        require(self._spacing >= _TIGHTEST * self._size)
        if self._wanted.texts and self._wanted.marks is None:
            self._styles.add((self._size, self.painting.colour))
            self.is_unread |= len(self._styles) > 1
        if self._last is not None and abs(y - self._last[1]) <= 1:
            require(x >= self._last[0])
            if self._is_moved and x < self._end:
                self.is_unread = True
            self._end = x if self._is_moved else self._end
        else:
            require(self._last is None or y <= self._last[1] - _NEXT_LINE * self._size)
            self._end = x
        self._is_moved = False

    def _least_width_of(self, part: bytes) -> float:
        digits, capitals = sum(0x30 <= each <= 0x39 for each in part), sum(0x41 <= each <= 0x5A for each in part)
        digit = 0.0 if self._font is None else self._font.digit
        glyphs = digit * digits + _CAPITAL * capitals + _SLIM * (len(part) - digits - capitals)
        return (glyphs * self._size + len(part) * self._spacing) * self._stretch * 0.98

    def _read(self, part: bytes) -> str:
        text = self._font.read(part) if self._font is not None else None
        if text is None:
            self.is_unread = True
        elif self._font is not None:
            require(self._font.is_marks == (self._wanted.marks is not None))
        return text or ""

    def _width_of(self, part: bytes) -> float:
        """At least. In the size that the sealed form asks for, a long value may run out of its field."""
        if self._font is None or not self._font.codes:
            return 0.0
        digits = sum(0x30 <= each <= 0x39 for each in part)
        glyphs = 0.0 if self._is_usual() and self._stretch <= 1 else (_DIGIT * digits + _NARROW * (len(part) - digits)) * self._size
        return (glyphs + len(part) * max(0.0, self._spacing)) * self._stretch
