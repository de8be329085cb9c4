"""A second opinion on what was added after a seal: the pages, drawn as they were sealed and as they are, by a reader of another make.

The first opinion (``verify.steps.changes``) names where something may show. Here each page of both revisions is drawn, for the screen and
for print, with annotations and form: a pixel that differs has to lie where the first opinion allows it. And where a later signature
shows, the sealed page must have been blank. It can only make an answer worse.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Final

import pypdfium2
import pypdfium2.raw as pdfium

from verify.codes import FindingCode
from verify.facts import fact
from verify.opinion import MOST_SECONDS, Comparison, Doubt, Spot

MOST_PAGES: Final = 50
MOST_PIXELS: Final = 4_000_000  # of one drawing; a larger page is drawn smaller
LEAST_PIXELS: Final = 500_000  # a page of fewer units, which /UserUnit makes as large as others, is drawn larger
MOST_SIDE: Final = 10_000  # pixels of it
LEAST_SCALE: Final = 0.1  # pixels a unit: letters are still seen; pages are up to 14,400 units a side (ISO 32000-2 annex C)
_TOLERANCE: Final = 1  # pixels around a named place: what a line at its edge smears
_SLIM: Final = 12  # pixels: a place as slim as a line of text covers what it lies on from edge to edge
_BYTES: Final = 4  # of a pixel
_MODES: Final = (None, "print")
_PDFIUM: Final = threading.Lock()  # it serves one thread at a time

Box = tuple[int, int, int, int]
"""Pixels: left, top, right, bottom; right and bottom are outside."""


def compare(document: bytes, comparisons: Sequence[Comparison]) -> list[Doubt | None]:
    """Draws and compares, here and now: for the sandbox, since strangers' bytes are drawn."""
    with _PDFIUM:
        # Processor time, not time by the clock: a busy machine must not make a document
        # undetermined.
        deadline_s = time.process_time() + MOST_SECONDS
        return [_compared(document, each, deadline_s) for each in comparisons]


def _compared(document: bytes, comparison: Comparison, deadline_s: float) -> Doubt | None:
    with ExitStack() as open_documents:
        try:
            sealed, present = (_opened(open_documents, data) for data in (document[: comparison.end], document))
            if len(sealed) != len(present):
                return FindingCode.LOOKS_CHANGED, fact("number_of_pages")
            if len(sealed) > MOST_PAGES:
                return FindingCode.LOOKS_NOT_COMPARED, fact("many_pages", count=MOST_PAGES)
            for number in range(1, len(sealed) + 1):
                spots = [each for each in comparison.spots if each.page == number]
                doubt = _page(sealed, present, number, spots)
                if doubt is not None:
                    return doubt, fact("part_page", page=number)
                if time.process_time() > deadline_s:
                    return FindingCode.LOOKS_NOT_COMPARED, fact("many_seconds", count=f"{MOST_SECONDS:g}")
        except (pypdfium2.PdfiumError, ValueError) as fault:
            return FindingCode.LOOKS_NOT_COMPARED, fact("technical", name=type(fault).__name__)
    return None


def _opened(stack: ExitStack, data: bytes) -> Any:
    document = stack.enter_context(pypdfium2.PdfDocument(data))
    document.init_forms()
    return document


def _page(sealed: Any, present: Any, number: int, spots: Sequence[Spot]) -> FindingCode | None:
    with ExitStack() as stack:
        before, now = (stack.enter_context(_Closing(document[number - 1])) for document in (sealed, present))
        # Before drawing: of pages of different sizes no pixel corresponds to another.
        if before.get_size() != now.get_size() or before.get_rotation() != now.get_rotation():
            return FindingCode.LOOKS_CHANGED
        scale = _scale(before.get_width(), before.get_height())
        if scale < LEAST_SCALE:
            return FindingCode.LOOKS_NOT_COMPARED
        covered = False
        for mode in _MODES:
            old, new = (_Drawing(page, scale, mode) for page in (before, now))
            boxes = [old.box(before, each) for each in spots]
            if not old.equals(new, [_wider(each) for each in boxes]):
                return FindingCode.LOOKS_CHANGED
            covered |= any(spot.covers and old.has_ink(box) for spot, box in zip(spots, boxes, strict=True))
    return FindingCode.COVERED_LATER if covered else None


