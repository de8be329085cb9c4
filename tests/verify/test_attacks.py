"""Published attacks on signed PDFs, each by its name: none may read as valid.

USF, ISA, SWA: Mladenov et al., "1 Trillion Dollar Refund", CCS 2019. Shadow attacks: Mainka et al., NDSS 2021. EAA, SSA: Rohlmann
et al., "Breaking the Specification: PDF Certification", S&P 2021.
"""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm

from tests.verify.conftest import Check, codes
from tests.verify.office import NOW, Office, Sealed, fill_in, page_document, written
from verify.report import Answer, Change, Verdict

EVIL = b"BT /F1 12 Tf 72 720 Td (Contract, page 1: the price is 1000000.) Tj ET"


# --- universal signature forgery: parts of the signature dictionary are missing or nonsense


@pytest.mark.parametrize("key", ["/ByteRange", "/Contents"])
@pytest.mark.parametrize("value", ["missing", "null", "empty", "zero", "negative", "hex zero"])
def test_usf_a_broken_signature_dictionary_is_never_valid(sealed: Sealed, check: Check, key: str, value: str) -> None:
    values: dict[str, generic.PdfObject | None] = {
        "missing": None,
        "null": generic.NullObject(),
        "empty": generic.ArrayObject() if key == "/ByteRange" else generic.ByteStringObject(b""),
        "zero": _numbers(0, 0, 0, 0),
        "negative": _numbers(0, -1, -1, -1),
        "hex zero": generic.ByteStringObject(b"\x00"),
    }
    writer = IncrementalPdfFileWriter(io.BytesIO(sealed.data))
    signature = writer.root["/AcroForm"]["/Fields"][0]["/V"].get_object()
    if values[value] is None:
        del signature[key]
    else:
        signature[pdf_name(key)] = values[value]
    writer.update_container(signature)
    report = check(written(writer))
    assert report.verdict in (Verdict.INVALID, Verdict.UNDETERMINED), codes(report)


@pytest.mark.parametrize("numbers", ["{0} {1} {2} 5", "{0} {1} {1} {3}", "0 5 {2} {3}", "{0} {1} {2} 999999"])
def test_usf_another_byte_range_in_place_is_never_valid(sealed: Sealed, check: Check, numbers: str) -> None:
    match = _byte_range(sealed.data)
    wanted = numbers.format(*match.group(1).split()).replace("b'", "").replace("'", "").encode()
    patched = sealed.data[: match.start(1)] + wanted.ljust(len(match.group(1)))[: len(match.group(1))] + sealed.data[match.end(1) :]
    assert check(patched).verdict in (Verdict.INVALID, Verdict.UNDETERMINED)


# --- incremental saving: content appended after sealing


def test_isa_a_replaced_page_is_a_forbidden_change(sealed: Sealed, check: Check) -> None:
    report = check(_replace_page(sealed.data))
    assert report.verdict is Verdict.INVALID and "CHANGED_AFTER_SEALING" in codes(report)
    assert report.seals[0].changed.state is Change.FORBIDDEN
    assert report.sentence == "Not valid: the document was changed after it was sealed."


def test_isa_objects_appended_without_cross_references_are_a_forbidden_change(sealed: Sealed, check: Check) -> None:
    contents = PdfFileReader(io.BytesIO(sealed.data)).root["/Pages"]["/Kids"][0].raw_get("/Contents")
    junk = b"\n%d 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (contents.idnum, len(EVIL), EVIL)
    for tail in (junk, junk + b"%%EOF\n", junk + b"trailer\n<< /Root 1 0 R >>\n"):
        assert check(sealed.data + tail).verdict in (Verdict.INVALID, Verdict.UNREADABLE)


def test_isa_a_second_signature_of_an_attacker_does_not_hide_a_replaced_page(office: Office, sealed: Sealed, check: Check) -> None:
    attacker = Office()
    covered = attacker.sign(_replace_page(sealed.data), field_name="Attacker")
    report = check(covered.data)
    assert report.verdict is Verdict.INVALID and "CHANGED_AFTER_SEALING" in codes(report)


