"""Broken and hostile documents: the lean writer leaves them to the sandbox, or does just what the sandbox would do; it never fails."""

from __future__ import annotations

import io
import mmap
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.pdfium import require_found
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, accounted
from tests.signer.pdf.meaning import differences, digest_is_right
from tests.signer.pdf.mutated import mutated

LONGEST_S = 3.0  # of CPU on a hostile document: an idle machine takes a tenth


def by_lean(document: bytes, plan: Plan) -> Prepared | None:
    return prepare_lean(document, plan, hash_state("sha256", document))


def require_same(document: bytes, plan: Plan) -> bool:
    """Whether it was lean; then the sandbox's writer must have done the same."""
    ours = by_lean(document, plan)
    if ours is None:
        return False
    theirs = prepare(document, plan)
    assert digest_is_right(document, ours)
    require_found(document, ours)
    assert ours.warnings == theirs.warnings
    if not dangles(document):
        assert not differences(document, ours, theirs)
    return True


def dangles(document: bytes) -> bool:
    """Whether it refers to objects beyond its last: what is added takes those numbers, in each writer's own order."""
    last = max((int(number) for number in re.findall(rb"(\d{1,9})\s+\d+\s+obj", document)), default=0)
    return any(int(number) > last for number in re.findall(rb"(\d{1,9})\s+\d+\s+R", document))


@given(document=mutated(), visible=st.booleans())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_mutated_document_is_left_to_the_sandbox_or_prepared_the_same(
    seal: Seal, picture: bytes, picture_sha256: bytes, document: bytes, visible: bool
) -> None:
    mark = Mark((0,), Rectangle(20_000, 20_000, 60_000, 60_000), picture_sha256)
    require_same(document, seal.plan(Placement((mark,) if visible else ()), pictures={picture_sha256: picture}))


@given(data=st.binary(max_size=400), keep=st.integers(0, 3000))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_there_is_never_an_error(seal: Seal, data: bytes, keep: int) -> None:
    source = documents.simple()
    for document in (data, b"%PDF-1.7\n" + data, source[:keep] + data, source + data):
        by_lean(document, seal.plan())


