"""What is wrong with one signature is a finding about that signature; the others are judged as if it were not there."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests.verify.broken import CONTAINERS, DICTIONARIES, FIELDS, with_container, with_dictionary
from tests.verify.conftest import Check
from tests.verify.office import NOW, Office, page_document, written
from verify.report import Answer, Change, SealKind, Verdict

_NOT_CONCERNED = {"timestamp of junk", "timestamp that is empty", "unsigned attributes of junk"}  # others' timestamps are not judged


@pytest.fixture(scope="module")
def signed_by_supplier() -> bytes:
    return Office().sign(page_document(), field_name="Supplier", at=NOW - timedelta(minutes=9), bytes_reserved=32768).data


@pytest.mark.parametrize("name", [*CONTAINERS, *DICTIONARIES, *FIELDS])
def test_a_broken_signature_of_a_supplier_leaves_our_seal_over_it_valid(
    office: Office, signed_by_supplier: bytes, check: Check, name: str
) -> None:
    report = check(office.sign(_broken(signed_by_supplier, name), field_name="Ours", strict=False).data)
    assert report.verdict is Verdict.VALID, report.as_json()
    *before, ours = report.seals
    assert (ours.field, ours.kind, ours.valid, ours.changed.state, ours.level) == ("Ours", SealKind.SEAL, Answer.YES, Change.NONE, "B-T")
    assert {str(each.code) for each in ours.findings} == {"LEDGER_NOT_ASKED"} and not report.findings
    for theirs in before:
        assert theirs.field == "Supplier" and theirs.kind is SealKind.FOREIGN
        found = {str(each.code) for each in theirs.findings}
        assert found - {"SIGNED_LATER"} or name in _NOT_CONCERNED, "the broken one is named"


@pytest.fixture(scope="module")
def signed_by_a_stranger_later(office: Office) -> bytes:
    sealed = office.sign(page_document(), field_name="Ours")
    return Office().sign(sealed.data, field_name="Supplier", at=NOW - timedelta(minutes=2), bytes_reserved=32768).data


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_broken_signature_after_our_seal_does_not_make_the_seal_unreadable(
    signed_by_a_stranger_later: bytes, check: Check, name: str
) -> None:
    report = check(with_container(signed_by_a_stranger_later, CONTAINERS[name]))
    (ours,) = [each for each in report.seals if each.kind is SealKind.SEAL]
    assert ours.field == "Ours" and ours.valid is Answer.YES and ours.serial, "what was added after it is another question"
    assert report.verdict is not Verdict.UNREADABLE and len(report.seals) == 2


def test_a_form_that_runs_in_a_circle_hides_no_seal(office: Office, check: Check) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(page_document(form=True)))
    field = writer.root["/AcroForm"]["/Fields"].raw_get(0)
    field.get_object()[pdf_name("/Kids")] = generic.ArrayObject([field, generic.NullObject(), field])
    writer.update_container(field.get_object())
    report = check(office.sign(written(writer)).data)
    assert report.verdict is Verdict.VALID and [each.field for each in report.seals] == ["Seal1"]


def test_a_certificate_that_is_read_in_part_still_says_whose_signature_it_is(
    office: Office, signed_by_supplier: bytes, check: Check
) -> None:
    broken = with_container(signed_by_supplier, CONTAINERS["key on an unknown curve"])
    theirs, _ours = check(office.sign(broken, field_name="Ours").data).seals
    assert theirs.owner and theirs.serial and theirs.spki_sha256 is None
    (found,) = (each for each in theirs.findings if each.code == "CERTIFICATE_UNREADABLE")
    assert found.detail == "key" and theirs.valid is Answer.UNKNOWN and theirs.level is None


def _broken(signed: bytes, name: str) -> bytes:
    if name in CONTAINERS:
        return with_container(signed, CONTAINERS[name])
    if name in DICTIONARIES:
        return with_dictionary(signed, DICTIONARIES[name])
    return with_dictionary(signed, FIELDS[name], of_field=True)
