"""What cannot be sealed is refused with its code and a reason that a person understands; what is only broken is repaired."""

from __future__ import annotations

import io
from collections.abc import Callable

import pikepdf
import pytest

from sealcore.errors import Code, VermilionError
from signer.pdf import reasons
from signer.pdf.plan import ContentPolicy
from signer.pdf.prepare import prepare
from signer.pdf.reasons import REPAIRED
from tests.signer.pdf import documents
from tests.signer.pdf.broken import BROKEN
from tests.signer.pdf.kit import Seal, Verdict
from tests.signer.pdf.looks import by_pdfium, surplus

_PAGE = {
    1: b"<< /Type /Catalog /Pages 2 0 R >>",
    2: b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
    3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
}
_IDENTITY = b"/Encrypt << /Filter /Standard /V 4 /R 4 /Length 128 /P -4 /O (%b) /U (%b) /CF << >> /StmF /Identity /StrF /Identity >>" % (
    b"o" * 32,
    b"u" * 32,
)


def _updated(document: bytes) -> bytes:
    """With a section that holds nothing, and does not say that the document is encrypted."""
    at = len(document)
    previous = int(document[document.rindex(b"startxref") + 9 :].split()[0])
    return document + b"xref\n0 0\ntrailer\n<< /Size 4 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (previous, at)