def _scale(width: float, height: float) -> float:
    """Pixels a unit: one, but for small and large pages."""
    area = width * height or 1.0
    larger = min((LEAST_PIXELS / area) ** 0.5, MOST_SIDE / max(width, height, 1.0))
    return float(min(max(1.0, larger), (MOST_PIXELS / area) ** 0.5))


class _Closing:
    def __init__(self, page: Any) -> None:
        self._page = page

    def __enter__(self) -> Any:
        return self._page

    def __exit__(self, *_: object) -> None:
        self._page.close()


class _Drawing:
    """One page as pixels."""

    def __init__(self, page: Any, scale: float, mode: str | None) -> None:
        # With annotations and form, since these are what was added, and for screen and print,
        # because a layer or an annotation may show in one alone.
        bitmap = page.render(scale=scale, draw_annots=True, may_draw_forms=True, optimize_mode=mode, prefer_bgrx=True)
        self.width, self.height, self._stride = int(bitmap.width), int(bitmap.height), int(bitmap.stride)
        self._bytes = bytes(bitmap.buffer)
        self._pixels = memoryview(self._bytes)
        bitmap.close()

    def box(self, page: Any, spot: Spot) -> Box:
        """The pixels of a rectangle."""
        left, bottom, right, top = spot.rectangle
        corners = [self._pixel(page, x, y) for x, y in ((left, bottom), (left, top), (right, bottom), (right, top))]
        columns, rows = zip(*corners, strict=True)
        return min(columns), min(rows), max(columns) + 1, max(rows) + 1

    def _pixel(self, page: Any, x: float, y: float) -> tuple[int, int]:
        column, row = ctypes.c_int(), ctypes.c_int()
        if not pdfium.FPDF_PageToDevice(page, 0, 0, self.width, self.height, 0, x, y, column, row):
            raise ValueError("a place outside of any page")
        return column.value, row.value

    def equals(self, other: _Drawing, but: Sequence[Box]) -> bool:
        """Whether all pixels are the same outside of these boxes."""
        if (self.width, self.height, self._stride) != (other.width, other.height, other._stride):
            return False
        if self._bytes == other._bytes:  # which is quick for any number of rows
            return True
        for row in range(self.height):
            start = row * self._stride
            end = start + self.width * _BYTES
            if self._pixels[start:end] == other._pixels[start:end]:
                continue
            for left, right in self._outside(row, but):
                part = slice(start + left * _BYTES, start + right * _BYTES)
                if self._pixels[part] != other._pixels[part]:
                    return False
        return True

    def _outside(self, row: int, boxes: Sequence[Box]) -> Iterator[tuple[int, int]]:
        """The spans of a row that lie in none of the boxes."""
        inside = sorted((max(0, left), min(self.width, right)) for left, top, right, bottom in boxes if top <= row < bottom)
        edge = 0
        for left, right in inside:
            if left > edge:
                yield edge, left
            edge = max(edge, right)
        if edge < self.width:
            yield edge, self.width

    def has_ink(self, box: Box) -> bool:
        """Whether a box is not of one colour, leaving out a pixel at its edges; a slim one with a pixel around it."""
        left, right = _inside(box[0], box[2], self.width)
        top, bottom = _inside(box[1], box[3], self.height)
        if left >= right:
            return False
        spans = ((row * self._stride + left * _BYTES, row * self._stride + right * _BYTES) for row in range(top, bottom))
        rows = {bytes(self._pixels[start:end]) for start, end in spans}
        return any(one != other for one, other in pairwise(rows)) or any(row != row[:_BYTES] * (right - left) for row in rows)


def _inside(low: int, high: int, most: int) -> tuple[int, int]:
    edge = _TOLERANCE if high - low > _SLIM else -_TOLERANCE
    return max(0, low + edge), min(most, high - edge)


def _wider(box: Box) -> Box:
    return box[0] - _TOLERANCE, box[1] - _TOLERANCE, box[2] + _TOLERANCE, box[3] + _TOLERANCE
