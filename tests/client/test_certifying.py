"""What is certified is settled before anybody approves: by the form, else by the seal, and never over signatures that are there."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import pikepdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.fields import MDPPerm

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle
from tests.client.conftest import House
from tests.signer.office import document
from tests.verify.office import Office as Supplier
from tests.verify.office import page_document
from vermilion.client import Document
from vermilion.client.certifying import Carried, carried, certified
from vermilion.use_cases import placing

pytestmark = pytest.mark.xdist_group("client")

NONE, FINAL, FORM_FILL = Certification.NONE, Certification.FINAL, Certification.FORM_FILL
MARK = Mark((0,), Rectangle(72_000, 72_000, 191_000, 191_000), bytes(32))


@pytest.fixture(scope="module")
def supplier() -> Supplier:
    return Supplier()


@pytest.fixture(scope="module")
def signed(supplier: Supplier) -> Document:
    return Document("signed.pdf", supplier.sign(page_document(), field_name="Theirs").data)


@pytest.fixture(scope="module")
def plain() -> Document:
    return Document("plain.pdf", page_document())


def certifying(supplier: Supplier, level: MDPPerm) -> Document:
    return Document("certified.pdf", supplier.sign(page_document(), field_name="Theirs", certify=level).data)


def test_what_a_document_carries_is_found_wherever_it_is_written(
    supplier: Supplier, signed: Document, plain: Document, tmp_path: Path
) -> None:
    assert carried(plain) == Carried() and carried(signed) == Carried(signed=True)
    for level in MDPPerm:
        assert carried(certifying(supplier, level)) == Carried(signed=True, permission=level.value)
    assert isinstance(signed.source, bytes)
    file = tmp_path / "signed.pdf"
    file.write_bytes(signed.source)
    assert carried(Document("file", file)).signed
    with pikepdf.open(file) as pdf:  # a field within a field, its type inherited, the form in compressed objects
        (field,) = pdf.Root.AcroForm.Fields
        kid = pdf.make_indirect(pikepdf.Dictionary(T=pikepdf.String("kid"), V=field.V))
        pdf.Root.AcroForm.Fields = pikepdf.Array(
            [pdf.make_indirect(pikepdf.Dictionary(T=pikepdf.String("top"), FT=pikepdf.Name.Sig, Kids=[kid, kid]))]
        )
        pdf.save(tmp_path / "nested.pdf", object_stream_mode=pikepdf.ObjectStreamMode.disable)
    assert carried(Document("nested", tmp_path / "nested.pdf")).signed


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n/ByteRange", b"/ByteRange junk", b"%PDF-1.4\ntrailer<</Root 1 0 R>>/ByteRange"])
def test_what_cannot_be_read_is_left_to_the_signer(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.pdf"
    file.write_bytes(content)
    for each in (Document("bytes", content), Document("file", file)):
        assert carried(each) == Carried()
        assert certified(Placement(), None, FINAL)(each).certification == FINAL


def test_an_empty_signature_field_is_no_signature(plain: Document) -> None:
    assert isinstance(plain.source, bytes)
    writer = IncrementalPdfFileWriter(io.BytesIO(plain.source))
    fields.append_signature_field(writer, fields.SigFieldSpec("Later", box=(72, 72, 200, 120)))
    out = io.BytesIO()
    writer.write(out)
    prepared = Document("prepared.pdf", out.getvalue() + b"\n% /ByteRange\n")
    assert carried(prepared) == Carried() and certified(Placement(), None, FORM_FILL)(prepared).certification == FORM_FILL


@pytest.mark.parametrize("default", [FINAL, FORM_FILL])
def test_the_form_decides_then_the_seal_and_signatures_of_others_before_both(
    plain: Document, signed: Document, default: Certification
) -> None:
    for said in (*Certification, None):
        assert certified(Placement(), said, default)(plain).certification == (default if said is None else said)
        assert certified(Placement(), partial(lambda given, _document: given, said), default)(plain).certification == (
            default if said is None else said
        )
    assert certified(Placement(certification=FINAL), None, default)(plain).certification == FINAL
    assert certified(Placement(certification=FINAL), NONE, default)(plain).certification == NONE
    for said in (None, NONE):
        assert certified(Placement(), said, default)(signed).certification == NONE


@pytest.mark.parametrize("level", [FINAL, FORM_FILL])
def test_a_certification_that_is_asked_for_a_signed_document_is_refused_by_name(signed: Document, level: Certification) -> None:
    for place, said in ((Placement(), level), (Placement(certification=level), None)):
        with pytest.raises(VermilionError) as refused:
            certified(place, said, FINAL)(signed)
        assert refused.value.code is Code.DOCUMENT_SIGNED and refused.value.document == "signed.pdf"


def test_a_document_that_may_not_be_sealed_or_marked_is_refused_by_name(supplier: Supplier) -> None:
    final, filling = certifying(supplier, MDPPerm.NO_CHANGES), certifying(supplier, MDPPerm.FILL_FORMS)
    for document_, place in ((final, Placement()), (final, Placement((MARK,))), (filling, Placement((MARK,)))):
        with pytest.raises(VermilionError) as refused:
            certified(place, None, FORM_FILL)(document_)
        assert refused.value.code is Code.DOCUMENT_LOCKED and refused.value.document == "certified.pdf"
    assert certified(Placement(), None, FORM_FILL)(filling).certification == NONE
    assert certified(Placement((MARK,)), None, FORM_FILL)(certifying(supplier, MDPPerm.ANNOTATE)).certification == NONE


def test_documents_that_are_sealed_alike_share_their_placement(plain: Document) -> None:
    place = certified(Placement((MARK,)), None, FINAL)
    assert place(plain) is place(replace(plain, file_name="other.pdf"))


def test_a_plan_beside_the_folder_says_it_for_each_document(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers.toml").write_text(
        '["a.pdf"]\ncertification = "none"\n["b.pdf"]\nreason = "b"\n["c.pdf"]\ncertification = "final"\n'
    )
    plan = placing.load(tmp_path / "papers")
    named = [Document(name, b"") for name in ("a.pdf", "b.pdf", "c.pdf", "d.pdf")]
    assert list(map(placing.certify(plan), named)) == [NONE, None, FINAL, None]
    assert list(map(placing.certify(plan, FORM_FILL), named)) == [NONE, FORM_FILL, FINAL, FORM_FILL]


# --- through a real workflow and a real signer


def test_a_form_that_says_nothing_is_sealed_as_its_seal_is_registered(house: House, signed: Document, tmp_path: Path) -> None:
    papers = [Document("a.pdf", document("Certified")), replace(signed, file_name="b.pdf")]
    form = house.approved(papers, placement=Placement())
    assert [entry.placement.certification for entry in form.entries] == [FORM_FILL, NONE], "shown to those who approve, bound in the leaf"
    outcomes = house.office.seal(form, papers, tmp_path / "out")
    assert [one.outcome for one in outcomes] == ["sealed", "sealed"]
    assert [_level(one.path) for one in outcomes] == [FORM_FILL, NONE]


def test_none_is_there_for_a_form_that_asks_for_it(house: House, tmp_path: Path) -> None:
    papers = [Document("a.pdf", document("Uncertified")), Document("b.pdf", document("Final"))]
    form = house.approved(papers, certification=lambda one: NONE if one.file_name == "a.pdf" else FINAL)
    assert [_level(one.path) for one in house.office.seal(form, papers, tmp_path / "out")] == [NONE, FINAL]


def test_a_second_seal_is_an_approval_signature_and_none_comes_after_a_final_one(house: House, tmp_path: Path) -> None:
    first = [Document("first.pdf", document("Two seals")), Document("final.pdf", document("One seal"))]
    form = house.approved(first, certification=lambda one: FINAL if one.file_name == "final.pdf" else None)
    twice, final = (one.path for one in house.office.seal(form, first, tmp_path / "one"))
    assert twice is not None and final is not None
    again = house.approved([Document("first.pdf", twice)])
    (outcome,) = house.office.seal(again, [Document("first.pdf", twice)], tmp_path / "two")
    assert outcome.outcome == "sealed" and _level(outcome.path) == NONE
    before = {one.number for one in house.office.forms()}
    for mark in ((), (replace(MARK, picture_sha256=hashlib.sha256(house.staff.picture).digest()),)):
        with pytest.raises(VermilionError) as refused:
            house.office.apply(house.seal(), [Document("final.pdf", final)], title="Once more", placement=Placement(mark))
        assert refused.value.code is Code.DOCUMENT_LOCKED and "final" in refused.value.reason
    with pytest.raises(VermilionError) as marked:
        house.office.apply(house.seal(), [Document("first.pdf", twice)], title="Marked", placement=Placement((MARK,)))
    assert marked.value.code is Code.DOCUMENT_LOCKED
    assert {one.number for one in house.office.forms()} == before, "nobody is asked to approve what cannot be sealed"


def test_under_a_grant_the_library_certifies_as_the_seal_does(house: House, signed: Document, tmp_path: Path) -> None:
    until = int(house.brief.context.nbf) + 600
    form = house.office.apply_grant(house.seal(), uses=4, until=until, title="Standing")
    house.decide(form, house.staff.bo, house.staff.chen)
    papers = [Document("a.pdf", document("Granted")), replace(signed, file_name="b.pdf")]
    outcomes = house.office.seal(house.office.wait_approved(form.number, timeout_s=30), papers, tmp_path / "out")
    assert [(one.outcome, _level(one.path)) for one in outcomes] == [("sealed", FORM_FILL), ("sealed", NONE)]


def _level(path: Path | None) -> Certification:
    """Of the last signature."""
    assert path is not None
    with pikepdf.open(path) as pdf:
        signature = pdf.Root.AcroForm.Fields[-1].V
        return Certification(int(signature.Reference[0].TransformParams.P)) if "/Reference" in signature else NONE