HOPELESS: dict[str, tuple[bytes, Code]] = {
    "empty": (b"", Code.DOCUMENT_EMPTY),
    "blank": (b"\n \x00\n", Code.DOCUMENT_EMPTY),
    "text": (b"Dear Sir or Madam", Code.DOCUMENT_NOT_PDF),
    "zip": (b"PK\x03\x04" + bytes(3000), Code.DOCUMENT_NOT_PDF),
    "header alone": (b"%PDF-1.7\n", Code.DOCUMENT_DAMAGED),
    "header without version": (documents.simple().replace(b"%PDF-1.7", b"%PDF-a.b"), Code.DOCUMENT_DAMAGED),
    "bytes before the header": (b"junk\n" + documents.simple(), Code.DOCUMENT_DAMAGED),
    "no catalog": (documents.assemble({1: b"<< >>"}, root=2), Code.DOCUMENT_DAMAGED),
    "catalog of another kind": (documents.assemble({1: b"[1 2 3]"}), Code.DOCUMENT_DAMAGED),
    "no page tree": (documents.assemble({1: b"<< /Type /Catalog >>"}), Code.DOCUMENT_NO_PAGES),
    "no pages": (
        documents.assemble({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
        Code.DOCUMENT_NO_PAGES,
    ),
    "page tree in a circle": (
        documents.assemble({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"}),
        Code.DOCUMENT_NO_PAGES,
    ),
    "password": (documents.encrypted(user="secret"), Code.DOCUMENT_ENCRYPTED),
    "encrypted, though it asks for no password": (documents.encrypted(), Code.DOCUMENT_ENCRYPTED),
    "encryption that encrypts nothing": (documents.assemble({**_PAGE}, extra=_IDENTITY), Code.DOCUMENT_ENCRYPTED),
    "encryption that an older section alone names": (
        _updated(documents.assemble({**_PAGE}, extra=_IDENTITY)),
        Code.DOCUMENT_ENCRYPTED,
    ),
    "encryption of another kind": (
        documents.assemble({1: b"<< /Type /Catalog /Pages 2 0 R >>"}, extra=b"/Encrypt << /Filter /Mine /V 9 >>"),
        Code.DOCUMENT_ENCRYPTED,
    ),
    "nested without end": (documents.assemble({1: b"<< /Type /Catalog /Pages " + b"[" * 9000 + b" >>"}), Code.DOCUMENT_TOO_COMPLEX),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_what_cannot_be_sealed_is_refused_with_its_code(seal: Seal, name: str) -> None:
    document, code = HOPELESS[name]
    with pytest.raises(VermilionError) as refusal:
        prepare(document, seal.plan())
    assert refusal.value.code == code
    assert refusal.value.reason[0].islower() or refusal.value.reason[0].isdigit()
    assert "Error" not in refusal.value.reason


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_of_contents_is_rebuilt_behind_the_document(seal: Seal, judge: Callable[[bytes], Verdict], name: str) -> None:
    prepared = prepare(BROKEN[name], seal.plan())
    assert REPAIRED in prepared.warnings
    sealed = seal.finish(BROKEN[name], prepared)
    assert sealed.startswith(BROKEN[name])
    assert judge(sealed).good, judge(sealed).text
    with pikepdf.open(io.BytesIO(sealed)) as read:
        assert len(read.pages) in (1, 2, 3)
        assert not read.get_warnings()


def test_a_broken_document_that_carries_a_signature_is_not_repaired(seal: Seal) -> None:
    signed = seal.seal(documents.simple())
    with pytest.raises(VermilionError, match=r"carries signatures|cannot be read") as refusal:
        prepare(signed[: signed.rindex(b"startxref")], seal.plan())
    assert refusal.value.code == Code.DOCUMENT_DAMAGED


CHANGEABLE: dict[str, tuple[bytes, str]] = {
    "script at opening": (documents.simple(catalog=b"/OpenAction << /S /JavaScript /JS (app.alert(1)) >>"), reasons.JAVASCRIPT),
    "script with an escaped name": (documents.simple(catalog=b"/OpenAction << /S /Java#53cript /#4AS (1) >>"), reasons.JAVASCRIPT),
    "script on a page": (documents.simple(page=b"/AA << /O << /S /JavaScript /JS 10 0 R >> >>", more={10: b"(1)"}), reasons.JAVASCRIPT),
    "a program": (
        documents.simple(page=b"/Annots [<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /Launch /F (x.exe) >> >>]"),
        reasons.LAUNCH,
    ),
    "content elsewhere": (
        documents.simple(page=b"/Resources << /XObject << /X 10 0 R >> >>", more={10: b"<< /F (x) /Length 0 >>\nstream\n\nendstream"}),
        reasons.EXTERNAL,
    ),
    "a hidden layer": (
        documents.simple(catalog=b"/OCProperties << /OCGs [10 0 R] /D << /OFF [10 0 R] >> >>", more={10: b"<< /Type /OCG /Name (x) >>"}),
        reasons.HIDDEN,
    ),
    "a film": (documents.simple(page=b"/Annots [<< /Type /Annot /Subtype /RichMedia /Rect [0 0 9 9] >>]"), reasons.MULTIMEDIA),
    "a form to be redrawn": (documents.simple(catalog=b"/AcroForm << /Fields [] /NeedAppearances true >>"), reasons.REDRAWN_FORM),
}


@pytest.mark.parametrize("name", CHANGEABLE)
def test_content_that_can_change_is_reported_or_refused_as_the_seal_says(seal: Seal, judge: Callable[[bytes], Verdict], name: str) -> None:
    document, reason = CHANGEABLE[name]
    prepared = prepare(document, seal.plan())
    assert prepared.warnings == (reason,)
    assert judge(seal.finish(document, prepared)).good
    with pytest.raises(VermilionError, match=reason) as refusal:
        prepare(document, seal.plan(content_policy=ContentPolicy.STRICT))
    assert refusal.value.code == Code.DOCUMENT_CHANGEABLE


def test_a_dynamic_xfa_form_is_reported_or_refused_as_xfa(seal: Seal, judge: Callable[[bytes], Verdict]) -> None:
    document = documents.simple(catalog=b"/NeedsRendering true /AcroForm << /Fields [] /XFA 10 0 R >>", more={10: b"[]"})
    prepared = prepare(document, seal.plan())
    assert prepared.warnings == (reasons.DYNAMIC_FORM,)
    assert judge(seal.finish(document, prepared)).good
    with pytest.raises(VermilionError) as refusal:
        prepare(document, seal.plan(content_policy=ContentPolicy.STRICT))
    assert refusal.value.code == Code.DOCUMENT_XFA


def test_a_static_xfa_form_with_its_own_fields_is_sealed_without_a_word(seal: Seal) -> None:
    document = documents.simple(catalog=b"/AcroForm << /Fields [] /XFA 10 0 R >>", more={10: b"[]"})
    assert prepare(document, seal.plan(content_policy=ContentPolicy.STRICT)).warnings == ()


def test_plain_documents_pass_under_strict_without_a_word(seal: Seal) -> None:
    for name in ("classic", "object-streams", "linearized", "hybrid", "form"):
        assert prepare(documents.STRUCTURES[name](), seal.plan(content_policy=ContentPolicy.STRICT)).warnings == ()


def test_a_repair_that_would_show_something_else_is_refused(seal: Seal) -> None:
    """Readers do not agree which of several objects of one number counts: this one shows a page that the repaired table would not."""
    base = documents.simple()
    table = base.rindex(b"xref\n0 ")
    bait = b"4 0 obj\n<< >>\nendobj\n"
    rows = [b"\0\0\0\xff"] + [b"\1" + base.index(b"\n%d 0 obj" % number).__add__(1).to_bytes(2, "big") + b"\0" for number in (1, 2, 3, 4)]
    rows.append(b"\1" + (table + len(bait)).to_bytes(2, "big") + b"\0")
    data = b" ".join(row.hex().encode() for row in rows) + b">"
    head = b"5 0 obj\n<< /Type /XRef /Filter /ASCIIHexDecode /Length %d /Root 1 0 R /Size 6 /W [1 2 1] >>\nstream\n%b\nendstream\nendobj\n"
    document = base[:table] + bait + head % (len(data), data) + b"startxref\n%d\n%%%%EOF\n" % (table + len(bait))
    try:
        prepared = prepare(document, seal.plan())
    except VermilionError as refusal:
        assert refusal.code in {Code.DOCUMENT_READBACK, Code.DOCUMENT_DAMAGED}
        return
    assert not surplus(document, seal.finish(document, prepared), {}, by_pdfium)
