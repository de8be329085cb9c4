"""A seal shows on the pages that were approved and on no other, whatever the document shares between its pages; by either writer."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from sealcore.errors import Code, Kind, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, MarkKind, Placement, Rectangle
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal
from tests.signer.pdf.looks import RENDERERS, surplus
from tests.signer.pdf.shared import _CATALOG, _COMMON, _NOTE, SHARED, _document, _packed, _page

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
BOX = (400.0, 20.0, 519.0, 139.0)


_NODE = b"<< /Type /Pages /Parent 2 0 R /Kids %b /Count 1 >>"
REPEATED: dict[str, bytes] = {
    "in one array of kids": _document([_page()], kids=b"3 0 R 3 0 R"),
    "with another between": _document([_page(), _page()], kids=b"3 0 R 4 0 R 3 0 R"),
    "by way of a node that stands twice": _document([_page(parent=10)], {10: _NODE % b"[3 0 R]"}, kids=b"10 0 R 10 0 R"),
    "in two nodes": _document([_page()], {10: _NODE % b"[3 0 R]"}, kids=b"3 0 R 10 0 R"),
    "in two nodes that share their kids": _document(
        [_page(parent=10)], {10: _NODE % b"12 0 R", 11: _NODE % b"12 0 R", 12: b"[3 0 R]"}, kids=b"10 0 R 11 0 R"
    ),
    "with its name of kids escaped": _document(
        [_page()], {10: b"<< /Type /Pages /Parent 2 0 R /K#69ds [3 0 R] /Count 1 >>"}, kids=b"3 0 R 10 0 R"
    ),
}


def _repeated_in_streams() -> bytes:
    """A flat tree in an object stream that names one page twice (qpdf would mend it)."""
    bodies = {1: _CATALOG, 2: b"<< /Type /Pages /Kids [3 0 R 3 0 R] /Count 2 >>", 3: _page()}
    offsets, data = [], b""
    for number, body in bodies.items():
        offsets.append(b"%d %d" % (number, len(data)))
        data += body + b"\n"
    head = b" ".join(offsets) + b"\n"
    packed = zlib.compress(head + data)
    out, places = bytearray(b"%PDF-1.7\n"), {}
    for number, body in (
        *_COMMON.items(),
        (
            10,
            b"<< /Type /ObjStm /N 3 /First %d /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(head), len(packed), packed),
        ),
    ):
        places[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = places[11] = len(out)
    rows = b"\0\0\0\0" + b"".join(b"\2\0\x0a%c" % index for index in range(3)) + b"\0\0\0\0" * 4
    rows += b"".join(b"\1%b\0" % places[number].to_bytes(2, "big") for number in (8, 9, 10, 11))
    out += b"11 0 obj\n<< /Type /XRef /Size 12 /W [1 2 1] /Root 1 0 R /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (len(rows), rows)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


REPEATED["in object streams"] = _repeated_in_streams()


def _lean(document: bytes, plan: Plan) -> Prepared | None:
    return prepare_lean(document, plan, hash_state("sha256", document))


WRITERS: dict[str, Callable[[bytes, Plan], Prepared | None]] = {"lean": _lean, "pyHanko": prepare}


@pytest.fixture
def plan_for(seal: Seal, picture: bytes, picture_sha256: bytes) -> Callable[..., Plan]:
    """A plan with a mark on these pages, one after the other or riding."""

    def plan(*pages: int, riding: bool = False) -> Plan:
        kind = MarkKind.RIDING if riding else MarkKind.PLAIN
        return seal.plan(Placement((Mark(pages, CORNER, picture_sha256, kind),)), pictures={picture_sha256: picture})

    return plan


def _assert_marked(seal: Seal, document: bytes, plan: Plan, prepared: Prepared) -> None:
    sealed = seal.finish(document, prepared)
    boxes = {page: BOX for mark in plan.placement.marks for page in mark.pages}
    for name, render in RENDERERS.items():
        assert not surplus(document, sealed, boxes, render), (name, surplus(document, sealed, boxes, render))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("shared", SHARED)
def test_what_pages_share_does_not_carry_the_seal_to_other_pages(
    seal: Seal, plan_for: Callable[..., Plan], writer: str, shared: str
) -> None:
    document = SHARED[shared]
    for plan in (plan_for(0), plan_for(0, 1, riding=True)):
        prepared = WRITERS[writer](document, plan)
        if prepared is None:
            prepared = prepare(document, plan)  # left to the sandbox
        _assert_marked(seal, document, plan, prepared)


@pytest.mark.parametrize("repeated", REPEATED)
def test_a_page_that_stands_twice_is_not_marked(plan_for: Callable[..., Plan], repeated: str) -> None:
    document = REPEATED[repeated]
    for plan in (plan_for(0), plan_for(0, 1, riding=True)):
        assert _lean(document, plan) is None
        with pytest.raises(VermilionError) as refusal:
            prepare(document, plan)
        assert refusal.value.kind is Kind.DOCUMENT
        assert refusal.value.code in {Code.DOCUMENT_PAGE_REPEATED, Code.MARK_OFF_PAGE}


def test_a_page_beside_one_that_stands_twice_is_marked(seal: Seal, plan_for: Callable[..., Plan]) -> None:
    document, plan = REPEATED["with another between"], plan_for(1)
    _assert_marked(seal, document, plan, prepare(document, plan))


@pytest.mark.parametrize("repeated", REPEATED)
def test_an_invisible_seal_needs_no_page_of_its_own(seal: Seal, repeated: str) -> None:
    document = REPEATED[repeated]
    prepared = prepare(document, seal.plan())
    _assert_marked(seal, document, seal.plan(), prepared)


@pytest.mark.parametrize("packed", [False, True])
def test_annotations_that_hang_above_the_page_are_refused(plan_for: Callable[..., Plan], packed: bool) -> None:
    """/Annots is not inherited (ISO 32000-2 table 31), yet some readers do: for them the seal would take the others' place."""
    tree = b"<< /Type /Pages /Kids [3 0 R] /Count 1 /Annots [13 0 R] >>"
    document = documents.assemble({1: _CATALOG, 2: tree, 3: _page(), **_COMMON, 13: _NOTE})
    document = _packed(document) if packed else document
    assert _lean(document, plan_for(0)) is None
    with pytest.raises(VermilionError, match="above the page") as refusal:
        prepare(document, plan_for(0))
    assert refusal.value.code == Code.DOCUMENT_DAMAGED


