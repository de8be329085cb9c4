"""Pages and files of odd but lawful kinds: what an honest step adds is permitted there too, and what an attacker adds is found there too."""

from __future__ import annotations

import io
from collections.abc import Callable

import pikepdf
import pytest
from pyhanko.sign.fields import MDPPerm
from reportlab.pdfgen import canvas

from sealcore.clock import FixedClock
from tests.attacks.appended import ATTACKS, Writer, catalog, free_number, information_of, page_of, update
from tests.attacks.forms import fill, order_form
from tests.attacks.repairing import root_of
from tests.verify.office import NOW, Office, written
from verify.opinion import Comparison, Spot
from verify.report import Report, Verdict
from verify.steps.drawing import compare
from verify.verifier import verify

LOOK = "BT /Helv 12 Tf 0 g 2 5 Td (Jane) Tj ET"
TEXT = (60, 775, 300, 800)  # where the page says the price


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


def told(office: Office, document: bytes) -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW))


def with_page(document: bytes, key: bytes, value: bytes) -> bytes:
    """The document with an entry of its page."""
    writer, out = Writer(io.BytesIO(document)), io.BytesIO()
    page = page_of(writer)
    number = writer.root["/Pages"]["/Kids"].raw_get(0).idnum
    page.pop(key.decode(), None)
    page.write_to_stream(out)
    return update(document, {number: out.getvalue().rstrip()[:-2] + key + b" " + value + b">>"})


def hybrid(document: bytes) -> bytes:
    """An object in an object stream that only readers of cross-reference streams see (ISO 32000-2 §7.5.8.4)."""
    number, root = free_number(document), root_of(document)
    head = b"%d 0 " % number
    data = head + b"<</Hidden true>>"
    body = b"\n"

    def place() -> int:
        return len(document) + len(body)

    packed = place()
    body += b"%d 0 obj\n<</Type/ObjStm/N 1/First %d/Length %d>>\nstream\n%b\nendstream\nendobj\n" % (number + 1, len(head), len(data), data)
    stream = place()
    rows = b"".join(
        kind.to_bytes(1, "big") + where.to_bytes(4, "big") + bytes(2) for kind, where in ((2, number + 1), (1, packed), (1, stream))
    )
    entries = b"/Type/XRef/W[1 4 2]/Index[%d 3]/Size %d/Root %d 0 R/Length %d" % (number, number + 3, root, len(rows))
    body += b"%d 0 obj\n<<%b>>\nstream\n%b\nendstream\nendobj\n" % (number + 2, entries, rows)
    changed = place()
    private = b"/PieceInfo<</X<</LastModified(D:2026)/Private %d 0 R>>>>>>" % number
    body += b"%d 0 obj\n%b%b\nendobj\n" % (root, catalog(document), private)
    start, reader = place(), Writer(io.BytesIO(document)).prev
    free = b"0000000000 00000 f \n"
    table = b"xref\n0 1\n0000000000 65535 f \n%d 1\n%010d 00000 n \n%d 3\n%b" % (root, changed, number, free * 3)
    assert reader.last_startxref is not None
    trailer = b"/Size %d/Prev %d/Root %d 0 R/XRefStm %d" % (number + 3, reader.last_startxref, root, stream)
    return document + body + table + b"trailer\n<<%b%b>>\nstartxref\n%d\n%%%%EOF\n" % (trailer, information_of(reader), start)


def linearized(document: bytes) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(document)) as opened:
        opened.save(out, linearize=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    assert b"/Linearized 1" in out.getvalue()[:200]
    return out.getvalue()


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "units of ten": lambda document: with_page(document, b"/UserUnit", b"10"),
    "a very tall page": lambda document: with_page(document, b"/MediaBox", b"[0 0 595 72000]"),
    "a page with a corner below zero, turned": lambda document: with_page(
        with_page(document, b"/MediaBox", b"[-300 -300 595 842]"), b"/Rotate", b"270"
    ),
    "a hybrid-reference file": hybrid,
    "a linearized file": linearized,
}


