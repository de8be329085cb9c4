"""A document with several signatures: every finding stands under the signature that it is about, in every form of the answer."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from sealcore.clock import FixedClock
from tests.verify.broken import CONTAINERS, with_container
from tests.verify.office import NOW, Office, issue, page_document
from verify.catalogue import LANGUAGES
from verify.report import Report, SealKind
from verify.verifier import verify
from verify.web.pages import Office as PageOffice
from verify.web.pages import result_page
from vermilion.cli.verifying import show

PAGE = PageOffice("Example Seal Office", "00" * 32, 1024)


@pytest.fixture(scope="module")
def supplier() -> Office:
    made = Office()
    made.seal = issue("Supplier Seal", made.seals.identity, organisation="Supplier Ltd")
    return made


@pytest.fixture(scope="module")
def countersigned(office: Office, supplier: Office) -> bytes:
    """Signed by a supplier, then sealed by us, twice."""
    theirs = supplier.sign(page_document(), field_name="Supplier", at=NOW - timedelta(minutes=9))
    first = office.sign(theirs.data, field_name="Ours1")
    return office.sign(first.data, field_name="Ours2", at=NOW - timedelta(minutes=2)).data


def _report(office: Office, document: bytes, language: str = "en") -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW), name="contract.pdf", language=language)


def _sections(report: Report, capsys: pytest.CaptureFixture[str], headings: list[str]) -> list[str]:
    """What the command line prints under each signature's heading."""
    show(report, "en")
    printed = capsys.readouterr().out
    starts = [printed.index(heading) for heading in headings]
    return [printed[start:end] for start, end in zip(starts, [*starts[1:], len(printed)], strict=True)]


def test_the_command_line_says_under_the_suppliers_signature_that_others_followed(
    office: Office, supplier: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = supplier.sign(page_document(), field_name="Supplier", at=NOW - timedelta(minutes=9))
    report = _report(office, office.sign(theirs.data, field_name="Ours").data)
    headings = ["Signature of somebody else · Supplier Seal", "Seal 1 · Contract Seal"]
    under_theirs, under_ours = _sections(report, capsys, headings)
    assert "SIGNED_LATER" in under_theirs and "Further signatures were added after this one." in under_theirs
    assert "SIGNED_LATER" not in under_ours and "Further signatures" not in under_ours and "LEDGER_NOT_ASKED" in under_ours


def test_the_same_finding_about_two_seals_is_said_of_each(office: Office, countersigned: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    headings = ["Signature of somebody else · Supplier Seal", "Seal 1 · Contract Seal", "Seal 2 · Contract Seal"]
    theirs, first, second = _sections(_report(office, countersigned), capsys, headings)
    assert all("SIGNED_LATER" in each for each in (theirs, first)) and "SIGNED_LATER" not in second
    assert "LEDGER_NOT_ASKED" not in theirs and all("LEDGER_NOT_ASKED" in each for each in (first, second))


def test_a_single_seal_needs_no_heading(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    show(_report(office, office.sign(page_document()).data), "en")
    printed = capsys.readouterr().out
    assert "Seal 1" not in printed and "LEDGER_NOT_ASKED" in printed


def test_a_broken_signature_that_is_alone_is_named(office: Office, supplier: Office, capsys: pytest.CaptureFixture[str]) -> None:
    broken = with_container(supplier.sign(page_document(), field_name="Supplier").data, CONTAINERS["container of junk"])
    report = _report(office, broken)
    (under_theirs,) = _sections(report, capsys, ["Signature of somebody else · Supplier"])
    assert "SIGNATURE_UNREADABLE" in under_theirs
    (tile,) = _tiles(result_page(PAGE, "en", report))
    assert "SIGNATURE_UNREADABLE" in tile and "Signature of somebody else · Supplier" in tile


def test_the_page_lists_each_finding_with_its_signature(office: Office, countersigned: bytes) -> None:
    theirs, first, second = _tiles(result_page(PAGE, "en", _report(office, countersigned)))
    assert "Supplier Seal" in theirs and "Further signatures were added after this one." in theirs
    assert "Further signatures were added after this seal." in first and "SIGNED_LATER" not in second


def test_the_rows_of_the_page_are_about_what_is_no_seal_of_ours(office: Office, countersigned: bytes) -> None:
    page = result_page(PAGE, "en", _report(office, countersigned))
    rows = page[page.index('<dl class="rows">') : page.index('<section class="section"><h2>Details')]
    assert "SIGNED_LATER" not in rows and "Every sealed byte is as it was" in unescape(rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_keeps_findings_with_their_signature_and_speaks_of_signatures_of_others(
    office: Office, countersigned: bytes, language: str
) -> None:
    report = _report(office, countersigned, language)
    theirs, first, second = report.as_dict()["seals"]
    assert not report.findings and theirs["kind"] == SealKind.FOREIGN
    (others,), ours = theirs["findings"], first["findings"]
    assert others["code"] == "SIGNED_LATER" and others["sentence"] not in [each["sentence"] for each in ours]
    assert [each["code"] for each in second["findings"]] == ["LEDGER_NOT_ASKED"]


def _tiles(page: str) -> list[str]:
    return re.findall(r'<article class="tile">.*?</article>', page, re.DOTALL)
