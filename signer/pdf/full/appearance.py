"""How a mark looks: the registered picture as a form XObject, multiplied onto the page, upright, whole or in slices."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils import generic

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Rectangle
from signer.pdf.full.conformance import default_colours
from signer.pdf.full.objects import Real, dictionary, found, found_dictionary, name, number, reals
from signer.pdf.full.pages import Page, page_of_picture
from signer.pdf.full.update import Update
from signer.pdf.marks import (
    LOCKED,
    LOCKED_CONTENTS,
    PRINT,
    READ_ONLY,
    UPRIGHT,
    Box,
    Impression,
    decimal_text,
    lies_within,
    placed,
    rectangle_box,
    shown_size,
)

MOST_DECODED_BYTES: Final = 16 * 1024 * 1024  # of a picture's commands that are taken as they are


def require_on_page(impression: Impression, page: Page | None) -> Page:
    """The page; MARK_OFF_PAGE when it does not exist or does not show the whole rectangle."""
    where = f"page {impression.page + 1}"
    if page is None:
        raise VermilionError(Code.MARK_OFF_PAGE, f"a mark names {where}, which the document does not have")
    if not lies_within(rectangle_box(impression.rectangle), page.visible):
        shown = " ".join(decimal_text(round(value, 3)) for value in page.visible)
        raise VermilionError(Code.MARK_OFF_PAGE, f"a mark on {where} lies outside of what is visible of it ({shown})")
    return page


@dataclass(frozen=True)
class _Picture:
    reference: generic.IndirectObject
    box: Box


class Appearances:
    """Makes appearance streams in one update; pictures and equal appearances are written once and shared."""

    def __init__(self, update: Update, pictures: Mapping[bytes, bytes], *, plain: bool) -> None:
        """``plain``: without transparency and device colours (``conformance.Declared``)."""
        self._plain = plain
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
        width, height = shown_size(rectangle_box(impression.rectangle), rotation)
        form = dictionary(
            Type=name("XObject"),
            Subtype=name("Form"),
            BBox=reals(0, 0, width, height),
            Matrix=reals(*UPRIGHT[rotation]),
        )
        form["/Resources"] = resources = dictionary(XObject=dictionary(Picture=picture.reference))
        if not self._plain:
            resources["/ExtGState"] = dictionary(Multiply=dictionary(Type=name("ExtGState"), BM=name("Multiply")))
        content = placed(picture.box, impression.slice, width, height, opaque=self._plain)
        return self._update.add_object(generic.StreamObject(form, stream_data=content))

    def empty(self) -> generic.IndirectObject:
        """The appearance of an invisible field: PDF/A-1 asks for one in every field (6.9)."""
        form = dictionary(Type=name("XObject"), Subtype=name("Form"), BBox=reals(0, 0, 0, 0), Resources=dictionary())
        return self._update.add_object(generic.StreamObject(form, stream_data=b""))

    def _picture(self, digest: bytes) -> _Picture:
        if digest not in self._pictures:
            try:
                self._pictures[digest] = self._import(self._sources[digest])
            except Exception as fault:
                raise VermilionError(Code.PICTURE_UNKNOWN, f"the picture {digest.hex()[:16]}… cannot be used") from fault
        return self._pictures[digest]

    def _import(self, source: bytes) -> _Picture:
        page = page_of_picture(source)
        resources = found(page.content, "/Resources")
        own: Any = self._update.import_object(resources) if resources is not None else dictionary()
        form = dictionary(Type=name("XObject"), Subtype=name("Form"), BBox=reals(*page.visible), Resources=own)
        if self._plain:
            colours = found_dictionary(own, "/ColorSpace") or generic.DictionaryObject()
            own["/ColorSpace"] = generic.DictionaryObject({name(key[1:]): value for key, value in default_colours().items()} | colours)
        else:
            # As a group, so that overlapping shapes of the picture are multiplied onto the page once (§11.6.6).
            form["/Group"] = dictionary(Type=name("Group"), S=name("Transparency"), I=generic.BooleanObject(True), CS=name("DeviceRGB"))
        return _Picture(self._update.add_object(_compressed(form, page.content["/Contents"])), page.visible)


def _compressed(form: generic.DictionaryObject, contents: Any) -> generic.StreamObject:
    """The form with a page's commands. What is one stream and coded by Flate goes in as it is: coding it anew takes longer than all else of a mark."""
    streams = contents if isinstance(contents, generic.ArrayObject) else generic.ArrayObject([contents])
    only = streams[0] if len(streams) == 1 else None
    if only is not None and found(only, "/Filter") == "/FlateDecode" and "/DecodeParms" not in only and _is_whole(only.encoded_data):
        form["/Filter"] = name("FlateDecode")
        return generic.StreamObject(form, encoded_data=only.encoded_data)
    stream = generic.StreamObject(form, stream_data=b"\n".join(streams[i].data for i in range(len(streams))))
    stream.compress()
    return stream


def _is_whole(coded: bytes) -> bool:
    """Whether it is Flate data to its end, which is what is accepted of an update: nothing behind them, where another reader could find more."""
    inflating = zlib.decompressobj()
    try:
        inflating.decompress(coded, MOST_DECODED_BYTES)
    except zlib.error:
        return False
    return inflating.eof and not inflating.unused_data


def widget(field_name: str, tooltip: str, signature: generic.IndirectObject, page: Page | None) -> generic.DictionaryObject:
    """Field and widget as one object, invisible until it gets a rectangle and an appearance."""
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
    """Another mark of the same signature: a stamp annotation that readers let nobody move or edit."""
    return dictionary(
        Type=name("Annot"),
        Subtype=name("Stamp"),
        Contents=generic.TextStringObject(label),
        F=number(PRINT | READ_ONLY | LOCKED | LOCKED_CONTENTS),
        P=page.reference,
    )


def show(annotation: generic.DictionaryObject, rectangle: Rectangle, appearance: generic.IndirectObject) -> None:
    """Gives the annotation its position and its appearance."""
    annotation["/Rect"] = generic.ArrayObject([Real(value) for value in rectangle_box(rectangle)])
    annotation["/AP"] = dictionary(N=appearance)