def test_trees_in_which_every_page_stands_once_stay_lean(plan_for: Callable[..., Plan]) -> None:
    deep = _document([_page(parent=10), _page(parent=11)], {10: _NODE % b"[3 0 R]", 11: _NODE % b"[4 0 R]"}, kids=b"10 0 R 11 0 R")
    for document in (documents.pages(3), documents.object_streams(), deep, documents.form(), SHARED["an empty array"]):
        assert _lean(document, plan_for(0)) is not None


@pytest.mark.parametrize("writer", WRITERS)
def test_the_number_of_a_cross_reference_stream_is_not_given_out_again(seal: Seal, writer: str) -> None:
    """The section's own number need not be in its table, nor below /Size."""
    base = documents.xref_stream()
    for number in (70, 71, 6):
        document = base.replace(b"5 0 obj\n<< /Type /XRef", b"%d 0 obj\n<< /Type /XRef" % number)
        document = document[: document.rindex(b"startxref")] + b"startxref\n%d\n%%%%EOF\n" % document.rindex(b"%d 0 obj" % number)
        document = document.replace(b"/Size 6", b"/Size %d" % number) if number == 70 else document
        document = document.replace(b"/W [1 4 1]", b"/Index [0 6] /W [1 4 1]")
        prepared = WRITERS[writer](document, seal.plan())
        assert prepared is not None
        assert b"\n%d 0 obj" % number not in prepared.suffix
        seal.finish(document, prepared)


@pytest.mark.parametrize("writer", WRITERS)
def test_the_number_of_an_object_that_no_table_names_is_not_given_out(seal: Seal, writer: str) -> None:
    base = documents.simple()
    table = base.rindex(b"xref\n0 ")
    lost = b"".join(b"%d 0 obj\n(lost)\nendobj\n" % number for number in (10, 21))
    document = base[:table] + lost + base[table:].replace(b"startxref\n%d" % table, b"startxref\n%d" % (table + len(lost)))
    prepared = WRITERS[writer](document, seal.plan())
    assert prepared is not None
    assert b"\n10 0 obj" not in prepared.suffix and b"\n21 0 obj" not in prepared.suffix
    seal.finish(document, prepared)