def test_a_file_that_ends_in_white_space_is_still_the_sealed_one(sealed: Sealed, check: Check) -> None:
    assert check(sealed.data + b"\r\n\n").verdict is Verdict.VALID


# --- signature wrapping: the signed bytes are moved, others take their place


def test_swa_bytes_moved_behind_a_longer_hole_are_not_valid(sealed: Sealed, check: Check) -> None:
    match = _byte_range(sealed.data)
    _zero, length, second, _rest = map(int, match.group(1).split())
    padded = sealed.data[: second - 1] + b"00" * 4000 + sealed.data[second - 1 :]
    moved = match.group(1).replace(b"%d" % second, b"%d" % (second + 8000))
    patched = padded[: match.start(1)] + moved[: len(match.group(1))] + padded[match.end(1) :]
    assert length < second
    assert check(patched).verdict in (Verdict.INVALID, Verdict.UNREADABLE)


def test_swa_a_hole_that_hides_objects_fools_arithmetic_but_not_us(sealed: Sealed, check: Check) -> None:
    """The gap has exactly the size that the signature would fill as hexadecimal digits, but holds a literal string and an evil page."""
    forged = _wrap(sealed.data)
    reader = PdfFileReader(io.BytesIO(forged), strict=False)
    assert b"1000000" in reader.root["/Pages"]["/Kids"][0]["/Contents"].data  # what a viewer would show
    (embedded,) = reader.embedded_signatures
    _zero, first, _second, rest = embedded.byte_range
    assert first + rest + 2 * len(embedded.pkcs7_content) + 2 == len(forged)  # adding up lengths is not enough
    assert embedded.compute_digest() == _sealed_digest(sealed.data)  # and the digest is the sealed one
    report = check(forged)
    assert report.verdict is Verdict.INVALID and "BYTE_RANGE" in codes(report)


def test_data_behind_the_signature_in_its_hole_is_not_valid(sealed: Sealed, check: Check) -> None:
    match = _byte_range(sealed.data)
    _zero, _length, second, _rest = map(int, match.group(1).split())
    patched = bytearray(sealed.data)
    patched[second - 41 : second - 1] = EVIL[:20].hex().encode()
    report = check(bytes(patched))
    assert report.verdict is Verdict.INVALID and codes(report) >= {"HIDDEN_DATA"}


# --- shadow attacks: what was sealed already held what will be shown later


def test_shadow_replace_by_pointing_to_hidden_content_is_a_forbidden_change(office: Office, check: Check) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(page_document()))
    hidden = writer.add_object(generic.StreamObject(stream_data=EVIL))
    writer.root[pdf_name("/Shadow")] = hidden
    writer.update_root()
    sealed = office.sign(written(writer))
    reader = PdfFileReader(io.BytesIO(sealed.data))
    shown = reader.root["/Pages"]["/Kids"][0].raw_get("/Contents")
    offset = sealed.data.index(b"%d %d obj" % (hidden.idnum, hidden.generation))
    start = len(sealed.data)
    size = int(reader.trailer["/Size"])
    update = b"xref\n%d 1\n%010d 00000 n \ntrailer\n<< /Size %d /Prev %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        *(shown.idnum, offset, size, reader.last_startxref or 0, reader.root_ref.idnum, start),
    )
    assert check(sealed.data + update).verdict is not Verdict.VALID


def test_shadow_hide_by_freeing_an_object_is_a_forbidden_change(sealed: Sealed, check: Check) -> None:
    reader = PdfFileReader(io.BytesIO(sealed.data))
    shown = reader.root["/Pages"]["/Kids"][0].raw_get("/Contents")
    size, start = int(reader.trailer["/Size"]), len(sealed.data)
    update = b"xref\n%d 1\n0000000000 00001 f \ntrailer\n<< /Size %d /Prev %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        *(shown.idnum, size, reader.last_startxref or 0, reader.root_ref.idnum, start),
    )
    assert check(sealed.data + update).verdict is not Verdict.VALID


