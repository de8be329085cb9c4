"""How a mark looks: the registered picture as a form XObject, multiplied onto the page, upright, whole or in slices."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from sealcore.approvals.leaf import Mark, MarkKind, Rectangle
from sealcore.errors import Code, VermilionError
from signer.pades.objects import Real, decimal_text, dictionary, found, name, number, reals
from signer.pades.pages import Box, Page, find_pages
from signer.pades.update import Update

MILLIPOINTS: Final = 1000.0
# Rotation matrices (ISO 32000-2 §8.3.3): the appearance is turned against the page's own clockwise turn, so that it stands upright.
_UPRIGHT: Final = {0: (1, 0, 0, 1, 0, 0), 90: (0, 1, -1, 0, 0, 0), 180: (-1, 0, 0, -1, 0, 0), 270: (0, -1, 1, 0, 0, 0)}


@dataclass(frozen=True)
class Slice:
    """Part ``number`` (0-based) of ``of`` equal vertical parts of a picture."""

    number: int = 0
    of: int = 1


@dataclass(frozen=True)
class Impression:
    """One visible mark on one page."""

    page: int
    rectangle: Rectangle
    picture_sha256: bytes
    slice: Slice


def impressions(marks: tuple[Mark, ...]) -> list[Impression]:
    """All marks page by page, in the order of the leaf; a riding mark's k-th page gets the k-th slice, from the left."""
    result = []
    for mark in marks:
        parts = len(mark.pages) if mark.kind == MarkKind.RIDING else 1
        for position, page in enumerate(mark.pages):
            part = Slice(position, parts) if parts > 1 else Slice()
            result.append(Impression(page, mark.rectangle, mark.picture_sha256, part))
    return result


def rectangle_box(rectangle: Rectangle) -> Box:
    """In PDF units."""
    return (rectangle.x0 / MILLIPOINTS, rectangle.y0 / MILLIPOINTS, rectangle.x1 / MILLIPOINTS, rectangle.y1 / MILLIPOINTS)


def require_on_page(impression: Impression, page: Page | None) -> Page:
    """The page; MARK_OFF_PAGE when it does not exist or does not show the whole rectangle."""
    where = f"page {impression.page + 1}"
    if page is None:
        raise VermilionError(Code.MARK_OFF_PAGE, f"a mark names {where}, which the document does not have")
    x0, y0, x1, y1 = rectangle_box(impression.rectangle)
    left, bottom, right, top = page.visible
    tolerance = 1 / MILLIPOINTS  # boxes have more decimals than millipoints do
    if x0 < left - tolerance or y0 < bottom - tolerance or x1 > right + tolerance or y1 > top + tolerance:
        shown = " ".join(decimal_text(round(value, 3)) for value in page.visible)
        raise VermilionError(Code.MARK_OFF_PAGE, f"a mark on {where} lies outside of what is visible of it ({shown})")
    return page


@dataclass(frozen=True)
class _Picture:
    reference: generic.IndirectObject
    box: Box


