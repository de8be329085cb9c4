"""Documents of every structure are sealed so that outside judges find the seal valid, and nothing before it is touched."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pikepdf
import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle, SignatureTexts
from signer.pdf.lean import prepare_lean
from signer.pdf.prepare import prepare
from tests.signer.pdf import documents
from tests.signer.pdf.kit import NOW, Seal, Verdict, pyhanko_status

Judge = Callable[[bytes], Verdict]
CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)


def marked(picture_sha256: bytes, *pages: int) -> Placement:
    return Placement((Mark(pages or (0,), CORNER, picture_sha256),))


@pytest.mark.parametrize("name", documents.STRUCTURES)
def test_a_seal_is_found_valid_and_trusted_whatever_the_structure(seal: Seal, judge: Judge, name: str) -> None:
    document = documents.STRUCTURES[name]()
    sealed = seal.seal(document)
    assert sealed.startswith(document)
    assert judge(sealed).good, judge(sealed).text
    assert pyhanko_status(seal.authority, sealed).bottom_line


@pytest.mark.parametrize("name", documents.STRUCTURES)
def test_a_visible_seal_is_found_valid_whatever_the_structure(
    seal: Seal, judge: Judge, name: str, picture: bytes, picture_sha256: bytes
) -> None:
    document = documents.STRUCTURES[name]()
    sealed = seal.seal(document, placement=marked(picture_sha256), pictures={picture_sha256: picture})
    assert judge(sealed).good, judge(sealed).text
    with pikepdf.open(io.BytesIO(sealed)) as read:
        annotation = read.pages[0].Annots[-1]
        assert [float(value) for value in annotation.Rect] == [400, 20, 519, 139]
        assert annotation.FT == "/Sig"


def test_every_algorithm_is_found_valid_by_pdfsig_and_pyhanko(any_seal: Seal, judge: Judge) -> None:
    sealed = any_seal.seal(documents.simple())
    assert judge(sealed).good, judge(sealed).text
    status = pyhanko_status(any_seal.authority, sealed)
    assert status.bottom_line
    assert status.timestamp_validity.trusted


def test_the_same_plan_gives_the_same_bytes(seal: Seal) -> None:
    document, plan = documents.pages(2), seal.plan()
    assert prepare(document, plan) == prepare(document, plan)
    later = replace(plan, signing_time=NOW + timedelta(seconds=1))
    assert prepare(document, plan).suffix != prepare(document, later).suffix


def test_sealing_twice_keeps_the_first_seal_valid_and_takes_another_field(
    seal: Seal, judge: Judge, picture: bytes, picture_sha256: bytes
) -> None:
    once = seal.seal(documents.pages(2))
    twice = seal.seal(once, placement=marked(picture_sha256), pictures={picture_sha256: picture})
    assert twice.startswith(once)
    assert judge(twice).text.count("Signature is Valid") == 2
    assert "Vermilion-1-2" in judge(twice).text
    first = pyhanko_status(seal.authority, twice, index=0)
    assert first.bottom_line, first.summary()


def test_objects_that_the_trailer_does_not_count_are_not_overwritten(seal: Seal) -> None:
    sealed = seal.seal(documents.STRUCTURES["wrong-size"]())
    with pikepdf.open(io.BytesIO(sealed)) as read:
        assert bytes(read.get_object(10, 0)) == b"object 10"


def test_names_in_other_encodings_keep_their_bytes(seal: Seal) -> None:
    sealed = seal.seal(documents.STRUCTURES["gbk-names"]())
    page = sealed[sealed.rindex(b"\n3 0 obj") :]
    assert b"/#CB#CE#CC#E5" in page[: page.index(b"endobj")]


def test_the_first_seal_certifies_as_the_leaf_says(seal: Seal, judge: Judge) -> None:
    for level in (Certification.FINAL, Certification.FORM_FILL):
        sealed = seal.seal(documents.simple(), placement=Placement(certification=level))
        assert judge(sealed).good
        with pikepdf.open(io.BytesIO(sealed)) as read:
            reference = read.Root.Perms.DocMDP.Reference[0]
            assert int(reference.TransformParams.P) == level
        assert pyhanko_status(seal.authority, sealed).docmdp_ok


@pytest.mark.parametrize("level", [Certification.FINAL, Certification.FORM_FILL])
def test_a_certification_that_is_asked_for_a_signed_document_is_refused_by_both_writers(seal: Seal, level: Certification) -> None:
    once = seal.seal(documents.simple())
    plan = seal.plan(Placement(certification=level))
    with pytest.raises(VermilionError) as refusal:
        prepare(once, plan)
    assert refusal.value.code == Code.DOCUMENT_SIGNED
    assert prepare_lean(once, plan, hash_state("sha256", once)) is None
    assert b"/DocMDP" not in prepare(once, seal.plan()).suffix


@pytest.mark.parametrize("bound", [Certification.FINAL, Certification.FORM_FILL])
def test_under_a_grant_both_writers_certify_as_the_seal_is_registered_and_not_otherwise(seal: Seal, bound: Certification) -> None:
    plain, once = documents.simple(), seal.seal(documents.simple())
    for document, signed in ((plain, False), (once, True)):
        for asked in Certification:
            plan = seal.plan(Placement(certification=asked), bound=bound)
            lean = prepare_lean(document, plan, hash_state("sha256", document))
            if asked == (Certification.NONE if signed else bound):
                assert lean is not None and not prepare(document, plan).warnings
                continue
            with pytest.raises(VermilionError) as refusal:
                prepare(document, plan)
            assert refusal.value.code == (Code.DOCUMENT_SIGNED if signed and asked == bound else Code.GRANT_CERTIFICATION)
            assert lean is None


def test_nothing_is_added_to_a_document_certified_against_changes(seal: Seal) -> None:
    final = seal.seal(documents.simple(), placement=Placement(certification=Certification.FINAL))
    for asked in Certification:
        with pytest.raises(VermilionError) as refusal:
            prepare(final, seal.plan(Placement(certification=asked)))
        assert refusal.value.code == Code.DOCUMENT_LOCKED


def test_a_document_certified_for_signing_takes_an_invisible_seal_but_no_mark(
    seal: Seal, other_seal: Seal, judge: Judge, picture: bytes, picture_sha256: bytes
) -> None:
    certified = seal.seal(documents.pages(2), placement=Placement(certification=Certification.FORM_FILL))
    sealed = other_seal.seal(certified)
    assert judge(sealed).good
    assert pyhanko_status(seal.authority, sealed, index=0).bottom_line
    with pytest.raises(VermilionError) as refusal:
        prepare(certified, seal.plan(marked(picture_sha256), pictures={picture_sha256: picture}))
    assert refusal.value.code == Code.DOCUMENT_LOCKED


def test_texts_stand_in_the_signature_and_empty_ones_are_absent(seal: Seal) -> None:
    sealed = seal.seal(
        documents.simple(), placement=Placement(texts=SignatureTexts(name="朱印公司", reason="同意 (contract)", location="北京"))
    )
    with pikepdf.open(io.BytesIO(sealed)) as read:
        signature = read.Root.AcroForm.Fields[0].V
        assert (str(signature.Name), str(signature.Reason), str(signature.Location)) == ("朱印公司", "同意 (contract)", "北京")
        assert "/ContactInfo" not in signature
        assert str(signature.M) == NOW.strftime("D:%Y%m%d%H%M%S+00'00'")
        assert signature.SubFilter == "/ETSI.CAdES.detached"


def test_readers_are_not_asked_to_redraw_the_form_after_the_first_seal(seal: Seal) -> None:
    document = documents.simple(catalog=b"/AcroForm << /Fields [] /NeedAppearances true >>")
    with pikepdf.open(io.BytesIO(seal.seal(document))) as read:
        assert "/NeedAppearances" not in read.Root.AcroForm
        assert int(read.Root.AcroForm.SigFlags) == 3


@pytest.mark.parametrize(
    ("action", "allowed"), [("/Action /All", False), ("/Action /Exclude /Fields [(a)]", False), ("/Action /Include /Fields [(a)]", True)]
)
def test_field_locks_of_earlier_signatures_are_respected(seal: Seal, judge: Judge, action: str, allowed: bool) -> None:
    reference = f"<< /TransformMethod /FieldMDP /TransformParams << {action} >> >>".encode()
    signature = b"<< /FT /Sig /T (x) /V << /Type /Sig /ByteRange [0 1 2 3] /Contents <00> /Reference [%b] >> >>" % reference
    document = documents.simple(catalog=b"/AcroForm << /Fields [10 0 R] >>", more={10: signature})
    if allowed:
        assert judge(seal.seal(document)).found
        return
    with pytest.raises(VermilionError, match="locks all further fields") as refusal:
        prepare(document, seal.plan())
    assert refusal.value.code == Code.DOCUMENT_LOCKED
