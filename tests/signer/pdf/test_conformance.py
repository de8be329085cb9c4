"""PDF/A and PDF/UA documents leave the lean way, and what cannot be kept is said or refused; veraPDF judges the rest (tests/judges)."""

from __future__ import annotations

import hashlib
import io
import re

import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import ContentPolicy, Plan
from signer.pdf.prepare import prepare
from signer.pdf.readback.quick_account import KnownLooks
from signer.pdf.reasons import PDFA_LOST, PDFUA_LOST, declared_part
from tests.judges import standards
from tests.signer.pdf.documents import assemble
from tests.signer.pdf.kit import Seal, require_accounted
from tests.signer.pdf.looks import RENDERERS, surplus

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
BOX = (400.0, 20.0, 519.0, 139.0)


def plan_with(seal: Seal, picture: bytes, policy: ContentPolicy = ContentPolicy.REPORT) -> Plan:
    digest = hashlib.sha256(picture).digest()
    return seal.plan(Placement((Mark((0,), CORNER, digest),)), pictures={digest: picture}, content_policy=policy)


def _picture_with_font() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.drawString(10, 50, "Seal")
    canvas.save()
    return buffer.getvalue()


def _picture_in_cmyk() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.setFillColorCMYK(0, 1, 1, 0)
    canvas.rect(10, 10, 80, 80, fill=1, stroke=0)
    canvas.save()
    return buffer.getvalue()


def _translucent_picture() -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100), invariant=1)
    canvas.setFillAlpha(0.5)
    canvas.rect(10, 10, 80, 80, fill=1, stroke=0)
    canvas.save()
    return buffer.getvalue()


@pytest.mark.parametrize("document", [standards.pdfa(1), standards.pdfa(2, intent="none"), standards.pdfua()], ids=["A-1b", "A-2b", "UA-1"])
def test_such_documents_leave_the_lean_way_and_look_as_before_plus_the_seal(seal: Seal, picture: bytes, document: bytes) -> None:
    for plan, boxes in ((seal.plan(), {}), (plan_with(seal, picture), {0: BOX})):
        assert prepare_lean(document, plan, hash_state("sha256", document)) is None
        sealed = seal.finish(document, prepare(document, plan))
        for render in RENDERERS.values():
            assert not surplus(document, sealed, boxes, render)


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
    assert PDFA_LOST in prepare(document, plan_with(seal, source)).warnings
    with pytest.raises(VermilionError) as refusal:
        prepare(document, plan_with(seal, source, ContentPolicy.STRICT))
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
    prepared = prepare(once, other_seal.plan())
    assert PDFUA_LOST in prepared.warnings
    assert b"/StructElem" not in prepared.suffix


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


@pytest.mark.parametrize("spelling", ["utf-16", "utf-16-be", "utf-32", "references", "hexadecimal references"])
def test_a_declaration_is_read_in_every_spelling_of_xml(seal: Seal, picture: bytes, spelling: str) -> None:
    """Else the document would lose its conformance, and nobody would be told."""
    source = standards.pdfa(1)
    objects = {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\n(.*?)\nendobj\n", source, re.DOTALL)}
    number = next(number for number, body in objects.items() if b"<rdf:RDF" in body)
    text = objects[number].partition(b"stream\n")[2].removesuffix(b"\nendstream").decode()
    form = {"references": "&#0%d;", "hexadecimal references": "&#x%02X;"}.get(spelling)
    data = text.replace("/ns/", form % ord("/") + "ns/").encode() if form is not None else text.encode(spelling)
    objects[number] = b"<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%b\nendstream" % (len(data), data)
    document, plan = assemble(objects, extra=b"/ID[<00><00>]"), plan_with(seal, picture)
    assert prepare_lean(document, plan, hash_state("sha256", document)) is None
    prepared = prepare(document, plan)
    assert b"/Multiply" not in prepared.suffix and b"/Transparency" not in prepared.suffix
    require_accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())
