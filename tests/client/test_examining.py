"""What the signer would refuse for a document's own sake is said before anybody is asked to approve it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pikepdf
import pytest

from protos.vermilion.v1 import ledger_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle
from sealcore.protocol.ledger_entry import Entry
from tests.client.conftest import House
from tests.signer.office import document
from vermilion.client import Document


def encrypted() -> bytes:
    """A document that asks for a password."""
    target = io.BytesIO()
    with pikepdf.open(io.BytesIO(document("Secret"))) as pdf:
        pdf.save(target, encryption=pikepdf.Encryption(owner="owner", user="user"))
    return target.getvalue()


UNFIT = {
    "empty.pdf": (b"", Code.DOCUMENT_EMPTY),
    "no.pdf": (b"Not a PDF at all, whatever its name says.", Code.DOCUMENT_NOT_PDF),
    "cut.pdf": (document("Cut")[:100], Code.DOCUMENT_DAMAGED),
    "secret.pdf": (encrypted(), Code.DOCUMENT_ENCRYPTED),
}


def sealed_so_far(house: House) -> int:
    """Entries about uses; what the workflow notes about forms comes in its own time."""
    log = house.station.ledger(service_uri("ledger"))
    size = log.Head(ledger_pb2.HeadRequest(), timeout=30).size
    entries = [
        Entry.decode(data) for part in log.Entries(ledger_pb2.EntriesRequest(start=0, end=size), timeout=30) for data in part.entries
    ]
    return sum(str(one.kind) in ("seal", "void") for one in entries)


def final(house: House, folder: Path) -> bytes:
    """A document of ours that nobody may change or sign any more (P=1)."""
    paper = [Document("final.pdf", document("Final"))]
    form = house.approved(paper, placement=Placement(certification=Certification.FINAL))
    (outcome,) = house.office.seal(form, paper, folder)
    assert outcome.path is not None
    return outcome.path.read_bytes()


def test_each_unfit_document_has_the_code_that_sealing_would_give_and_the_fit_ones_none(house: House, tmp_path: Path) -> None:
    locked = final(house, tmp_path / "final")
    picture = hashlib.sha256(house.staff.picture).digest()
    beside = Mark((0,), Rectangle(500_000, 100_000, 700_000, 300_000), picture)
    nowhere = Mark((7,), Rectangle(100_000, 100_000, 200_000, 200_000), picture)
    foreign = Mark((0,), Rectangle(100_000, 100_000, 200_000, 200_000), bytes(32))
    given = [Document(name, content) for name, (content, _code) in UNFIT.items()]
    given += [Document(name, document(name)) for name in ("beside.pdf", "nowhere.pdf", "foreign.pdf", "fit.pdf")]
    given += [Document("final.pdf", locked), Document("large.pdf", document("Large") + b" " * 5_000_000)]
    marks = {"beside.pdf": (beside,), "nowhere.pdf": (nowhere,), "foreign.pdf": (foreign,)}
    before = sealed_so_far(house)
    found = house.office.examine(house.seal(), given, placement=lambda one: Placement(marks.get(one.file_name, ())))
    codes = {given[position].file_name: outcome.code for position, outcome in found.items()}
    assert codes == {
        **{name: code for name, (_content, code) in UNFIT.items()},
        "beside.pdf": Code.MARK_OFF_PAGE,
        "nowhere.pdf": Code.MARK_OFF_PAGE,
        "foreign.pdf": Code.PICTURE_UNKNOWN,
        "final.pdf": Code.DOCUMENT_LOCKED,
    }
    assert all(outcome.name == given[position].file_name and outcome.reason for position, outcome in found.items())
    assert sealed_so_far(house) == before

    form = house.approved(given[:4], examined=True)  # what sealing itself says of the same files
    sealed = house.office.seal(form, given[:4], tmp_path / "out")
    assert [one.code for one in sealed] == [code for _content, code in UNFIT.values()]


@pytest.mark.parametrize("name", UNFIT)
def test_nothing_is_filed_for_a_document_that_would_be_refused(house: House, name: str) -> None:
    content, code = UNFIT[name]
    before = [one.number for one in house.office.forms()]
    with pytest.raises(VermilionError) as refused:
        house.office.apply(house.seal(), [Document("fit.pdf", document("Fit")), Document(name, content)], title="Contracts")
    assert (refused.value.code, refused.value.document) == (code, name)
    assert [one.number for one in house.office.forms()] == before


def test_many_documents_are_examined_together(house: House) -> None:
    given = [Document(f"{number}.pdf", document(f"Paper {number}") if number % 50 else b"%PDF-1.7\nnothing") for number in range(150)]
    found = house.office.examine(house.seal(), given)
    assert {position: outcome.code for position, outcome in found.items()} == dict.fromkeys((0, 50, 100), Code.DOCUMENT_DAMAGED)


def test_a_seal_that_is_not_there_is_an_error_of_the_call(house: House) -> None:
    with pytest.raises(VermilionError) as refused:
        house.office.examine("00000000-0000-7000-8000-000000000000", [Document("fit.pdf", document("Fit"))])
    assert refused.value.code is Code.SEAL_UNKNOWN