# --- certification attacks: additions that a viewer allows


@pytest.mark.parametrize("certify", [None, MDPPerm.NO_CHANGES, MDPPerm.FILL_FORMS])
def test_eaa_a_comment_laid_over_the_page_is_a_forbidden_change(office: Office, check: Check, certify: MDPPerm | None) -> None:
    sealed = office.sign(page_document(), certify=certify)
    writer = IncrementalPdfFileWriter(io.BytesIO(sealed.data))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    note = generic.DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/Annot"),
            pdf_name("/Subtype"): pdf_name("/FreeText"),
            pdf_name("/Rect"): _numbers(60, 700, 400, 740),
            pdf_name("/Contents"): generic.TextStringObject("the price is 1000000"),
        }
    )
    page[pdf_name("/Annots")] = generic.ArrayObject([*page.get("/Annots", []), writer.add_object(note)])
    writer.update_container(page)
    assert check(written(writer)).verdict is Verdict.INVALID


def test_ssa_a_later_visible_signature_of_a_stranger_is_named_and_leaves_it_undetermined(office: Office, check: Check) -> None:
    sealed = office.sign(page_document())
    later = Office().sign(sealed.data, field_name="Stranger", box=(60, 700, 400, 740), at=NOW - timedelta(minutes=1))
    report = check(later.data)
    ours = next(seal for seal in report.seals if seal.field == "Seal1")
    assert "SIGNED_LATER" in codes(report) and ours.changed.fields == ("Stranger",)
    added = ours.changed.additions[0]
    assert (added.field, added.page, added.rectangle, added.trusted) == ("Stranger", 1, (60.0, 700.0, 400.0, 740.0), Answer.UNKNOWN)
    assert report.verdict is Verdict.UNDETERMINED and "SIGNER_UNKNOWN_LATER" in codes(report)


def test_ssa_a_new_signature_field_after_a_certifying_seal_is_a_forbidden_change(office: Office, check: Check) -> None:
    sealed = office.sign(page_document(), certify=MDPPerm.FILL_FORMS)
    later = Office().sign(sealed.data, field_name="Stranger", box=(60, 700, 400, 740), at=NOW - timedelta(minutes=1))
    assert check(later.data).verdict is Verdict.INVALID


def test_a_later_signature_under_a_final_seal_is_forbidden(office: Office, check: Check) -> None:
    sealed = office.sign(page_document(), certify=MDPPerm.NO_CHANGES)
    writer = IncrementalPdfFileWriter(io.BytesIO(sealed.data))
    writer.root[pdf_name("/Late")] = generic.TextStringObject("x")
    writer.update_root()
    assert check(written(writer)).verdict is Verdict.INVALID
    assert check(fill_in(office.sign(page_document(form=True), certify=MDPPerm.NO_CHANGES).data, "1")).verdict is Verdict.INVALID


# --- signatures copied from elsewhere


def test_a_seal_transplanted_to_another_document_is_not_valid(office: Office, sealed: Sealed, check: Check) -> None:
    other = office.sign(page_document(pages=2))
    ours, theirs = _byte_range(sealed.data), _byte_range(other.data)
    _, first, second, _ = map(int, ours.group(1).split())
    _, other_first, other_second, _ = map(int, theirs.group(1).split())
    size = other_second - other_first - 2
    digits = sealed.data[first + 1 : second - 1].ljust(size, b"0")[:size]
    patched = other.data[: other_first + 1] + digits + other.data[other_second - 1 :]
    assert check(patched).verdict is Verdict.INVALID


