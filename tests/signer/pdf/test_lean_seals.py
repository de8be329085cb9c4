"""Seals that the lean writer prepared: valid for outside judges, visible where and as they should be, the same when repeated."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pikepdf
import pytest
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from sealcore.hashes import hash_state
from sealcore.hsm.algorithm import Algorithm
from sealcore.protocol.leaf import Certification, Mark, MarkKind, Placement, Rectangle, SignatureTexts
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.reasons import MARKED_LATER
from tests.signer.pdf import documents
from tests.signer.pdf.kit import NOW, Authority, Seal, Verdict, pyhanko_status
from tests.signer.pdf.meaning import differences, digest_is_right

Judge = Callable[[bytes], Verdict]
CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
LEAN: tuple[str, ...] = (
    "classic",
    "minimal",
    "xref-stream",
    "object-streams",
    "linearized",
    "linearized-object-streams",
    "hybrid",
    "form",
    "updated",
)
LEAN += ("annotations-inline", "annotations-elsewhere", "form-inline", "form-inline-without-fields", "fields-elsewhere")


def lean(document: bytes, plan: Plan, hash_name: str = "sha256") -> Prepared:
    prepared = prepare_lean(document, plan, hash_state(hash_name, document))
    assert prepared is not None
    return prepared


@pytest.mark.parametrize("name", LEAN)
def test_a_lean_seal_is_found_valid_and_trusted(seal: Seal, judge: Judge, name: str, picture: bytes, picture_sha256: bytes) -> None:
    document = documents.STRUCTURES[name]()
    for placement in (Placement(), Placement((Mark((0,), CORNER, picture_sha256),))):
        sealed = seal.finish(document, lean(document, seal.plan(placement, pictures={picture_sha256: picture})))
        assert sealed.startswith(document)
        assert judge(sealed).good, judge(sealed).text
        assert pyhanko_status(seal.authority, sealed).bottom_line
        with pikepdf.open(io.BytesIO(sealed)) as read:
            assert not read.get_warnings()


@pytest.mark.parametrize("name", LEAN)
def test_catalog_form_field_and_signature_stand_plain_in_the_last_section(seal: Seal, name: str) -> None:
    document = documents.STRUCTURES[name]()
    prepared = lean(document, seal.plan())
    with pikepdf.open(io.BytesIO(document + prepared.suffix)) as read:
        form = read.Root.AcroForm
        field = form.Fields[-1]
        wanted = [read.Root, *([form] if form.is_indirect else []), field, field.V]
        assert not form.Fields.is_indirect
        for each in wanted:
            assert b"\n%d %d obj\n" % each.objgen in prepared.suffix


def test_a_p384_key_gets_its_own_digest(authority: Authority, judge: Judge) -> None:
    seal = Seal(authority, Algorithm.P384)
    document = documents.pages(2)
    prepared = lean(document, seal.plan(), "sha384")
    assert digest_is_right(document, prepared, "sha384")
    assert judge(seal.finish(document, prepared)).good


def test_the_digest_that_was_handed_in_is_left_as_it_was(seal: Seal) -> None:
    document = documents.simple()
    digest = hash_state("sha256", document)
    assert prepare_lean(document, seal.plan(), digest) is not None
    assert digest.digest() == hashlib.sha256(document).digest()


def test_the_same_plan_gives_the_same_bytes(seal: Seal) -> None:
    document, plan = documents.pages(2), seal.plan()
    assert lean(document, plan) == lean(document, plan)
    later = replace(plan, signing_time=NOW + timedelta(seconds=1))
    assert lean(document, plan).suffix != lean(document, later).suffix


def test_a_difference_between_two_updates_is_seen(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    """The comparison that holds both writers together is no rubber stamp."""
    document = documents.pages(2)
    marks = (Mark((0, 1), CORNER, picture_sha256),)
    plan = seal.plan(Placement(marks, SignatureTexts(reason="a")), pictures={picture_sha256: picture})
    moved = replace(plan, placement=Placement((replace(marks[0], rectangle=Rectangle(400_000, 20_000, 519_000, 139_001)),)))
    others = (
        replace(plan, placement=replace(plan.placement, texts=SignatureTexts(reason="b"))),
        replace(plan, placement=replace(plan.placement, certification=Certification.FINAL)),
        replace(plan, owner_name="x"),
        replace(plan, field_name="x"),
        moved,
    )
    assert not differences(document, lean(document, plan), prepare(document, plan))
    assert all(differences(document, lean(document, other), prepare(document, plan)) for other in others)


def test_a_name_that_is_taken_gets_a_number_however_it_is_written(seal: Seal) -> None:
    for written in (
        b"(Vermilion-1)",
        b"(Vermilion\\0551)",
        b"<5665726d696c696f6e2d31>",
        b"<FEFF005600650072006D0069006C0069006F006E002D0031>",
    ):
        document = documents.simple(catalog=b"/AcroForm << /Fields [10 0 R] >>", more={10: b"<< /FT /Tx /T %b >>" % written})
        prepared = lean(document, seal.plan())
        assert prepared.field_name == prepare(document, seal.plan()).field_name == "Vermilion-1-2"


def test_a_second_lean_seal_says_that_its_further_marks_look_like_changes(seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    once = seal.finish(documents.pages(2), lean(documents.pages(2), seal.plan()))
    placement = Placement((Mark((0, 1), CORNER, picture_sha256),))
    prepared = lean(once, seal.plan(placement, pictures={picture_sha256: picture}))
    assert prepared.warnings == (MARKED_LATER,)
    assert b"/DocMDP" not in prepared.suffix


@pytest.mark.parametrize("level", [Certification.FINAL, Certification.FORM_FILL])
def test_both_writers_certify_alike_and_others_find_it_so(
    seal: Seal, judge: Judge, picture: bytes, picture_sha256: bytes, level: Certification
) -> None:
    document = documents.pages(2)
    plan = seal.plan(Placement((Mark((0,), CORNER, picture_sha256),), certification=level), pictures={picture_sha256: picture})
    quick = lean(document, plan)
    assert not differences(document, quick, prepare(document, plan))
    for prepared in (quick, prepare(document, plan)):
        sealed = seal.finish(document, prepared)
        assert judge(sealed).good
        status = pyhanko_status(seal.authority, sealed)
        assert status.bottom_line and status.docmdp_ok
        (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
        assert signature.docmdp_level is MDPPerm(int(level))
        with pikepdf.open(io.BytesIO(sealed)) as read:
            assert read.Root.Perms.DocMDP.objgen == read.Root.AcroForm.Fields[-1].V.objgen


def _picture_with_image() -> bytes:
    """As custodians hand them in: an image with transparency, a font, and content in two streams."""
    image = Image.new("RGBA", (40, 40), (200, 50, 31, 0))
    image.paste((200, 50, 31, 200), (5, 5, 35, 35))
    buffer, result = io.BytesIO(), io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.drawImage(ImageReader(image), 10, 10, 80, 80, mask="auto")
    canvas.drawString(10, 50, "Seal")
    canvas.showPage()
    canvas.save()
    with pikepdf.open(buffer) as document:
        page = document.pages[0]
        contents = page.Contents.read_bytes()
        half = contents.index(b"\n") + 1
        page.Contents = pikepdf.Array([document.make_stream(contents[:half]), document.make_stream(contents[half:])])
        document.save(result, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
    return result.getvalue()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_with_images_and_fonts_look_the_same_by_both_writers(seal: Seal, rotation: int) -> None:
    picture = _picture_with_image()
    digest = hashlib.sha256(picture).digest()
    marks = (Mark((0,), CORNER, digest), Mark((0, 1, 2), Rectangle(10_000, 10_000, 40_000, 60_000), digest, MarkKind.RIDING))
    document = documents.pages(3, rotate=rotation)
    plan = seal.plan(Placement(marks), pictures={digest: picture})
    ours = lean(document, plan)
    assert not differences(document, ours, prepare(document, plan))
    assert ours.suffix.count(b"/SMask") == prepare(document, plan).suffix.count(b"/SMask")
