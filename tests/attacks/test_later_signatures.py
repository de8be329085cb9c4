"""Signatures, document timestamps and values that others add after a seal: what is permitted, and how it is told."""

from __future__ import annotations

import ctypes
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers import PdfTimeStamper

from sealcore.clock import FixedClock
from tests.attacks import appended
from tests.attacks.appended import ATTACKS, PRICE, Writer, carried_out, contract
from tests.verify.office import NOW, Office, issue, written
from verify.facts import fact
from verify.opinion import Comparison, Spot
from verify.report import Answer, Change, Report, Seal, Verdict
from verify.sandbox import Sandbox
from verify.steps import drawing as looks
from verify.trust import TrustMaterial
from verify.verifier import verify

SOON = NOW - timedelta(minutes=1)
MARGIN = (60, 100, 260, 160)


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def stranger() -> Office:
    return Office()


@pytest.fixture(scope="module")
def sealed(office: Office) -> bytes:
    """The contract, sealed so that others may sign."""
    return office.sign(contract(), certify=MDPPerm.FILL_FORMS).data


@pytest.fixture(scope="module")
def plain(office: Office) -> bytes:
    """The same without certification."""
    return office.sign(contract()).data


def told(office: Office, document: bytes, trust: TrustMaterial | None = None) -> Report:
    return verify(document, trust or office.trust(), None, clock=FixedClock(NOW))


def seal_of(report: Report) -> Seal:
    return next(each for each in report.seals if each.field == "Seal1")


def timestamped(document: bytes, by: Office, unit: Office | None = None, *, box: tuple[int, int, int, int] | None = None) -> bytes:
    """With a document timestamp, on request in a field that shows."""
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    if box is not None:
        fields.append_signature_field(writer, fields.SigFieldSpec("Stamp", box=box))
        field = appended.field_of(writer, len(writer.root["/AcroForm"]["/Fields"]) - 1)
        field["/AP"] = appended.entries(N=appended.look(writer))
        writer.update_container(field)
    stamper = PdfTimeStamper((unit or by).stamper(SOON), field_name="Stamp")
    with ThreadPoolExecutor(max_workers=1) as aside:
        return aside.submit(stamper.timestamp_pdf, writer, "sha256").result().getvalue()


@pytest.mark.parametrize("level", [None, MDPPerm.NO_CHANGES, MDPPerm.FILL_FORMS])
def test_a_document_timestamp_of_ours_that_shows_nothing_is_named(office: Office, level: MDPPerm | None) -> None:
    report = told(office, timestamped(office.sign(contract(), certify=level).data, office))
    assert report.verdict is Verdict.VALID, seal_of(report)
    assert "a document timestamp" in report.sentence and "document_timestamp" in seal_of(report).changed.kinds


def test_a_document_timestamp_of_a_stranger_is_undetermined_and_one_that_shows_a_change(
    office: Office, stranger: Office, plain: bytes
) -> None:
    assert told(office, timestamped(plain, stranger)).verdict is Verdict.UNDETERMINED
    assert told(office, timestamped(plain, stranger, box=PRICE)).verdict is Verdict.INVALID
    assert told(office, timestamped(plain, office, box=PRICE)).verdict is Verdict.INVALID


