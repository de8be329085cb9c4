"""PDF/A and PDF/UA documents stay what they are, by either writer, or it is said or refused; veraPDF judges the rest (tests/judges)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace

import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, MarkKind, Placement, Rectangle
from signer.pdf.lean import prepare_lean, prepared_or_why_not
from signer.pdf.plan import ContentPolicy, Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.account import require_accounted_in_general
from signer.pdf.readback.quick_account import KnownLooks
from signer.pdf.reasons import PDFA_LOST, PDFUA_LOST, declared_part
from tests.judges import standards
from tests.signer.pdf.conforming import DOCUMENTS, objects, with_objects
from tests.signer.pdf.kit import Seal, Verdict, accounted, pyhanko_status, require_accounted
from tests.signer.pdf.looks import RENDERERS, surplus
from tests.signer.pdf.meaning import differences, digest_is_right

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
BOX = (400.0, 20.0, 519.0, 139.0)


def plan_with(seal: Seal, picture: bytes, policy: ContentPolicy = ContentPolicy.REPORT) -> Plan:
    digest = hashlib.sha256(picture).digest()
    return seal.plan(Placement((Mark((0,), CORNER, digest),)), pictures={digest: picture}, content_policy=policy)


def _deflated(buffer: io.BytesIO) -> bytes:
    """Without the ASCII85 that reportlab codes streams in."""
    out = io.BytesIO()
    with pikepdf.open(buffer) as opened:
        opened.save(out, deterministic_id=True, stream_decode_level=pikepdf.StreamDecodeLevel.generalized)
    return out.getvalue()


def _picture_with_font() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.drawString(10, 50, "Seal")
    canvas.save()
    return _deflated(buffer)


def _picture_in_cmyk() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.setFillColorCMYK(0, 1, 1, 0)
    canvas.rect(10, 10, 80, 80, fill=1, stroke=0)
    canvas.save()
    return _deflated(buffer)


def _translucent_picture() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.setFillAlpha(0.5)
    canvas.rect(10, 10, 80, 80, fill=1, stroke=0)
    canvas.save()
    return _deflated(buffer)


def by_lean(seal: Seal, document: bytes, plan: Plan) -> Prepared:
    """What the lean writer prepares, which means what the general one does and which the quick account recognises."""
    prepared = prepared_or_why_not(document, plan, hash_state("sha256", document))
    assert isinstance(prepared, Prepared), prepared
    assert not differences(document, prepared, prepare(document, plan))
    assert digest_is_right(document, prepared)
    assert accounted(document, prepared.suffix, plan, prepared.field_name) is not None
    assert require_accounted_in_general(document, prepared.suffix, plan, prepared.field_name)
    return prepared


@pytest.mark.parametrize("name", DOCUMENTS)
def test_such_documents_are_lean_and_look_as_before_plus_the_seal(
    seal: Seal, judge: Callable[[bytes], Verdict], picture: bytes, name: str
) -> None:
    document = DOCUMENTS[name]
    visible = plan_with(seal, picture)
    digest = next(iter(visible.pictures))
    both = seal.plan(Placement((Mark((0,), CORNER, digest), Mark((0, 1), CORNER, digest, MarkKind.RIDING))), pictures=visible.pictures)
    for plan, boxes in ((seal.plan(), {}), (visible, {0: BOX}), (both, {0: BOX, 1: BOX})):
        sealed = seal.finish(document, by_lean(seal, document, plan))
        for render in RENDERERS.values():
            assert not surplus(document, sealed, boxes, render)
    assert judge(sealed).good
    assert pyhanko_status(seal.authority, sealed).bottom_line


def test_pdfa_1_gets_no_transparency_and_no_colours_of_a_device(seal: Seal, picture: bytes) -> None:
    document = standards.pdfa(1)
    with pikepdf.open(io.BytesIO(seal.seal(document, plan_with(seal, picture)))) as read:
        look = read.pages[0].Annots[-1].AP.N
        form = look.Resources.XObject.Picture
        assert "/ExtGState" not in look.Resources and "/Group" not in form
        assert form.Resources.ColorSpace.DefaultRGB[0] == "/CalRGB"


@pytest.mark.parametrize("picture_of", [_picture_with_font, _picture_in_cmyk, _translucent_picture])
def test_a_picture_that_the_standard_forbids_is_reported_or_refused_as_the_seal_says(seal: Seal, picture_of: object) -> None:
    document, source = standards.pdfa(1), picture_of()  # type: ignore[operator]
    assert PDFA_LOST in by_lean(seal, document, plan_with(seal, source)).warnings
    strict = plan_with(seal, source, ContentPolicy.STRICT)
    assert prepare_lean(document, strict, hash_state("sha256", document)) is None
    with pytest.raises(VermilionError) as refusal:
        prepare(document, strict)
    assert refusal.value.code == Code.DOCUMENT_CONFORMANCE


@pytest.mark.parametrize("change", [(b"/ParentTree 8 0 R", b"/ParentTrue 8 0 R"), (b"/StructTreeRoot 6 0 R", b"/StructTreeRoof 6 0 R")])
def test_a_seal_outside_of_the_structure_is_reported_or_refused(seal: Seal, change: tuple[bytes, bytes]) -> None:
    document = standards.pdfua().replace(*change)
    assert PDFUA_LOST in prepare(document, seal.plan()).warnings
    with pytest.raises(VermilionError) as refusal:
        prepare(document, seal.plan(content_policy=ContentPolicy.STRICT))
    assert refusal.value.code == Code.DOCUMENT_CONFORMANCE


def test_behind_a_signature_the_structure_stays_as_it_was(seal: Seal, other_seal: Seal) -> None:
    once = seal.seal(standards.pdfua())
    prepared = by_lean(other_seal, once, replace(other_seal.plan(), field_name="Vermilion-2"))
    assert PDFUA_LOST in prepared.warnings
    assert b"/StructElem" not in prepared.suffix


TREES_LEFT_TO_THE_SANDBOX = {
    "a circle in the parent tree": (b"/Kids [10 0 R]", b"/Kids [ 8 0 R]"),
    "a key that is no number": (b"/Nums [0 [9", b"/Nums [/ [9"),
    "a parent tree that is the root itself": (b"/ParentTree 8 0 R", b"/ParentTree 6 0 R"),
    "a structure that is the catalog": (b"/StructTreeRoot 6 0 R", b"/StructTreeRoot 1 0 R"),
    "an element for the document that is a page": (b"/K 7 0 R /ParentTree", b"/K 3 0 R /ParentTree"),
    "an only kid that cannot be read": (b"/K [9 0 R 12 0 R] >>", b"/K 20 0 R         >>"),
    "an element that says its kids twice": (b"/S /Document /P 6 0 R", b"/S /Document /K 9 0 R"),
}


@pytest.mark.parametrize("name", TREES_LEFT_TO_THE_SANDBOX)
def test_an_odd_structure_is_left_to_the_sandbox(seal: Seal, name: str) -> None:
    document = standards.pdfua(parents="kids").replace(*TREES_LEFT_TO_THE_SANDBOX[name])
    assert document != standards.pdfua(parents="kids")
    assert prepare_lean(document, seal.plan(), hash_state("sha256", document)) is None


HOSTILE_TREES = {
    "another kind": (b"/S/Form", b"/S/Link"),
    "another page": (b"/Pg 3 0 R/K", b"/Pg 4 0 R/K"),
    "another parent": (b"/P 7 0 R/Pg", b"/P 6 0 R/Pg"),
    "a text in the structure's place": (b"/K[<</Type/OBJR", b"/E[<</Type/OBJR"),
    "an element less": (b"/K [9 0 R 12 0 R ", b"/K [9 0 R  9 0 R "),
    "another key": (b"/ParentTreeNextKey 3", b"/ParentTreeNextKey 4"),
    "other tabs": (b"/Tabs /S", b"/Tabs /R"),
    "another alternative": (b"/S /Document", b"/S /Sectione"),
    "another number of the annotation": (b"/StructParent 2", b"/StructParent 1"),
}


@pytest.mark.parametrize("name", HOSTILE_TREES)
@pytest.mark.parametrize("document", ["UA-1 below a document", "UA-1 with a branched parent tree"])
def test_an_update_that_tells_another_structure_is_not_accounted_for(seal: Seal, name: str, document: str) -> None:
    source, plan = DOCUMENTS[document], seal.plan()
    prepared = by_lean(seal, source, plan)
    hostile = prepared.suffix.replace(*HOSTILE_TREES[name])
    assert hostile != prepared.suffix and len(hostile) == len(prepared.suffix)
    assert accounted(source, hostile, plan, prepared.field_name) is None


@pytest.mark.parametrize(
    ("metadata", "part"),
    [
        (b'<a xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"><pdfaid:part>2</pdfaid:part>', 2),
        (b"<a xmlns:pdfaid=\"http://www.aiim.org/pdfa/ns/id/\" pdfaid:part='3'>", 3),
        (b'<a xmlns:x="http://www.aiim.org/pdfa/ns/id/" x:part = "1">', 1),
        (b'<a xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">', 1),
        (b"<a>part 2</a>", 0),
    ],
)
def test_a_declaration_is_read_in_every_spelling_of_rdf(metadata: bytes, part: int) -> None:
    assert declared_part(metadata, b"pdfa") == part
    assert declared_part(metadata, b"pdfua") == 0


@pytest.mark.parametrize("opening", [b'xmlns:x="%b"', b"xmlns:x = '%b'", b'xmlns="%b"', b"<!-- %b -->", b'a="%b" xmlns:x\n=\n"%b"'])
@pytest.mark.parametrize("part", [b'x:part="1"', b"<x:part> 2 </x:part>", b"<pdfaid:part>3<", b'x:part=1 x:part = "2"', b"<x:part>0<", b""])
def test_both_writers_read_a_declaration_alike(seal: Seal, picture: bytes, opening: bytes, part: bytes) -> None:
    """Of documents with an output intent: part 1 alone asks for opaque marks, and for a look of an invisible field."""
    text = opening.replace(b"%b", b"http://www.aiim.org/pdfa/ns/id/") + b" " + part
    document = _with_metadata(standards.pdfa(2), text)
    for plan in (seal.plan(), plan_with(seal, picture)):
        by_lean(seal, document, plan)


@pytest.mark.parametrize("spelling", ["utf-16", "utf-16-be", "utf-32", "references", "hexadecimal references"])
def test_a_declaration_is_read_in_every_spelling_of_xml(seal: Seal, picture: bytes, spelling: str) -> None:
    """Else the document would lose its conformance, and nobody would be told."""
    source = standards.pdfa(1)
    text = _metadata(source).decode()
    form = {"references": "&#0%d;", "hexadecimal references": "&#x%02X;"}.get(spelling)
    data = text.replace("/ns/", form % ord("/") + "ns/").encode() if form is not None else text.encode(spelling)
    document, plan = _with_metadata(source, data), plan_with(seal, picture)
    for prepared in (by_lean(seal, document, plan), prepare(document, plan)):
        assert b"/Multiply" not in prepared.suffix and b"/Transparency" not in prepared.suffix
        require_accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())


def test_marks_are_laid_on_opaque_in_no_other_document(seal: Seal, picture: bytes) -> None:
    """A look that was judged right for PDF/A would hide what stands below it in any other document."""
    declaring, plan, known = standards.pdfa(1), plan_with(seal, picture), KnownLooks()
    opaque = by_lean(seal, declaring, plan)
    assert accounted(declaring, opaque.suffix, plan, opaque.field_name, known) is not None
    # The same bytes but for a letter of the namespace, so that it is an update of this document, too.
    silent = declaring.replace(b"http://www.aiim.org/pdfa/ns/id/", b"http://www.aiim.org/pdfa/ns/ie/")
    assert accounted(silent, opaque.suffix, plan, opaque.field_name, known) is None
    with pytest.raises(VermilionError, match="a mark shows something else"):
        require_accounted(silent, opaque.suffix, plan, opaque.field_name, known)
    multiplied = by_lean(seal, silent, plan)
    assert accounted(silent, multiplied.suffix, plan, multiplied.field_name, known) is not None
    assert accounted(declaring, opaque.suffix, plan, opaque.field_name, known) is not None


def _metadata(document: bytes) -> bytes:
    return next(body for body in objects(document).values() if b"<rdf:RDF" in body).partition(b"stream\n")[2].removesuffix(b"\nendstream")


def _with_metadata(document: bytes, data: bytes) -> bytes:
    number = next(number for number, body in objects(document).items() if b"<rdf:RDF" in body)
    body = b"<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%b\nendstream" % (len(data), data)
    return with_objects(document, {number: body})
