"""What a field's appearance may paint behind its text: ground and border along the field's edges, a comb's lines, a list's rows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final, TypeGuard

from verify.steps.changes.values import Value, is_number

Colour = tuple[float, float, float]
Box = tuple[float, float, float, float]
Point = tuple[float, float]
_COMPONENTS: Final = {"g": 1, "G": 1, "rg": 3, "RG": 3, "k": 4, "K": 4}
_SPACES: Final = {"/DeviceGray": 1, "/DeviceRGB": 3, "/DeviceCMYK": 4}
_FILLED: Final = frozenset({"f", "F", "f*", "B", "B*", "b", "b*"})
_PAINT: Final = _FILLED | {"S", "s"}
_SEGMENTS: Final = {"m": 2, "l": 2}
_CURVES: Final = {"c": 6, "v": 4, "y": 4}
_INSET: Final = 8.0  # units between the field's edge and its border or clip
_ROUNDING: Final = 0.1  # units by which some begin a ground outside
_EDGE: Final = 4.0  # units along the field's edges in which its border lies
_MOST_POINTS: Final = 1000
_CONTRAST: Final = 0.3  # least sum of differences in red, green and blue, each of 0 to 1
_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class NotDerivedError(Exception):
    """The appearance could show something else than the value."""


def require(holds: bool) -> None:
    """Raises NotDerivedError unless it holds."""
    if not holds:
        raise NotDerivedError


def numbers(value: Value, count: int) -> TypeGuard[list[int | Decimal]]:
    """Whether it is a list of so many numbers."""
    return isinstance(value, list) and len(value) == count and all(map(is_number, value))


def colour_of(parts: Sequence[float]) -> Colour:
    """A colour of one (grey), three (RGB) or four (CMYK) parts."""
    if len(parts) == 4:
        cyan, magenta, yellow, black = parts
        parts = [max(0.0, 1 - each - black) for each in (cyan, magenta, yellow)]
    red, green, blue = parts if len(parts) == 3 else [parts[0]] * 3 if len(parts) == 1 else [-1.0] * 3
    require(all(0 <= each <= 1 for each in (red, green, blue)))
    return red, green, blue


class Painting:
    """Colours, clip, and what was painted so far.

    is_over     once text has begun, from when on only a list's rows may follow
    lines       between which heights a text stands so far, over which nothing may be painted
    is_drawing  whether a box was drawn with other lines than its border: a mark, perhaps
    """

    def __init__(self, size: tuple[float, float], *, cells: int, has_rows: bool, is_box: bool) -> None:
        self._width, self._height = size
        self._cells, self._has_rows, self._is_box = cells, has_rows, is_box
        self.clip: Box = (0.0, 0.0, *size)
        self.is_over = False
        self.is_drawing = False
        self.lines: list[tuple[float, float]] = []
        self._fill: Colour = _BLACK
        self._spaces = {"cs": 1, "CS": 1}
        self._kept: list[tuple[Colour, dict[str, int]]] = []
        self._boxes: list[Box] = []
        self._paths: list[list[Point]] = []
        self._painted: list[tuple[Box, Colour]] = []
        self._rows: list[Box] = []

    @property
    def colour(self) -> Colour:
        """Of what is filled, such as text."""
        return self._fill

    def colours(self, operator: str, operands: list[Value]) -> bool:
        """Takes an operator for a colour; False when it is none."""
        if operator in self._spaces:
            require(len(operands) == 1 and isinstance(operands[0], str) and operands[0] in _SPACES)
            self._spaces[operator] = _SPACES[operands[0]]
            self._fill = _BLACK if operator == "cs" else self._fill
            return True
        if operator in {"sc", "scn", "SC", "SCN"}:
            count = self._spaces["cs" if operator.islower() else "CS"]
        elif operator in _COMPONENTS:
            count = _COMPONENTS[operator]
        else:
            return False
        require(numbers(operands, count))
        colour = colour_of([float(each) for each in operands])
        self._fill = colour if operator.islower() else self._fill
        return True

    def nest(self, operator: str) -> None:
        """``q`` and ``Q``."""
        if operator == "q":
            self._kept.append((self._fill, dict(self._spaces)))
        elif operator == "Q":
            require(bool(self._kept))
            self._fill, self._spaces = self._kept.pop()

    def draw(self, operator: str, operands: list[Value]) -> None:
        """Background, border, clip, before any text."""
        if operator in {"w", "i", "M"}:
            require(numbers(operands, 1) and 0 <= float(operands[0]) <= (_INSET if operator == "w" else 100))
        elif operator in {"J", "j"}:
            require(operands in ([0], [1], [2]))
        elif operator == "d":
            require(len(operands) == 2 and isinstance(operands[0], list) and all(map(is_number, operands[0])))
        elif operator == "cm":
            require(numbers(operands, 6) and [float(each) for each in operands] == [1, 0, 0, 1, 0, 0])
        elif operator == "re":
            require(numbers(operands, 4))
            self._boxes.append(self._box([float(each) for each in operands]))
        elif operator in _SEGMENTS:
            require(numbers(operands, _SEGMENTS[operator]) and sum(map(len, self._paths)) < _MOST_POINTS)
            if operator == "m":
                self._paths.append([])
            require(bool(self._paths))
            self._paths[-1].append((float(operands[0]), float(operands[1])))
        elif operator in _CURVES and self._is_box:
            require(numbers(operands, _CURVES[operator]))
            self.is_drawing = True
        elif operator == "h":
            require(not operands and bool(self._paths))
        elif operator in _PAINT:
            require(not operands and bool(self._boxes or self._paths) and (not self.is_over or self._is_row()))
            self._paint(operator)
        elif operator in {"W", "W*"}:
            require(not operands and len(self._boxes) == 1 and not self._paths and not self._is_row())
            box = self._boxes[0]
            self.clip = (*map(max, self.clip[:2], box[:2]), *map(min, self.clip[2:], box[2:]))  # type: ignore[assignment]
        elif operator == "n":
            require(not operands)
            self._boxes, self._paths = [], []
        else:
            raise NotDerivedError

    def _box(self, sides: list[float]) -> Box:
        """A rectangle as large as the field, or, in a list, one as wide."""
        left, bottom, width, height = sides
        inset = min(_INSET, self._width / 4), min(_INSET, self._height / 4)
        left, bottom, width, height = (0.0 if -_ROUNDING <= each < 0 else each for each in (left, bottom, width, height))
        require(0 <= left <= inset[0] and left + width >= self._width - inset[0] and width >= 0 and height >= 0)
        if not self._has_rows:
            require(0 <= bottom <= inset[1] and bottom + height >= self._height - inset[1])
        return left, bottom, left + width, bottom + height

    def _is_row(self) -> bool:
        inset = min(_INSET, self._height / 4)
        lower = (box for box in self._boxes if box[1] > inset or box[3] < self._height - inset)
        return self._has_rows and not self._paths and len(self._boxes) == 1 and any(lower)

    def _paint(self, operator: str) -> None:
        is_filled = operator in _FILLED
        if self._is_row():
            require(is_filled and not any(self._boxes[0][1] < top and self._boxes[0][3] > bottom for bottom, top in self.lines))
            self._rows.append(self._boxes[0])
            self._painted.append((self._boxes[0], self._fill))
        elif self._boxes:
            require(len(self._boxes) < 3 and not self._paths)  # a border may be the space between two
            if is_filled and not (len(self._boxes) == 2 and operator.endswith("*")):  # which is a border alone
                self._painted.append((self._boxes[-1], self._fill))
        for path in self._paths:
            self._require_border(path, is_filled=is_filled)
        self._boxes, self._paths = [], []

    def _require_border(self, path: list[Point], *, is_filled: bool) -> None:
        """Lines along the field's edges, or between the cells of a comb; an area that they enclose counts as ground."""
        if self._is_box and (self.is_drawing or not all(map(self._sides, path))):
            self.is_drawing = True
            return
        require(len(path) > 1)
        if len(path) == 2 and not is_filled and self._is_between_cells(*path):
            return
        closed = [*path, path[0]]
        require(all(self._sides(one) & self._sides(other) for one, other in pairwise(closed if is_filled else path)))
        area = abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(closed))) / 2
        if is_filled and area > (self._width + self._height) * _EDGE:
            columns, rows = zip(*path, strict=True)
            self._painted.append(((min(columns), min(rows), max(columns), max(rows)), self._fill))

    def _sides(self, point: Point) -> set[str]:
        x, y = point
        require(-1 <= x <= self._width + 1 and -1 <= y <= self._height + 1)
        edge = min(_EDGE, self._width / 6, self._height / 6)
        return {
            side
            for side, distance in (("left", x), ("bottom", y), ("right", self._width - x), ("top", self._height - y))
            if distance <= edge
        }

    def _is_between_cells(self, one: Point, other: Point) -> bool:
        if not self._cells or abs(one[0] - other[0]) > 0.1:
            return False
        cell = self._width / self._cells
        return abs(one[0] / cell - round(one[0] / cell)) * cell <= 1.5

    def require_seen(self, text: tuple[float, float, float], usual: Colour | None) -> None:
        """Text (left, base line, size): its colour is that which was sealed, on unpainted ground, or differs from what is behind it."""
        left, base, size = text
        for ground in self._behind((left, base + 0.1 * size, left + 0.3 * size, base + 0.5 * size)):
            if ground is None and self._fill == usual:
                continue
            differences = (abs(one - other) for one, other in zip(self._fill, _WHITE if ground is None else ground, strict=True))
            require(sum(differences) >= _CONTRAST)

    def _behind(self, text: Box) -> list[Colour | None]:
        found: list[Colour | None] = []
        for box, colour in reversed(self._painted):
            if box[0] < text[2] and box[2] > text[0] and box[1] < text[3] and box[3] > text[1]:
                found.append(colour)
                if box[0] <= text[0] and box[1] <= text[1] and box[2] >= text[2] and box[3] >= text[3]:
                    return found
        return [*found, None]

    def is_row_at(self, height: float) -> bool:
        """Whether a list's row is painted there."""
        return any(bottom <= height <= top for _left, bottom, _right, top in self._rows)