@pytest.mark.parametrize("name", documents.STRUCTURES)
def test_every_truncation_is_left_to_the_sandbox(seal: Seal, name: str) -> None:
    document, plan = documents.STRUCTURES[name](), seal.plan()
    end = len(document.rstrip())
    for size in range(0, end, max(1, end // 150)):
        if b"%%EOF" not in document[max(0, size - 8) : size]:  # where an earlier version ends, the file is whole
            assert by_lean(document[:size], plan) is None, size


def _number(value: int) -> bytes:
    return b"%010d" % value


BASE = documents.simple()
TABLE = BASE.rindex(b"xref\n0 ")
ROWS = TABLE + len(b"xref\n0 5\n")
NOT_LEAN = {
    "bytes before the header": b"\n" + BASE,
    "bytes behind the end": BASE + b"x",
    "rubbish behind the end": BASE + b"<html>",
    "no end": BASE[: BASE.rindex(b"%%EOF")],
    "startxref off by one": BASE.replace(b"startxref\n%d" % TABLE, b"startxref\n%d" % (TABLE + 1)),
    "startxref at the end": BASE.replace(b"startxref\n%d" % TABLE, b"startxref\n%d" % len(BASE)),
    "rows of 19 bytes": BASE.replace(b" n \n", b" n\n"),
    "a row with blanks": BASE[: ROWS + 60] + b"         9" + BASE[ROWS + 70 :],
    "a row of another type": BASE[: ROWS + 60] + BASE[ROWS + 60 :].replace(b" n ", b" x ", 1),
    "the catalog is elsewhere": BASE[: ROWS + 20] + _number(BASE.index(b"2 0 obj")) + BASE[ROWS + 30 :],
    "the page is elsewhere": BASE[: ROWS + 60] + _number(BASE.index(b"4 0 obj")) + BASE[ROWS + 70 :],
    "the page is freed": BASE[: ROWS + 60] + BASE[ROWS + 60 :].replace(b" n ", b" f ", 1),
    "another generation": BASE[: ROWS + 60] + BASE[ROWS + 60 :].replace(b"00000 n", b"00001 n", 1),
    "a circle of sections": BASE.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % TABLE),
    "an older section that is none": BASE.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev 12"),
    "a key twice in the trailer": BASE.replace(b"/Root 1 0 R", b"/Root 1 0 R /Root 2 0 R"),
    "a key with escapes": BASE.replace(b"/Root 1 0 R", b"/Root 1 0 R /R#6fot 2 0 R"),
    "a page twice its own": documents.simple(page=b"/Type /Pages"),
    "a catalog with two forms": documents.simple(catalog=b"/AcroForm << /Fields [] >> /AcroForm << >>"),
    "a catalog with a form in escapes": documents.simple(catalog=b"/Acro#46orm << /Fields [] >>"),
    "a key twice within a value": documents.simple(page=b"/Group << /S /Transparency /S /Other >>"),
    "a key twice deep within a value": documents.simple(catalog=b"/A [<< /B << /C 1 /D [] /C 2 >> >>]"),
    "a key twice within a value, once in escapes": documents.simple(page=b"/Group << /S /Transparency /#53 /Other >>"),
    "a key twice among many": documents.simple(page=b"/A << %b /A7 1 >>" % b"".join(b"/A%d 0" % n for n in range(300))),
    "a key twice in the trailer's values": documents.assemble({1: b"<< /Type /Catalog >>"}, extra=b"/Info << /A 1 /A 2 >>"),
    "an XFA that cannot be read": documents.simple(catalog=b"/AcroForm << /Fields [] /XFA 10 0 R >>", more={10: b"[(x]"}),
    "a number sign without digits in a name": documents.simple(catalog=b"/Version /1#2x7"),
    "a name that has NUL": documents.simple(page=b"/Tabs /S#00"),
    "a comment in a hexadecimal string": documents.assemble(
        {1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", 3: b"<< /Type /Page /Parent 2 0 R >>"},
        extra=b"/ID [<0011%x\n22> <33>]",
    ),
    "a comment in a hexadecimal string of a page": documents.simple(page=b"/Hint <0011%x\n22>"),
    "a comment in a reference": documents.simple(page=b"/Resources 10 % x\n 0 R", more={10: b"<< >>"}),
    "a comment in a reference of the trailer": BASE.replace(b"/Root 1 0 R", b"/Root 1 0 % x\n R"),
    "a comment right behind a number": documents.simple(page=b"/Resources 10% x\n 0 R", more={10: b"<< >>"}),
    "another parent": documents.simple().replace(b"/Parent 2 0 R", b"/Parent 1 0 R"),
    "a form drawn by readers, with a widget on a page": documents.simple(
        catalog=b"/AcroForm << /NeedAppearances true >>", page=b"/Annots [<< /Subtype /Widget /FT /Tx /Rect [0 0 9 9] >>]"
    ),
    "a form drawn by readers, with a widget in escapes": documents.simple(
        catalog=b"/AcroForm << /NeedAppearances true >>", page=b"/Annots [<< /Subtype /Wi#64get /FT /Tx /Rect [0 0 9 9] >>]"
    ),
    "a form drawn by readers, with a field": documents.simple(
        catalog=b"/AcroForm << /NeedAppearances true /Fields [10 0 R] >>", more={10: b"<< /FT /Tx /T (x) /V (y) >>"}
    ),
    "a form that says oddly who draws it": documents.simple(catalog=b"/AcroForm << /NeedAppearances 10 0 R >>", more={10: b"true"}),
    "a catalog that says oddly who draws the form": documents.simple(
        catalog=b"/NeedsRendering 11 0 R /AcroForm << /Fields [] /XFA [] >>", more={11: b"true"}
    ),
    "encrypted": documents.encrypted(),
    "an object that does not end": BASE.replace(b">>\nendobj\n3 0 obj", b">>\nendxxx\n3 0 obj"),
    "script": documents.simple(catalog=b"/OpenAction << /S /JavaScript /JS (1) >>") + b" x",
    "field locks": documents.simple(
        catalog=b"/AcroForm << /Fields [10 0 R] >>",
        more={
            10: b"<< /FT /Sig /T (x) /V << /Type /Sig /ByteRange [0 1 2 3] /Contents <00> "
            b"/Reference [<< /TransformMethod /FieldMDP /TransformParams << /Action /All >> >>] >> >>"
        },
    ),
    "a field under two names": documents.simple(catalog=b"/AcroForm << /Fields [10 0 R 10 0 R] >>", more={10: b"<< /T (x) >>"}),
    "the name of a field in Latin-1": documents.simple(catalog=b"/AcroForm << /Fields [10 0 R] >>", more={10: b"<< /T (\xe9) >>"}),
}


@pytest.mark.parametrize("name", NOT_LEAN)
def test_what_is_odd_is_left_to_the_sandbox(seal: Seal, name: str) -> None:
    assert by_lean(NOT_LEAN[name], seal.plan()) is None


def test_what_readers_may_take_in_two_ways_lies_hidden_in_no_packed_object(seal: Seal) -> None:
    """An object stream whose head names an object twice, or one that the cross-references count otherwise."""
    source = documents.object_streams()
    assert by_lean(source, seal.plan()) is not None
    with pikepdf.open(io.BytesIO(source)) as opened:
        stream = next(each for each in opened.objects if isinstance(each, pikepdf.Stream) and each.get("/Type") == "/ObjStm")
        data, raw = stream.read_bytes(), stream.read_raw_bytes()
    first = data.split(b" ")[0]
    for changed in (data.replace(first + b" ", b"9" * len(first) + b" ", 1), b"x" + data[1:]):
        packed = next(each for each in (zlib.compress(changed, level) for level in range(10)) if len(each) <= len(raw) + 200)
        document = source.replace(raw, packed[: len(raw)] if len(packed) > len(raw) else packed.ljust(len(raw), b"\n"))
        assert by_lean(document, seal.plan()) is None


def _bomb(kind: bytes) -> bytes:
    data = zlib.compress(bytes(100_000_000), 9)
    return b"<< /Type /%b /N 1 /First 4 /W [1 4 2] /Size 100000 /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (
        *(kind, len(data), data),
    )


def _with_xref_stream(objects: dict[int, bytes]) -> bytes:
    """A file whose cross-reference stream is as given in ``objects``, the last of them."""
    base = documents.assemble(objects)
    number = max(objects)
    return base[: base.rindex(b"xref\n0 ")] + b"startxref\n%d\n%%%%EOF\n" % base.index(b"\n%d 0 obj" % number)


CATALOG = {1: b"<< /Type /Catalog /Pages 2 0 R >>"}
HOSTILE = {
    "a cross-reference stream that blows up": lambda: _with_xref_stream(CATALOG | {5: _bomb(b"XRef")}),
    "a table with very many rows": lambda: BASE[:TABLE] + b"xref\n0 9999999999\n" + BASE[ROWS:],
    "very many runs": lambda: BASE[:TABLE] + b"xref\n" + b"".join(b"%d 0\n" % n for n in range(200_000)) + BASE[TABLE + 5 :],
    "deep arrays": lambda: documents.assemble({1: b"<< /Type /Catalog /Pages " + b"[" * 200_000 + b" >>"}),
    "deep dictionaries": lambda: documents.assemble({1: b"<</A" * 100_000 + b">>" * 100_000}),
    "deep strings": lambda: documents.assemble({1: b"<< /Type /Catalog /A " + b"(" * 500_000 + b" >>"}),
    "escaped parentheses in a string without end": lambda: documents.assemble(
        {1: b"<< /Type /Catalog /A (" + b"\\(" * 100_000 + b" % >>"}, extra=b"/B (" + b"\\(" * 100_000 + b" %"
    ),
    "escapes alone": lambda: documents.simple(more={10: b"(" + b"/#41" * 1_000_000 + b")"}),
    "slashes alone": lambda: documents.simple(more={10: b"(" + b"/" * 4_000_000 + b")"}),
    "digits alone": lambda: BASE[: BASE.rindex(b"startxref")] + b"startxref\n" + b"9" * 1_000_000 + b"\n%%EOF\n",
    "comments alone": lambda: documents.assemble({1: b"%\n" * 1_000_000 + b"<< >>"}),
    "numbers alone": lambda: documents.simple(page=b"/Annots [" + b"1 0 " * 1_000_000 + b"]"),
    "a very wide page tree": lambda: documents.assemble(
        CATALOG | {2: b"<< /Type /Pages /Count 1 /Kids [" + b"3 0 R " * 500_000 + b"] >>", 3: b"<< /Type /Page /Parent 2 0 R >>"}
    ),
    "script in a large document": lambda: documents.simple(
        catalog=b"/OpenAction << /S /JavaScript /JS (1) >> /Many 10 0 R",
        more={10: b"[" + b"".join(b"%d 0 R " % n for n in range(11, 20_000)) + b"]"} | dict.fromkeys(range(11, 20_000), b"[[[[]]]]"),
    ),
    "a circle of pages": lambda: documents.assemble(
        CATALOG | {n: b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (n - 1, n % 40 + 2) for n in range(2, 42)}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_take_neither_long_nor_much(seal: Seal, name: str) -> None:
    document = HOSTILE[name]()
    plan, digest = seal.plan(), hash_state("sha256", document)
    started = time.thread_time()
    prepare_lean(document, plan, digest)
    assert time.thread_time() - started < LONGEST_S


def test_a_memory_map_gives_the_same(seal: Seal, tmp_path: Path) -> None:
    for name, make in documents.STRUCTURES.items():
        document = make()
        path = tmp_path / "document.pdf"
        path.write_bytes(document)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert prepare_lean(mapped, seal.plan(), hash_state("sha256", document)) == by_lean(document, seal.plan()), name


def test_nothing_of_it_loads_a_pdf_library() -> None:
    code = "import sys, signer.pdf.lean, signer.pdf.lean_plan; print([m for m in sys.modules if m.startswith(('pyhanko', 'pypdfium2', 'pikepdf'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TREES = {  # of three pages, the mark on the first
    "a later kid that is no page": (b"5 0 obj\n<< /Type /Page ", b"5 0 obj\n<< /Type /Pate "),
    "a later kid without a type": (b"5 0 obj\n<< /Type /Page ", b"5 0 obj\n<< /Tipe /Page "),
    "a later kid of another parent": (b"/Parent 2 0 R /Rotate 180", b"/Parent 1 0 R /Rotate 180"),
    "a later kid that cannot be read": (b"/Parent 2 0 R /Rotate 180", b"/Parent 2 0 R /Rotate (18"),
    "a later kid that is a stream": (b"5 0 R] /Count", b"8 0 R] /Count"),
    "a page too many": (b"/Count 3", b"/Count 4"),
}


@pytest.mark.parametrize("name", TREES)
def test_a_page_tree_that_is_not_in_order_gets_no_mark_the_lean_way(seal: Seal, picture: bytes, picture_sha256: bytes, name: str) -> None:
    """Whatever is wrong in it, and wherever: readers do not agree how many pages there are."""
    page = b"<< /Type /Page /Parent 2 0 R /Rotate %d /MediaBox [0 0 595 842] >>"
    tree = {1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>"}
    content = b"<< /Length 1 >>\nstream\nq\nendstream"
    whole = documents.assemble(tree | {3: page % 0, 4: page % 90, 5: page % 180, 8: content})
    document = whole.replace(*TREES[name])
    assert document != whole
    plan = seal.plan(
        Placement((Mark((0,), Rectangle(20_000, 20_000, 60_000, 60_000), picture_sha256),)), pictures={picture_sha256: picture}
    )
    prepared = by_lean(whole, plan)
    assert prepared is not None
    assert accounted(whole, prepared.suffix, plan, prepared.field_name) is not None
    assert by_lean(document, plan) is None
    assert accounted(document, prepared.suffix, plan, prepared.field_name) is None
