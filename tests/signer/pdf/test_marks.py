"""Visible marks: where the leaf says, upright, multiplied onto the page, whole or riding, and never off the page."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageChops

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Mark, MarkKind, Placement, Rectangle
from signer.pdf.prepare import prepare
from signer.pdf.reasons import MARKED_LATER
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, Verdict, pyhanko_status

MIDDLE = Rectangle(200_000, 300_000, 319_000, 419_000)
RED = (200, 50, 31)


def rendered(file: bytes, page: int = 0) -> Image.Image:
    """As PDFium shows it with annotations, 1 pixel a point."""
    with pypdfium2.PdfDocument(file) as document:
        document.init_forms()
        return document[page].render(scale=1, may_draw_forms=True).to_pil().convert("RGB")


def test_the_mark_is_where_the_leaf_says_and_lets_the_text_beneath_show(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    document = documents.simple()
    sealed = seal.seal(document, placement=Placement((Mark((0,), MIDDLE, picture_sha256),)), pictures={picture_sha256: picture})
    before, after = rendered(document), rendered(sealed)
    changed = ImageChops.difference(before, after).getbbox()
    assert changed is not None
    left, top, right, bottom = changed
    assert all(abs(a - b) <= 2 for a, b in zip((left, 842 - bottom, right, 842 - top), (200, 300, 319, 419), strict=True))
    star = after.getpixel((260, 842 - 360))
    grey = 0.6
    assert isinstance(star, tuple)
    assert all(abs(value - colour * grey) < 8 for value, colour in zip(star, RED, strict=True)), "multiplied, not painted over"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_seal_stands_upright_however_the_page_is_turned(seal: Seal, picture: bytes, picture_sha256: bytes, rotation: int) -> None:
    document = documents.simple(page=b"/Rotate %d" % rotation).replace(b"0.6 g", b"1.0 g")
    sealed = seal.seal(document, placement=Placement((Mark((0,), MIDDLE, picture_sha256),)), pictures={picture_sha256: picture})
    shown = rendered(sealed)
    box = ImageChops.difference(rendered(document), shown).getbbox()
    with pypdfium2.PdfDocument(picture) as original:
        expected = original[0].render(scale=1).to_pil().convert("RGB").resize((119, 119))
    found = shown.crop(box).resize((119, 119))
    difference = sum(ImageChops.difference(expected, found).convert("L").histogram()[80:])
    assert difference < 119 * 119 * 0.12


def test_a_riding_seal_is_sliced_over_the_pages(
    seal: Seal, picture: bytes, picture_sha256: bytes, judge: Callable[[bytes], Verdict]
) -> None:
    slices = 4
    document = documents.assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R 6 0 R] /Count 4 /MediaBox [0 0 595 842] >>",
            **dict.fromkeys(range(3, 7), b"<< /Type /Page /Parent 2 0 R >>"),
        }
    )
    rectangle = Rectangle(565_000, 300_000, 595_000, 420_000)
    mark = Mark(tuple(range(slices)), rectangle, picture_sha256, MarkKind.RIDING)
    sealed = seal.seal(document, placement=Placement((mark,)), pictures={picture_sha256: picture})
    assert judge(sealed).good
    whole = Image.new("RGB", (30 * slices, 120))
    for index in range(slices):
        whole.paste(rendered(sealed, index).crop((565, 842 - 420, 595, 842 - 300)), (30 * index, 0))
    with pypdfium2.PdfDocument(picture) as original:
        expected = original[0].render(scale=120 / 119.055).to_pil().convert("RGB").resize(whole.size)
    difference = sum(ImageChops.difference(expected, whole).convert("L").histogram()[80:])
    assert difference < whole.width * whole.height * 0.12


def test_further_marks_are_locked_stamps_that_share_the_picture(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    document = documents.pages(3)
    mark = Mark((0, 1, 2), MIDDLE, picture_sha256)
    sealed = seal.seal(document, placement=Placement((mark,)), pictures={picture_sha256: picture})
    with pikepdf.open(io.BytesIO(sealed)) as read:
        widget, *stamps = (page.Annots[-1] for page in read.pages)
        assert widget.Subtype == "/Widget"
        assert [stamp.Subtype for stamp in stamps] == ["/Stamp"] * 2
        assert all(int(stamp.F) == 4 | 64 | 128 | 512 for stamp in stamps)
        assert len({annotation.AP.N.objgen for annotation in (widget, *stamps)}) == 1
    assert len(sealed) - len(document) < len(seal.seal(document)) - len(document) + 2 * len(picture)
    assert pyhanko_status(seal.authority, sealed).bottom_line


def test_further_marks_behind_a_signature_are_reported(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    signed = seal.seal(documents.pages(2))
    plan = seal.plan(Placement((Mark((0, 1), MIDDLE, picture_sha256),)), pictures={picture_sha256: picture})
    assert prepare(signed, plan).warnings == (MARKED_LATER,)


@pytest.mark.parametrize(
    ("page", "rectangle"),
    [
        (b"", Rectangle(500_000, 0, 596_000, 100_000)),
        (b"", Rectangle(-1_000, 0, 100_000, 100_000)),
        (b"/CropBox [100 100 400 400]", Rectangle(50_000, 150_000, 150_000, 250_000)),
        (b"/CropBox [100 100 400 400]", Rectangle(350_000, 350_000, 401_000, 401_000)),
        (b"/UserUnit 2.0", Rectangle(500_000, 0, 596_000, 100_000)),
    ],
)
def test_a_mark_outside_of_what_is_visible_is_refused(
    seal: Seal, picture: bytes, picture_sha256: bytes, page: bytes, rectangle: Rectangle
) -> None:
    plan = seal.plan(Placement((Mark((0,), rectangle, picture_sha256),)), pictures={picture_sha256: picture})
    with pytest.raises(VermilionError) as refusal:
        prepare(documents.simple(page=page), plan)
    assert refusal.value.code == Code.MARK_OFF_PAGE
    assert "page 1" in refusal.value.reason


def test_a_mark_on_a_page_that_is_not_there_is_refused(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    plan = seal.plan(Placement((Mark((0, 7), MIDDLE, picture_sha256),)), pictures={picture_sha256: picture})
    with pytest.raises(VermilionError, match="page 8") as refusal:
        prepare(documents.pages(3), plan)
    assert refusal.value.code == Code.MARK_OFF_PAGE


def test_boxes_are_inherited_and_may_name_their_corners_in_any_order(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    document = documents.assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [5 0 R] /Count 1 /CropBox 6 0 R /Rotate 90 >>",
            5: b"<< /Type /Pages /Parent 2 0 R /Kids [3 0 R] /Count 1 /MediaBox [600 800 0 0] >>",
            3: b"<< /Type /Page /Parent 5 0 R >>",
            6: b"[100.0 400 400 100]",
        }
    )
    inside = Mark((0,), Rectangle(100_000, 100_000, 400_000, 400_000), picture_sha256)
    sealed = seal.seal(document, placement=Placement((inside,)), pictures={picture_sha256: picture})
    with pikepdf.open(io.BytesIO(sealed)) as read:
        assert [int(value) for value in read.pages[0].Annots[0].AP.N.Matrix] == [0, 1, -1, 0, 0, 0]


def test_a_plan_without_its_picture_is_refused(seal: Seal, picture_sha256: bytes) -> None:
    with pytest.raises(VermilionError) as refusal:
        seal.plan(Placement((Mark((0,), MIDDLE, picture_sha256),)))
    assert refusal.value.code == Code.PICTURE_UNKNOWN


def test_a_broken_picture_is_no_fault_of_the_document(seal: Seal) -> None:
    broken = b"%PDF-1.4 nothing"
    digest = hashlib.sha256(broken).digest()
    with pytest.raises(VermilionError) as refusal:
        prepare(documents.simple(), seal.plan(Placement((Mark((0,), MIDDLE, digest),)), pictures={digest: broken}))
    assert refusal.value.code == Code.PICTURE_UNKNOWN
