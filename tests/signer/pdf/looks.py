"""How documents look before and after a seal, in two renderers that share nothing: PDFium and Poppler."""

from __future__ import annotations

import ctypes
import io
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image, ImageChops, ImageDraw

from signer.pdf.marks import Box

DPI = 36
_POINTS = 72
_BLACK = 40
_MARGIN_PIXELS = 2  # where the seal's edge is smoothed

Renderer = Callable[[bytes], list[Image.Image]]


def by_pdfium(file: bytes) -> list[Image.Image]:
    """All pages with annotations and form fields, as PDFium (Chromium) shows them."""
    opened = pypdfium2.PdfDocument(file)
    opened.get_formtype = lambda: pdfium.FORMTYPE_ACRO_FORM  # as browsers do, which draw widgets that no form names as well
    try:
        opened.init_forms()
        return [page.render(scale=DPI / _POINTS).to_pil().convert("RGB") for page in opened]
    finally:
        opened.close()


def visible(file: bytes) -> list[Box]:
    """The crop box of each page; empty where the file cannot be opened without a password."""
    try:
        opened = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError:
        return []
    try:
        return [page.get_cropbox() for page in opened]
    finally:
        opened.close()


def by_poppler(file: bytes) -> list[Image.Image]:
    """The same as Poppler (Evince, Okular) shows them."""
    done = subprocess.run(["pdftoppm", "-cropbox", "-r", str(DPI), "-"], input=file, capture_output=True, check=False, timeout=60)
    return _images(done.stdout)


def _images(stream: bytes) -> list[Image.Image]:
    """Of PPM files one behind the other."""
    images, source = [], io.BytesIO(stream)
    while source.tell() < len(stream):
        magic, size, depth = source.readline(), source.readline(), source.readline()
        assert magic == b"P6\n" and depth == b"255\n", (magic, depth)
        width, height = map(int, size.split())
        images.append(Image.frombytes("RGB", (width, height), source.read(3 * width * height)))
    return images


RENDERERS: dict[str, Renderer] = {"PDFium": by_pdfium, "Poppler": by_poppler}


def surplus(document: bytes, sealed: bytes, marks: Mapping[int, Box], render: Renderer) -> list[str]:
    """What the sealed file shows that is not the document plus its marks; ``marks`` by page, boxes in the page's own space.

    A mark that does not show at all is named too, but on black, where ink does not show.
    """
    before, after = render(document), render(sealed)
    if len(before) != len(after):
        return [f"{len(before)} pages became {len(after)}"]
    found = []
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        if one.size != other.size:
            found.append(f"page {index + 1} has another size")
            continue
        difference = ImageChops.difference(one, other)
        if index in marks:
            if difference.getbbox() is None and not _is_black(one.crop(_pixels(sealed, index, marks[index], one))):
                found.append(f"page {index + 1} does not show its mark")
            ImageDraw.Draw(difference).rectangle(_pixels(sealed, index, marks[index], difference), fill=0)
        if (box := difference.getbbox()) is not None:
            found.append(f"page {index + 1} differs in {box}")
    return found


def _pixels(file: bytes, index: int, box: Box, image: Image.Image) -> tuple[int, int, int, int]:
    """Where a box of a page is in its image, however the page is turned and cropped."""
    opened = pypdfium2.PdfDocument(file)
    try:
        page = opened[index]
        corners = [_pixel(page, box[i], box[j], image) for i, j in ((0, 1), (2, 3))]
    finally:
        opened.close()
    (x0, y0), (x1, y1) = corners
    return min(x0, x1) - _MARGIN_PIXELS, min(y0, y1) - _MARGIN_PIXELS, max(x0, x1) + _MARGIN_PIXELS, max(y0, y1) + _MARGIN_PIXELS


def _is_black(image: Image.Image) -> bool:
    inset = 2 * _MARGIN_PIXELS
    inner = image.crop((inset, inset, image.width - inset, image.height - inset))
    extrema: Any = inner.getextrema()  # of several bands: a pair for each
    return bool(max(high for _low, high in extrema) < _BLACK)


def _pixel(page: pypdfium2.PdfPage, x: float, y: float, image: Image.Image) -> tuple[int, int]:
    column, row = ctypes.c_int(), ctypes.c_int()
    assert pdfium.FPDF_PageToDevice(page, 0, 0, *image.size, 0, x, y, ctypes.byref(column), ctypes.byref(row))
    return column.value, row.value
