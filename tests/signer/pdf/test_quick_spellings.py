"""What the lean writer understands the quick account understands too, however readers agree to spell it; and a comment hides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealcore.errors import VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.lean import prepare_lean, prepared_or_why_not
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.account import require_accounted_in_general
from signer.pdf.readback.quick_account import KnownLooks
from tests.conftest import CORPUS, EXAMPLES
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, accounted
from tests.signer.pdf.meaning import differences
from tests.signer.pdf.spellings import SPELLINGS

LEAST_RECOGNISED = 0.99  # of what the lean writer prepares of the corpus


@pytest.fixture
def plans(seal: Seal, picture: bytes, picture_sha256: bytes) -> list[Plan]:
    mark = Mark((0,), Rectangle(20_000, 20_000, 60_000, 60_000), picture_sha256)
    return [seal.plan(), seal.plan(Placement((mark,)), pictures={picture_sha256: picture})]


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_quick_account_recognises_what_the_lean_writer_understands(plans: list[Plan], name: str) -> None:
    document = SPELLINGS[name]
    for plan in plans:
        prepared = prepared_or_why_not(document, plan, hash_state("sha256", document))
        assert isinstance(prepared, Prepared), prepared
        assert accounted(document, prepared.suffix, plan, prepared.field_name) is not None
        require_accounted_in_general(document, prepared.suffix, plan, prepared.field_name)
        assert not differences(document, prepared, prepare(document, plan))


HIDDEN = {  # what a hostile writer leaves out, and a document in which a comment may seem to end before it
    "behind a comment that seems to end the object": (documents.simple(page=b"% >> endobj\n /Rotate 90"), b"/Rotate 90"),
    "behind a comment with half a string": (documents.simple(page=b"% ( \n /Rotate 90 % )\n"), b"/Rotate 90"),
    "in a string that looks like a comment": (documents.simple(page=b"/Hint (a% b) /Rotate 90"), b"% b"),
    "in a string in parentheses that looks like a comment": (documents.simple(page=b"/Hint (a(%) b) /Rotate 90"), b"%) b"),
    "of the catalog": (documents.simple(catalog=b"% >> endobj\n /Lang (en)"), b"/Lang (en)"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_nothing_of_an_object_is_lost_by_a_comment(plans: list[Plan], name: str) -> None:
    """The update rewrites the object without an entry that the document has: no account takes that for the same object."""
    document, gone = HIDDEN[name]
    for plan in plans:
        prepared = prepare_lean(document, plan, hash_state("sha256", document)) or prepare(document, plan)
        assert gone in prepared.suffix or b"%" in gone
        hostile = prepared.suffix.replace(gone, b" " * len(gone))
        if hostile == prepared.suffix:
            continue
        assert accounted(document, hostile, plan, prepared.field_name) is None
        with pytest.raises(VermilionError):
            require_accounted_in_general(document, hostile, plan, prepared.field_name)


@pytest.mark.corpus
def test_nearly_all_lean_updates_of_the_corpus_are_recognised(plans: list[Plan], documents_folder: Path) -> None:
    known, lean, others = KnownLooks(), 0, []
    for file in sorted(documents_folder.glob("*.pdf")):
        document = file.read_bytes()
        state = hash_state("sha256", document)
        for plan in plans:
            prepared = prepare_lean(document, plan, state)
            if prepared is not None and prepared.field_name == plan.field_name:
                lean += 1
                if known.recognised(document, state, prepared.suffix, plan) is None:
                    others.append(file.name)
    assert len(others) <= (1 - LEAST_RECOGNISED) * lean, others
    assert lean > (400 if documents_folder == CORPUS else len(list(EXAMPLES.glob("*.pdf"))))
