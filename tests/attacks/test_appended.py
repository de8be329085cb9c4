"""What is appended to a sealed file so that it shows or means something else is never *valid*, and nothing visible *unchanged*.

Incremental saving, shadow, certification and evil annotation attacks (Mladenov et al., CCS 2019; Mainka et al., NDSS 2021; Rohlmann et
al., S&P 2021), and those that used the leniency of a list of permitted changes.
"""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers import PdfSigner

from sealcore.clock import FixedClock
from tests.attacks import appended
from tests.attacks.appended import ATTACKS, COVER, RAW, Writer, carried_out, contract
from tests.verify.office import NOW, Office, fill_in, written
from verify.report import Change, Report, Verdict
from verify.steps.changes.filling import locks_of
from verify.verifier import verify

LEVELS = {"not certified": None, "final": MDPPerm.NO_CHANGES, "form-fill": MDPPerm.FILL_FORMS}
SOON = NOW - timedelta(minutes=1)
MARGIN = (60, 100, 260, 160)  # where the page is blank


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def stranger() -> Office:
    return Office()


@pytest.fixture(scope="module")
def sealed(office: Office) -> dict[str, bytes]:
    """The contract under each certification."""
    return {title: office.sign(contract(), certify=certify).data for title, certify in LEVELS.items()}


def told(office: Office, document: bytes) -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW))


def seal_of(report: Report) -> object:
    return next(each for each in report.seals if each.field == "Seal1")


def require_no_clean_bill(report: Report) -> None:
    assert report.verdict is not Verdict.VALID, report.sentence
    changed = next(each.changed for each in report.seals if each.field == "Seal1")
    assert changed.state not in (Change.NONE, Change.PERMITTED), changed


@pytest.mark.parametrize("title", ATTACKS)
def test_an_update_that_shows_or_means_something_else_is_a_change(office: Office, sealed: dict[str, bytes], title: str) -> None:
    levels = LEVELS if "signature" in title or "store" in title or "widget" in title or "look" in title else ["not certified"]
    for level in levels:
        report = told(office, carried_out(sealed[level], ATTACKS[title]))
        require_no_clean_bill(report)
        assert report.verdict is Verdict.INVALID, report.sentence


@pytest.mark.parametrize("title", RAW)
def test_what_is_no_proper_update_is_a_change(office: Office, sealed: dict[str, bytes], title: str) -> None:
    report = told(office, RAW[title](sealed["not certified"]))
    assert report.verdict is not Verdict.VALID, report.sentence


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("box", [appended.PRICE, MARGIN, (0, 0, 595, 842), None], ids=["price", "margin", "page", "invisible"])
def test_a_strangers_signature_is_never_part_of_a_valid_document(  # noqa: PLR0917
    office: Office,
    stranger: Office,
    sealed: dict[str, bytes],
    box: tuple[int, int, int, int] | None,
    level: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PdfSigner, "_enforce_certification_constraints", lambda *_: None)  # an attacker's tool asks nobody
    report = told(office, stranger.sign(sealed[level], field_name="Stranger", box=box, at=SOON).data)
    require_no_clean_bill(report)
    assert report.verdict is (Verdict.UNDETERMINED if level == "not certified" else Verdict.INVALID)


def test_a_later_signature_of_ours_on_blank_ground_is_named_and_over_ink_undetermined(office: Office, sealed: dict[str, bytes]) -> None:
    for box, verdict in ((MARGIN, Verdict.VALID), (appended.PRICE, Verdict.UNDETERMINED)):
        report = told(office, office.sign(sealed["form-fill"], field_name="Second", box=box, at=SOON).data)
        (added, *_) = seal_of(report).changed.additions  # type: ignore[attr-defined]
        assert (added.kind, added.field, added.page, added.rectangle) == ("seal", "Second", 1, tuple(map(float, box)))
        assert report.verdict is verdict, report.sentence
    assert "COVERED_LATER" in {each.code for each in seal_of(report).findings}  # type: ignore[attr-defined]


@pytest.mark.parametrize("between", ["update", "look"])
def test_what_comes_between_or_after_later_seals_is_a_change(office: Office, sealed: dict[str, bytes], between: str) -> None:
    second = office.sign(sealed["form-fill"], field_name="Second", box=MARGIN, at=SOON).data

    def change(writer: Writer) -> None:
        if between == "update":
            ATTACKS["an annotation over the price: Stamp"](writer)
            return
        normal = appended.field_of(writer, 4)["/AP"].raw_get("/N")
        writer.objects[(normal.generation, normal.idnum)] = generic.StreamObject(
            appended.entries(Type=appended.name("XObject"), Subtype=appended.name("Form"), BBox=appended.numbers(0, 0, 200, 60)),
            stream_data=COVER,
        )

    changed = carried_out(second, change)
    assert told(office, changed).verdict is Verdict.INVALID
    third = office.sign(changed, field_name="Third", at=SOON).data
    require_no_clean_bill(told(office, third))
    assert told(office, third).verdict is Verdict.INVALID


