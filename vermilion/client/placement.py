"""Where a seal picture goes: a rectangle on a page, from the page's own geometry, before anyone approves (docs/protocol.md, "Leaf and manifest")."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pypdfium2

from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle, SignatureTexts
from vermilion.client.documents import Document

MILLIPOINTS = 1000
MARGIN_PT = 36.0
_pdfium = threading.Lock()  # PDFium knows no threads


@dataclass(frozen=True)
class Picture:
    """A seal's picture by its digest, with its size in points; 42 mm are 119 points."""

    sha256: bytes
    width_pt: float
    height_pt: float


@dataclass(frozen=True)
class Page:
    """The visible part of a page (CropBox within MediaBox) in default user space, and its clockwise turn when shown (degrees)."""

    number: int
    left: float
    bottom: float
    right: float
    top: float
    turn: int


def bottom_right(
    document: Document,
    picture: Picture,
    *,
    margin_pt: float = MARGIN_PT,
    texts: SignatureTexts | None = None,
    certification: Certification = Certification.NONE,
) -> Placement:
    """The picture at the bottom right, as people see it, of the last page.

    It keeps its proportions and shrinks on a page that is too small for it. A document that cannot be read gets no mark: whether it
    can be sealed at all is the signer's word.
    """
    page = last_page(document)
    rectangle = None if page is None else corner(page, picture, margin_pt)
    marks = () if page is None or rectangle is None else (Mark((page.number,), rectangle, picture.sha256),)
    return Placement(marks, texts or SignatureTexts(), certification)


def last_page(document: Document) -> Page | None:
    """The last page's geometry; None when the document cannot be read."""
    with _pdfium:
        try:
            with pypdfium2.PdfDocument(document.source) as pdf:
                number = len(pdf) - 1
                page = pdf[number]
                # the box that is shown: CropBox within MediaBox, inherited ones too (the single boxes' getters know only the page's own)
                (left, bottom, right, top), turn = page.get_bbox(), page.get_rotation()
        except (pypdfium2.PdfiumError, OSError, IndexError, ValueError):
            return None
    return Page(number, left, bottom, right, top, turn % 360) if left < right and bottom < top else None


def corner(page: Page, picture: Picture, margin_pt: float) -> Rectangle | None:
    """The rectangle in default user space (ISO 32000-2 §8.3.2.3); None on a page without room for anything.

    A page shown turned clockwise by 90° has its user-space top right corner at the bottom right, by 180° its top left, by 270° its
    bottom left.
    """
    page_width, page_height = page.right - page.left, page.top - page.bottom
    width, height = picture.width_pt, picture.height_pt
    if page.turn in (90, 270):
        width, height = height, width
    scale = min(1.0, page_width / width, page_height / height)
    width, height = width * scale, height * scale
    margin_x, margin_y = min(margin_pt, page_width - width), min(margin_pt, page_height - height)
    at_right, at_top = page.turn in (0, 90), page.turn in (90, 180)
    x0 = page.right - margin_x - width if at_right else page.left + margin_x
    y0 = page.top - margin_y - height if at_top else page.bottom + margin_y
    return _inside(page, x0, y0, x0 + width, y0 + height)


def _inside(page: Page, x0: float, y0: float, x1: float, y1: float) -> Rectangle | None:
    """In whole millipoints, rounded so that it stays within the page."""
    lowest_x, lowest_y = _up(page.left), _up(page.bottom)
    highest_x, highest_y = _down(page.right), _down(page.top)
    box = (
        max(lowest_x, round(x0 * MILLIPOINTS)),
        max(lowest_y, round(y0 * MILLIPOINTS)),
        min(highest_x, round(x1 * MILLIPOINTS)),
        min(highest_y, round(y1 * MILLIPOINTS)),
    )
    return Rectangle(*box) if box[0] < box[2] and box[1] < box[3] else None


def _up(value: float) -> int:
    return -int(-value * MILLIPOINTS // 1)


def _down(value: float) -> int:
    return int(value * MILLIPOINTS // 1)
