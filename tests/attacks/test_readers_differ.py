"""Updates that readers in use understand otherwise than we do: what one of them finds by repair, or does not find, is no proper update."""

from __future__ import annotations

import io
import re

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm

from tests.attacks.appended import Writer, catalog, contract, field_of, free_number, page_content, update
from tests.attacks.repairing import packed_update, require_change, root_of, store, told
from tests.verify.office import Office, written
from verify.facts import fact
from verify.report import Verdict
from verify.steps.changes.account import Account, ChangedError
from verify.steps.changes.revisions import MOST_BLANK_BYTES, appended
from verify.steps.changes.sealed import SealedRevision


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def sealed(office: Office) -> bytes:
    return office.sign(contract(), certify=MDPPerm.NO_CHANGES).data


def der(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def test_a_proper_update_of_either_kind_is_permitted(office: Office, sealed: bytes) -> None:
    number = root_of(sealed)
    for document in (
        update(sealed, store(sealed)),
        packed_update(sealed, store(sealed)),
        packed_update(sealed, {}, {number: catalog(sealed) + b">>"}),
    ):
        assert told(office, document).verdict is Verdict.VALID
    assert told(office, sealed + b" " * MOST_BLANK_BYTES).verdict is Verdict.VALID


@pytest.mark.parametrize("widths", [(1, 4, 2), (5, 4, 2), (8, 8, 8)], ids=str)
@pytest.mark.parametrize("between", [b" ", b"\0", b" " * 40, b" %x\n"], ids=["space", "null", "many", "comment"])
def test_what_a_repair_would_find_in_a_string_or_stream_is_a_change(
    office: Office, sealed: bytes, between: bytes, widths: tuple[int, int, int]
) -> None:
    """poppler takes the first field of a cross-reference row for too wide, searches the file, and finds the page's other content."""
    evil = b"BT /F1 14 Tf 72 720 Td [<%b>] TJ ET" % b"Contract: the price is 1000000.".hex().encode()
    content = b"<</Length %d>>\nstream\n%b\nendstream\nendobj\n" % (len(evil), evil)
    hidden = b"\n%d%b0%bobj\n%b" % (page_content(sealed), between, between, content)
    for objects in (store(sealed, der(hidden)), store(sealed, text=hidden), store(sealed, der(b"\ntrailer\n<</Root 1 0 R>>\n"))):
        require_change(office, packed_update(sealed, objects, widths=widths))
        require_change(office, update(sealed, objects))


def test_rows_that_some_readers_find_too_wide_are_a_change(office: Office, sealed: bytes) -> None:
    for widths in ((2, 4, 2), (1, 4, 8), (1, 9, 2)):
        require_change(office, packed_update(sealed, store(sealed), widths=widths))


def test_an_object_at_another_index_of_its_stream_is_a_change(office: Office, sealed: bytes) -> None:
    """poppler and PDFium go by the index and see no page; MuPDF goes by the number."""
    reader = PdfFileReader(io.BytesIO(sealed))
    for reference in (reader.root["/Pages"]["/Kids"].raw_get(0), reader.trailer.raw_get("/Info")):
        out = io.BytesIO()
        reference.get_object().write_to_stream(out)
        assert told(office, packed_update(sealed, {}, {reference.idnum: out.getvalue()})).verdict is Verdict.VALID
        require_change(office, packed_update(sealed, {}, {reference.idnum: out.getvalue()}, index=1))


def test_a_size_that_leaves_out_sealed_objects_or_is_beyond_any_reader_is_a_change(office: Office, sealed: bytes) -> None:
    """Readers take objects from /Size on for missing, or search the file for them."""
    document = update(sealed, {root_of(sealed): catalog(sealed) + b"/DSS<</Certs[]>>>>"})
    assert told(office, document).verdict is Verdict.VALID
    for size in (root_of(sealed) + 1, free_number(sealed) - 1, 5_000_000, 99_999_999):
        tail = re.sub(rb"/Size \d+", b"/Size %d" % size, document[len(sealed) :]).replace(b"startxref", b"startxref", 1)
        require_change(office, sealed + tail)


def test_an_object_keyword_with_its_value_at_its_heels_is_a_change(office: Office) -> None:
    """MuPDF repairs the file; to us it was the number that it had been."""
    writer = Writer(io.BytesIO(contract()))
    flags = field_of(writer)["/F"]
    reference = writer.add_object(type(flags)(flags))
    field_of(writer)["/F"] = reference
    writer.update_container(field_of(writer))
    document = office.sign(written(writer), certify=MDPPerm.NO_CHANGES).data
    good = update(document, {reference.idnum: b"%d" % flags})
    assert told(office, good).verdict is Verdict.VALID
    evil = b"%d 0 obj%d \nendobj" % (reference.idnum, flags)
    require_change(office, document + good[len(document) :].replace(b"%d 0 obj\n%d\nendobj" % (reference.idnum, flags), evil))


def test_so_many_blanks_that_readers_find_no_end_are_a_change(office: Office, sealed: bytes) -> None:
    require_change(office, sealed + b"\n" * (MOST_BLANK_BYTES + 1))
    require_change(office, update(sealed, {}) + b" " * (MOST_BLANK_BYTES + 1))


def test_what_a_sealed_object_stream_refers_to_cannot_be_written_anew(office: Office) -> None:
    """An object stream whose length is an object of its own; the sealed revision refers to it by no other way."""
    document = contract()
    reader = PdfFileReader(io.BytesIO(document))
    out = io.BytesIO()
    info = reader.trailer.raw_get("/Info")
    info.get_object().write_to_stream(out)
    packed = packed_update(document, {free_number(document) + 1: b"0"}, {info.idnum: out.getvalue()})
    length = free_number(document) + 1
    inner = re.search(rb"/First \d+/Length (\d+)", packed)
    assert inner is not None
    value = inner[1]
    packed = packed_update(document, {length: value}, {info.idnum: out.getvalue()})
    indirect = packed.replace(inner[0], inner[0].replace(b"/Length " + value, b"/Length %d 0 R" % length))
    shift = len(indirect) - len(packed)
    start = int(re.findall(rb"startxref\n(\d+)", packed)[-1])
    rows = indirect.rindex(b"stream\n", 0, indirect.rindex(b"endstream")) + 7
    row = indirect.index(start.to_bytes(4, "big"), rows)
    indirect = indirect[:row] + (start + shift).to_bytes(4, "big") + indirect[row + 4 :]
    indirect = indirect.replace(b"startxref\n%d\n" % start, b"startxref\n%d\n" % (start + shift))
    sealed = SealedRevision(indirect, strict=True)
    assert sealed.get(sealed.trailer["/Info"]), "the object stream can be read"
    assert sealed.sites({length})[length] > 0


@pytest.mark.parametrize("kind", ["XRef", "ObjStm", "Catalog", "Unknown"])
def test_a_draft_that_a_repair_would_take_for_structure_is_none(sealed: bytes, kind: str) -> None:
    """An unused object in bytes that a later sound signature covers."""
    number = free_number(sealed)
    document = update(sealed, {number: b"<</Type/%b/Length 8>>\nstream\n5 0 null\nendstream" % kind.encode()})
    revision = SealedRevision(sealed, strict=True)
    account = Account(revision, appended(document, len(sealed), revision.section))
    account.signed_until = len(document)
    if kind == "Unknown":
        account.close()
        return
    with pytest.raises(ChangedError) as change:
        account.close()
    assert change.value.fact == fact("object_unclaimed", number=number)