@pytest.mark.parametrize("level", [None, MDPPerm.NO_CHANGES, MDPPerm.FILL_FORMS])
def test_a_strangers_signature_in_a_field_of_indirect_corners_is_a_change(
    office: Office, stranger: Office, level: MDPPerm | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyhanko.sign.signers.PdfSigner._enforce_certification_constraints", lambda *_: None)
    monkeypatch.setattr(generic.IndirectObject, "__sub__", lambda a, b: a.get_object() - b.get_object(), raising=False)  # as a viewer would
    document = office.sign(contract(), certify=level).data
    with_field = carried_out(document, ATTACKS["a widget whose rectangle holds indirect numbers"])
    report = told(office, stranger.sign(with_field, field_name="Later", at=SOON).data)
    assert report.verdict is Verdict.INVALID


def test_a_signature_field_that_was_there_may_be_signed_on_blank_ground(office: Office, stranger: Office) -> None:
    for box, ours, theirs in ((MARGIN, Verdict.VALID, Verdict.UNDETERMINED), (PRICE, Verdict.UNDETERMINED, Verdict.UNDETERMINED)):
        writer = Writer(io.BytesIO(contract()))
        fields.append_signature_field(writer, fields.SigFieldSpec("Customer", box=box))
        document = office.sign(written(writer), certify=MDPPerm.FILL_FORMS).data
        for by, verdict in ((office, ours), (stranger, theirs)):
            report = told(office, by.sign(document, field_name="Customer", at=SOON).data)
            assert report.verdict is verdict, seal_of(report)
            added = seal_of(report).changed.additions[0]
            assert (added.field, added.page, added.rectangle) == ("Customer", 1, tuple(map(float, box)))


def test_a_signer_below_an_outside_root_is_permitted_and_named(office: Office, stranger: Office, sealed: bytes) -> None:
    customer = issue("Customer", stranger.seals.identity, organisation="Customer Ltd")
    document = stranger.sign(sealed, by=customer, field_name="Customer", box=MARGIN, at=SOON).data
    trust = replace(
        office.trust(),
        signer_anchors=(stranger.root.identity.certificate,),
        signer_issuers=(stranger.seals.identity.certificate,),
        crls=(*office.trust().crls, stranger.root.crl(), stranger.seals.crl()),
    )
    report = told(office, document, trust)
    assert report.verdict is Verdict.VALID, seal_of(report)
    assert "further signatures" in report.sentence
    added = seal_of(report).changed.additions[0]
    assert (added.kind, added.signer, added.trusted, added.page) == ("signature", "Customer Ltd", Answer.YES, 1)
    for less in (replace(trust, crls=office.trust().crls), office.trust()):
        assert told(office, document, less).verdict is not Verdict.VALID
    over = stranger.sign(sealed, by=customer, field_name="Customer", box=PRICE, at=SOON).data
    assert told(office, over, trust).verdict is Verdict.UNDETERMINED
    alone = told(office, stranger.sign(contract(), by=customer).data, trust)
    assert alone.verdict is Verdict.UNDETERMINED  # it is nobody's seal


def test_a_form_that_pdfium_filled_in_is_permitted(office: Office, sealed: bytes) -> None:
    report = told(office, filled_by_pdfium(sealed, "250 EUR"))
    assert report.verdict is Verdict.VALID, seal_of(report)
    assert seal_of(report).changed.fields == ("amount",) and "form fields filled in" in report.sentence


def filled_by_pdfium(document: bytes, value: str) -> bytes:
    """As a person does it in a browser that uses PDFium."""
    with pypdfium2.PdfDocument(document) as opened:
        opened.init_forms()
        form, page = opened.formenv, opened[0]
        pdfium.FORM_OnLButtonDown(form, page, 0, 100, 610)
        pdfium.FORM_OnLButtonUp(form, page, 0, 100, 610)
        pdfium.FORM_SelectAllText(form, page)
        text = ctypes.create_string_buffer(f"{value}\0".encode("utf-16-le"))
        pdfium.FORM_ReplaceSelection(form, page, ctypes.cast(text, ctypes.POINTER(ctypes.c_ushort)))
        pdfium.FORM_ForceToKillFocus(form)
        out = io.BytesIO()
        opened.save(out, flags=pdfium.FPDF_INCREMENTAL)
        page.close()
    return out.getvalue()


LOOKS = {
    "the value": (b"/Tx BMC q BT /Helv 12 Tf 2 5 Td (250) Tj ET Q EMC", Verdict.VALID),
    "the value in two lines": (b"/Tx BMC BT /Helv 8 Tf 2 12 Td (2) Tj 0 -8 Td (50) Tj ET EMC", Verdict.VALID),
    "another text": (b"/Tx BMC BT /Helv 12 Tf 2 5 Td (259) Tj ET EMC", Verdict.INVALID),
    "more than the value": (b"/Tx BMC BT /Helv 12 Tf 2 5 Td (250) Tj (0) Tj ET EMC", Verdict.INVALID),
    "the value's characters in another order": (b"/Tx BMC BT /Helv 12 Tf 40 5 Td (2) Tj -20 0 Td (50) Tj ET EMC", Verdict.INVALID),
    "characters pushed back": (b"/Tx BMC BT /Helv 12 Tf 40 5 Td [(2) 3000 (50)] TJ ET EMC", Verdict.INVALID),
    "a drawing over the value": (b"/Tx BMC BT /Helv 12 Tf 2 5 Td (250) Tj ET 0 0 120 20 re f EMC", Verdict.INVALID),
    "digits drawn as lines": (b"10 2 m 10 18 l S /Tx BMC BT /Helv 12 Tf 2 5 Td (250) Tj ET EMC", Verdict.INVALID),
    "digits drawn as boxes": (b"10 2 2 16 re f /Tx BMC BT /Helv 12 Tf 2 5 Td (250) Tj ET EMC", Verdict.INVALID),
    "invisible text": (b"/Tx BMC BT 3 Tr /Helv 12 Tf 2 5 Td (250) Tj ET EMC", Verdict.INVALID),
    "text outside of the field": (b"/Tx BMC BT /Helv 12 Tf 900 5 Td (250) Tj ET EMC", Verdict.INVALID),
    "an unknown font": (b"/Tx BMC BT /Evil 12 Tf 2 5 Td (250) Tj ET EMC", Verdict.INVALID),
    "a picture": (b"/Tx BMC BT /Helv 12 Tf 2 5 Td (250) Tj ET /X Do EMC", Verdict.INVALID),
}


@pytest.mark.parametrize("title", LOOKS)
def test_a_values_look_shows_the_value_and_nothing_else(office: Office, sealed: bytes, title: str) -> None:
    content, verdict = LOOKS[title]

    def fill(writer: Writer) -> None:
        field = appended.field_of(writer)
        old = field["/AP"]["/N"]
        kept = {key: value for key, value in dict.items(old) if key not in ("/Length", "/Filter")}
        field["/V"] = appended.text("250")
        field["/AP"] = appended.entries(N=writer.add_object(generic.StreamObject(generic.DictionaryObject(kept), stream_data=content)))
        writer.update_container(field)

    report = told(office, carried_out(sealed, fill))
    assert report.verdict is verdict, seal_of(report)


def test_what_the_first_opinion_missed_the_drawn_pages_show(sealed: bytes) -> None:
    """The second opinion by itself, as if the first had found nothing."""
    end = len(sealed)
    nothing = (Comparison(0, end),)
    for title, seen in (
        ("an annotation over the price: Stamp", True),
        ("the page's content overwritten in place", True),
        ("the page's crop box", True),
        ("a page added", True),
        ("the look of a form field overwritten in place", True),
        ("another title of the file", False),
    ):
        (doubt,) = looks.compare(carried_out(sealed, ATTACKS[title]), nothing)
        assert (doubt is not None and doubt[0] == "LOOKS_CHANGED") is seen, title
    spot = Spot(1, tuple(map(float, PRICE)), covers=True)  # type: ignore[arg-type]
    (doubt,) = looks.compare(carried_out(sealed, ATTACKS["an annotation over the price: Stamp"]), (Comparison(0, end, (spot,)),))
    assert doubt == ("COVERED_LATER", fact("part_page", page=1))


def test_more_pages_than_are_drawn_leave_it_undetermined(office: Office) -> None:
    document = office.sign(contract(pages=looks.MOST_PAGES + 1)).data
    assert told(office, document).verdict is Verdict.VALID  # nothing was added: nothing is drawn
    report = told(office, timestamped(document, office))
    assert report.verdict is Verdict.UNDETERMINED and seal_of(report).changed.state is Change.UNKNOWN
    assert {each.code for each in seal_of(report).findings} >= {"LOOKS_NOT_COMPARED"}


def test_both_opinions_in_the_sandbox_say_the_same(office: Office, sealed: bytes) -> None:
    second = office.sign(sealed, field_name="Second", box=MARGIN, at=SOON).data
    over = office.sign(sealed, field_name="Second", box=PRICE, at=SOON).data
    sandbox = Sandbox()
    try:
        for document in (second, over, timestamped(sealed, office)):
            apart = verify(document, office.trust(), None, clock=FixedClock(NOW), reader=sandbox.read)
            assert apart == told(office, document)
    finally:
        sandbox.close()