def test_a_later_signature_that_does_not_reach_the_end_of_its_update_is_a_change(office: Office, sealed: dict[str, bytes]) -> None:
    second = office.sign(sealed["not certified"], field_name="Second", box=MARGIN, at=SOON).data
    report = told(office, second + b"% more\n")
    require_no_clean_bill(report)


def test_a_reference_that_led_nowhere_when_it_was_sealed_must_not_lead_somewhere_later(office: Office) -> None:
    writer = Writer(io.BytesIO(contract()))
    page = appended.page_of(writer)
    nowhere = generic.IndirectObject(40, 0, writer)
    page["/Contents"] = generic.ArrayObject([page.raw_get("/Contents"), nowhere])
    writer.update_container(page)
    document = office.sign(written(writer), certify=MDPPerm.FILL_FORMS).data
    assert told(office, document).verdict is Verdict.VALID
    assert appended.free_number(document) < 40
    later = appended.update(document, {40: b"<</Length %d>>\nstream\n%b\nendstream" % (len(COVER), COVER)})
    require_no_clean_bill(told(office, later))
    certificate = b"<</Length 2>>\nstream\n\x30\x00\nendstream"
    root = PdfFileReader(io.BytesIO(document)).root_ref.idnum
    store = appended.update(document, {40: certificate, root: appended.catalog(document) + b"/DSS<</Certs[40 0 R]>>>>"})
    require_no_clean_bill(told(office, store))


def test_an_object_that_vanishes_under_another_generation_is_a_change(office: Office, sealed: dict[str, bytes]) -> None:
    content = appended.page_content(sealed["final"])
    gone = appended.update(sealed["final"], {content: b"null"})
    gone = gone.replace(b"\n%d 0 obj\nnull" % content, b"\n%d 1 obj\nnull" % content)
    entry = gone.rindex(b" 00000 n ")
    require_no_clean_bill(told(office, gone[:entry] + b" 00001 n " + gone[entry + 9 :]))


def test_a_lock_holds_whatever_the_encoding_of_its_names(office: Office) -> None:
    locks = locks_of([{"/TransformMethod": "/FieldMDP", "/TransformParams": {"/Action": "/Include", "/Fields": [b"\xfe\xff\0a\0b"]}}])
    assert locks.hold("ab") and locks.hold("ab.c") and not locks.hold("a")
    assert locks_of([{"/TransformMethod": "/Unknown"}]).hold("anything")


def test_a_store_that_was_sealed_as_the_pages_content_cannot_grow(office: Office) -> None:
    """Prepared before sealing: the store's array of certificates is the page's array of contents."""
    writer = Writer(io.BytesIO(contract()))
    page = appended.page_of(writer)
    shared = writer.add_object(generic.ArrayObject([page.raw_get("/Contents")]))
    page["/Contents"] = shared
    writer.update_container(page)
    writer.root["/DSS"] = writer.add_object(appended.entries(Certs=shared))
    writer.update_root()
    document = office.sign(written(writer)).data

    def grow(writer: Writer) -> None:
        array = writer.root["/DSS"]["/Certs"]
        array.append(writer.add_object(appended.stream(b"\x30\x00")))
        writer.update_container(array)

    require_no_clean_bill(told(office, carried_out(document, grow)))


def test_white_space_alone_changes_nothing(office: Office, sealed: dict[str, bytes]) -> None:
    assert told(office, sealed["final"] + b"\r\n\0 \n").verdict is Verdict.VALID


def test_values_filled_in_are_named_and_the_states_of_a_box_are_those_it_had(office: Office, sealed: dict[str, bytes]) -> None:
    def check(writer: Writer) -> None:
        field = appended.field_of(writer, 2)
        field["/V"] = field["/AS"] = appended.name("Yes")
        writer.update_container(field)

    for document in (fill_in(sealed["form-fill"], "250"), carried_out(sealed["form-fill"], check)):
        report = told(office, document)
        assert report.verdict is Verdict.VALID, seal_of(report)
        assert "form fields filled in" in report.sentence
    assert told(office, fill_in(sealed["final"], "250")).verdict is Verdict.INVALID


def test_more_objects_than_anybody_needs_are_undetermined(office: Office, sealed: dict[str, bytes]) -> None:
    first = appended.free_number(sealed["final"])
    report = told(office, appended.update(sealed["final"], dict.fromkeys(range(first, first + 21_000), b"null")))
    assert report.verdict in (Verdict.UNDETERMINED, Verdict.INVALID)
