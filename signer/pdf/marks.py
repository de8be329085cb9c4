"""What marks mean, without any PDF library: which slice of which picture goes where, and the commands that show it.

The writer in the sandbox takes it from here. The compiled one (`crates/lean`) has the same sums of its own, and tests hold the two to the same picture.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sealcore.protocol.leaf import Mark, MarkKind, Rectangle

MILLIPOINTS: Final = 1000.0
TOLERANCE: Final = 1 / MILLIPOINTS  # page boxes may have more decimals than millipoints have
# Rotation matrices (ISO 32000-2 §8.3.3): the appearance is turned against the page's own clockwise turn, so that it stands upright.
UPRIGHT: Final = {0: (1, 0, 0, 1, 0, 0), 90: (0, 1, -1, 0, 0, 0), 180: (-1, 0, 0, -1, 0, 0), 270: (0, -1, 1, 0, 0, 0)}
PRINT, READ_ONLY, LOCKED, LOCKED_CONTENTS = 1 << 2, 1 << 6, 1 << 7, 1 << 9  # annotation flags, table 167

Box = tuple[float, float, float, float]


class Slice(NamedTuple):
    """Part ``number`` (0-based) of ``of`` equal vertical parts of a picture."""

    number: int = 0
    of: int = 1


class Impression(NamedTuple):
    """One visible mark on one page."""

    page: int
    rectangle: Rectangle
    picture_sha256: bytes
    slice: Slice


_WHOLE: Final = Slice()


def impressions(marks: tuple[Mark, ...]) -> list[Impression]:
    """All marks page by page, in the order of the leaf; a riding mark's k-th page gets the k-th slice, from the left."""
    result = []
    for mark in marks:
        parts = len(mark.pages) if mark.kind == MarkKind.RIDING else 1
        for position, page in enumerate(mark.pages):
            part = Slice(position, parts) if parts > 1 else _WHOLE
            result.append(Impression(page, mark.rectangle, mark.picture_sha256, part))
    return result


def rectangle_box(rectangle: Rectangle) -> Box:
    """In PDF units."""
    return (rectangle.x0 / MILLIPOINTS, rectangle.y0 / MILLIPOINTS, rectangle.x1 / MILLIPOINTS, rectangle.y1 / MILLIPOINTS)


def lies_within(box: Box, visible: Box) -> bool:
    """Whether a mark's box lies entirely within the visible part of the page."""
    x0, y0, x1, y1 = box
    left, bottom, right, top = visible
    return not (x0 < left - TOLERANCE or y0 < bottom - TOLERANCE or x1 > right + TOLERANCE or y1 > top + TOLERANCE)


def intersection(one: Box, other: Box) -> Box | None:
    """The intersection of two boxes; None if they share no area."""
    x0, y0, x1, y1 = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def shown_size(box: Box, rotation: int) -> tuple[float, float]:
    """Width and height of the appearance for a box on a page with that rotation."""
    width, height = box[2] - box[0], box[3] - box[1]
    return (width, height) if rotation in (0, 180) else (height, width)


def placed(box: Box, part: Slice, width: float, height: float, *, opaque: bool = False) -> bytes:
    """Content that shows the slice scaled to fit the rectangle and centred in it, and nothing of its neighbours.

    Multiplied onto the page, as ink is; ``opaque`` where the document's standard allows no transparency.
    """
    left, bottom, right, top = box
    slice_width, picture_height = (right - left) / part.of, top - bottom
    # One scale for both directions: a seal must not be stretched.
    scale = min(width / slice_width, height / picture_height)
    shown_width, shown_height = slice_width * scale, picture_height * scale
    x, y = (width - shown_width) / 2, (height - shown_height) / 2
    shift = x - (left + part.number * slice_width) * scale
    clip = " ".join(decimal_text(value) for value in (x, y, shown_width, shown_height))
    matrix = " ".join(decimal_text(value) for value in (scale, 0, 0, scale, shift, y - bottom * scale))
    ink = "" if opaque else "/Multiply gs\n"
    return f"q\n{ink}{clip} re W n\n{matrix} cm\n/Picture Do\nQ\n".encode("ascii")


def decimal_text(value: float) -> str:
    """``12``, ``12.5``, ``-0.000001``: plain decimals, never with an exponent, at most six places."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