def test_every_single_byte_of_the_sealed_part_matters(sealed: Sealed, check: Check) -> None:
    match = _byte_range(sealed.data)
    _, first, second, _ = map(int, match.group(1).split())
    for at in [*range(0, first, max(1, first // 25)), *range(second, len(sealed.data), max(1, (len(sealed.data) - second) // 25))]:
        patched = bytearray(sealed.data)
        patched[at] ^= 0x01
        assert check(bytes(patched)).verdict is not Verdict.VALID, at


def _sealed_digest(data: bytes) -> bytes:
    """The digest under the only signature."""
    (embedded,) = PdfFileReader(io.BytesIO(data)).embedded_signatures
    digest: bytes = embedded.compute_digest()
    return digest


def _numbers(*values: int) -> generic.ArrayObject:
    return generic.ArrayObject([generic.NumberObject(value) for value in values])


def _byte_range(data: bytes) -> re.Match[bytes]:
    match = re.search(rb"/ByteRange\s*\[\s*([0-9 ]+?)\s*\]", data)
    assert match is not None
    return match


def _replace_page(data: bytes) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(data))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    page[pdf_name("/Contents")] = writer.add_object(generic.StreamObject(stream_data=EVIL))
    writer.update_container(page)
    return written(writer)


def _wrap(data: bytes) -> bytes:
    """Signature wrapping: R1 ‖ gap ‖ R2, where the old startxref, untouched in R2, now points into the gap."""
    reader = PdfFileReader(io.BytesIO(data))
    (embedded,) = reader.embedded_signatures
    _, first, second, rest = (int(each) for each in embedded.byte_range)
    startxref = reader.last_startxref
    assert startxref is not None
    page = reader.root["/Pages"]["/Kids"][0]
    contents_id, signature_id = page.raw_get("/Contents").idnum, reader.root["/AcroForm"]["/Fields"][0].raw_get("/V").idnum
    half = max(startxref - first, len(embedded.pkcs7_content)) + 4096
    gap_size = 2 * half + 2
    string = embedded.pkcs7_content.ljust(half, b"\0")
    escaped = re.sub(rb"[\\()\r]", lambda each: b"\\" + (b"r" if each.group() == b"\r" else each.group()), string)
    evil = b"%d 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (contents_id, len(EVIL), EVIL)
    head = b"\n" + evil
    offsets = {contents_id: first + 1, signature_id: None}
    shift = gap_size - (second - first)
    size = int(reader.trailer["/Size"])
    table = _table(reader, size, first, shift)
    signature_head = (
        b"%d 0 obj\n<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached /ByteRange [0 %d %d %d] /Contents ("
        % (*(signature_id, first, first + gap_size, rest),)
    )
    body_at = startxref + 20 * size + 400
    offsets[signature_id] = body_at
    table.update({contents_id: first + 1, signature_id: body_at})
    xref = b"xref\n0 %d\n" % size + b"".join(
        b"%010d 00000 n \n" % table[number] if number in table else b"0000000000 65535 f \n" for number in range(size)
    )
    xref += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, reader.root_ref.idnum, startxref)
    gap = head.ljust(startxref - first, b" ") + xref
    gap = gap.ljust(body_at - first, b" ") + signature_head + escaped + b") >>\nendobj\n"
    assert len(gap) <= gap_size, "the forged gap must fit"
    return data[:first] + gap.ljust(gap_size, b" ") + data[second:]


def _table(reader: PdfFileReader, size: int, first: int, shift: int) -> dict[int, int]:
    """Where each object of the original lies in the forged file."""
    table: dict[int, int] = {}
    for number in range(1, size):
        where = reader.xrefs[generic.Reference(number, 0)] if _known(reader, number) else None
        if isinstance(where, int):
            table[number] = where if where < first else where + shift
    return table


def _known(reader: PdfFileReader, number: int) -> bool:
    try:
        return reader.xrefs[generic.Reference(number, 0)] is not None
    except KeyError:
        return False