@pytest.mark.parametrize("kind", KINDS)
def test_steps_after_a_seal_over_an_odd_file(office: Office, kind: str) -> None:
    sealed = office.sign(KINDS[kind](order_form()), certify=MDPPerm.FILL_FORMS, strict=False).data

    def filled() -> bytes:
        writer = Writer(io.BytesIO(sealed), strict=False)
        fill(writer, "name", "Jane", LOOK)
        return written(writer)

    def attacked() -> bytes:
        writer = Writer(io.BytesIO(sealed), strict=False)
        ATTACKS["an unsigned signature field that covers the price"](writer)
        return written(writer)

    for step, verdict in (
        (filled, Verdict.VALID),
        (lambda: office.sign(sealed, field_name="Later", box=(300, 100, 400, 140), strict=False).data, Verdict.VALID),
        (lambda: office.sign(sealed, field_name="Later", box=TEXT, strict=False).data, Verdict.UNDETERMINED),
        (attacked, Verdict.INVALID),
    ):
        assert told(office, step()).verdict is verdict


def test_an_update_that_points_to_a_hidden_stream_of_cross_references_is_a_change(office: Office) -> None:
    sealed = office.sign(order_form(), certify=MDPPerm.FILL_FORMS).data
    assert told(office, hybrid(sealed)).verdict is Verdict.INVALID


def test_a_page_too_large_to_be_compared_is_not_compared(office: Office) -> None:
    document = with_page(order_form(), b"/MediaBox", b"[0 0 595 14400000]")
    sealed = office.sign(document, certify=MDPPerm.FILL_FORMS).data
    report = told(office, office.sign(sealed, field_name="Later", box=TEXT).data)
    assert report.verdict is Verdict.UNDETERMINED
    assert "LOOKS_NOT_COMPARED" in {each.code for each in report.seals[0].findings}


@pytest.mark.parametrize(
    ("box", "doubt"),
    [
        ((60, 783, 300, 785), "COVERED_LATER"),
        ((100, 770, 102, 800), "COVERED_LATER"),
        ((60, 300, 300, 302), None),
        ((60, 300, 62, 310), None),
    ],
)
def test_a_signature_as_thin_as_a_line_covers_what_it_strikes_out(box: tuple[float, float, float, float], doubt: str | None) -> None:
    document = order_form()
    (found,) = compare(document, [Comparison(0, len(document), (Spot(1, box, covers=True),))])
    assert (found and found[0]) == doubt


@pytest.mark.parametrize(
    ("size", "letters", "box"),
    [
        ((8, 11), 0.16, (1.0, 8.95, 2.6, 9.2)),
        ((8, 11), 0.16, (1.0, 8.95, 2.9, 9.15)),
        ((4, 11), 0.08, (0.9, 8.96, 2.9, 9.9)),
        ((595, 842), 12, (92.4, 719.8, 94.2, 721.8)),  # the decimal point alone
        ((595, 842), 60, (175.9, 719.7, 185.0, 729.0)),
    ],
)
def test_a_signature_covers_small_letters_of_small_pages_and_single_signs(
    size: tuple[float, float], letters: float, box: tuple[float, float, float, float]
) -> None:
    """/UserUnit shows a page of a few units as large as any other."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=(size[0], max(size)), invariant=True)
    sheet.setFont("Helvetica-Bold", letters)
    sheet.drawString(72 if size[0] > 8 else 1, 720 if size[0] > 8 else 9, "100.00")
    sheet.showPage()
    sheet.save()
    document = with_page(out.getvalue(), b"/UserUnit", b"75" if size[0] <= 8 else b"1")
    (found,) = compare(document, [Comparison(0, len(document), (Spot(1, box, covers=True),))])
    assert found is not None and found[0] == "COVERED_LATER"