class Appearances:
    """Makes appearance streams in one update; pictures and equal appearances are written once and shared."""

    def __init__(self, update: Update, pictures: Mapping[bytes, bytes]) -> None:
        self._update = update
        self._sources = pictures
        self._pictures: dict[bytes, _Picture] = {}
        self._made: dict[tuple[Any, ...], generic.IndirectObject] = {}

    def of(self, impression: Impression, page: Page) -> generic.IndirectObject:
        """The normal appearance for this impression."""
        x0, y0, x1, y1 = rectangle_box(impression.rectangle)
        key = (impression.picture_sha256, round(x1 - x0, 3), round(y1 - y0, 3), page.rotation, impression.slice)
        if key not in self._made:
            self._made[key] = self._make(impression, page.rotation)
        return self._made[key]

    def _make(self, impression: Impression, rotation: int) -> generic.IndirectObject:
        picture = self._picture(impression.picture_sha256)
        x0, y0, x1, y1 = rectangle_box(impression.rectangle)
        width, height = (x1 - x0, y1 - y0) if rotation in (0, 180) else (y1 - y0, x1 - x0)
        form = dictionary(
            Type=name("XObject"),
            Subtype=name("Form"),
            BBox=reals(0, 0, width, height),
            Matrix=reals(*_UPRIGHT[rotation]),
            Resources=dictionary(
                XObject=dictionary(Picture=picture.reference),
                ExtGState=dictionary(Multiply=dictionary(Type=name("ExtGState"), BM=name("Multiply"))),
            ),
        )
        return self._update.add_object(generic.StreamObject(form, stream_data=_placed(picture.box, impression.slice, width, height)))

    def _picture(self, digest: bytes) -> _Picture:
        if digest not in self._pictures:
            try:
                self._pictures[digest] = self._import(self._sources[digest])
            except Exception as fault:
                raise VermilionError(Code.PICTURE_UNKNOWN, f"the picture {digest.hex()[:16]}… cannot be used") from fault
        return self._pictures[digest]

    def _import(self, source: bytes) -> _Picture:
        reader = PdfFileReader(io.BytesIO(source), strict=False)
        page = find_pages(reader.root, {0})[0]
        contents = page.content["/Contents"]
        streams = contents if isinstance(contents, generic.ArrayObject) else generic.ArrayObject([contents])
        commands = b"\n".join(streams[i].data for i in range(len(streams)))
        resources = found(page.content, "/Resources")
        form = dictionary(
            Type=name("XObject"),
            Subtype=name("Form"),
            BBox=reals(*page.visible),
            # As a group, so that overlapping shapes of the picture are multiplied onto the page once (§11.6.6).
            Group=dictionary(Type=name("Group"), S=name("Transparency"), I=generic.BooleanObject(True), CS=name("DeviceRGB")),
            Resources=self._update.import_object(resources) if resources is not None else dictionary(),
        )
        stream = generic.StreamObject(form, stream_data=commands)
        stream.compress()
        return _Picture(self._update.add_object(stream), page.visible)


def _placed(box: Box, part: Slice, width: float, height: float) -> bytes:
    """Content that shows the slice as large as the rectangle takes it, in its middle, and nothing of its neighbours."""
    left, bottom, right, top = box
    slice_width, picture_height = (right - left) / part.of, top - bottom
    scale = min(width / slice_width, height / picture_height)
    shown_width, shown_height = slice_width * scale, picture_height * scale
    x, y = (width - shown_width) / 2, (height - shown_height) / 2
    shift = x - (left + part.number * slice_width) * scale
    clip = " ".join(decimal_text(value) for value in (x, y, shown_width, shown_height))
    matrix = " ".join(decimal_text(value) for value in (scale, 0, 0, scale, shift, y - bottom * scale))
    return f"q\n/Multiply gs\n{clip} re W n\n{matrix} cm\n/Picture Do\nQ\n".encode("ascii")


PRINT, READ_ONLY, LOCKED, LOCKED_CONTENTS = 1 << 2, 1 << 6, 1 << 7, 1 << 9  # annotation flags, table 167


def widget(field_name: str, tooltip: str, signature: generic.IndirectObject, page: Page | None) -> generic.DictionaryObject:
    """Field and widget in one; invisible until it gets a rectangle and an appearance."""
    entries = dictionary(
        Type=name("Annot"),
        Subtype=name("Widget"),
        FT=name("Sig"),
        T=generic.TextStringObject(field_name),
        TU=generic.TextStringObject(tooltip),
        V=signature,
        F=number(PRINT | LOCKED),
        Rect=reals(0, 0, 0, 0),
    )
    if page is not None and page.reference is not None:
        entries["/P"] = page.reference
    return entries


def stamp(label: str, page: Page) -> generic.DictionaryObject:
    """A further mark of the same signature: a stamp annotation that readers do not let anybody move or edit."""
    return dictionary(
        Type=name("Annot"),
        Subtype=name("Stamp"),
        Contents=generic.TextStringObject(label),
        F=number(PRINT | READ_ONLY | LOCKED | LOCKED_CONTENTS),
        P=page.reference,
    )


def show(annotation: generic.DictionaryObject, rectangle: Rectangle, appearance: generic.IndirectObject) -> None:
    """Gives the annotation its place and its look."""
    annotation["/Rect"] = generic.ArrayObject([Real(value) for value in rectangle_box(rectangle)])
    annotation["/AP"] = dictionary(N=appearance)
