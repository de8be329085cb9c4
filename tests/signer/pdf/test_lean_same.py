"""The lean writer and pyHanko's mean the same: over our examples, documents of every structure, and the shared corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sealcore.errors import VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Certification, Mark, MarkKind, Placement, Rectangle, SignatureTexts
from signer.pdf.lean import prepare_lean, prepared_or_why_not
from signer.pdf.plan import ContentPolicy, Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.pdfium import require_found
from signer.pdf.reasons import REPAIRED
from tests.conftest import CORPUS, EXAMPLES
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, Verdict, pyhanko_status
from tests.signer.pdf.meaning import differences, digest_is_right, rewritten, root_and_form

LEAST_SHARE = 0.90  # of the documents that can be sealed as they are
UNREADABLE = ("page-tree.pdf",)  # a circle in the page tree behind the first page, which pikepdf does not open
CORNER = Rectangle(20_000, 20_000, 60_000, 60_000)
TEXTS = SignatureTexts(name="朱印公司", reason="同意 (contract) \\", location="北京", contact="+86 10 1234")


def lean(document: bytes, plan: Plan, hash_name: str = "sha256") -> Prepared | None:
    return prepare_lean(document, plan, hash_state(hash_name, document))


@dataclass
class Tally:
    """What became of many documents."""

    lean: list[str] = field(default_factory=list)
    sandboxed: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    on_purpose: int = 0
    faults: list[str] = field(default_factory=list)

    def hold(self, name: str, document: bytes, plan: Plan) -> None:
        """One document, by both writers."""
        ours = lean(document, plan)
        try:
            theirs = prepare(document, plan)
        except VermilionError as refusal:
            self.refused[refusal.code] += 1
            if ours is not None:
                self.faults.append(f"{name}: refused by the sandbox alone: {refusal}")
            return
        if ours is None:
            self.sandboxed.append(name)
            self.on_purpose += self._left_on_purpose(document, plan)
            if REPAIRED in theirs.warnings:
                self.refused["repaired"] += 1
            return
        self.lean.append(name)
        if name.endswith(UNREADABLE):
            return
        try:
            self.faults += [f"{name}: {each}" for each in faults(document, ours, theirs)]
        except Exception as fault:  # noqa: BLE001  (the name of the document is what one wants to know)
            self.faults.append(f"{name}: {fault!r}")

    @staticmethod
    def _left_on_purpose(document: bytes, plan: Plan) -> bool:
        """Forms that readers draw are for the sandbox alone."""
        reason = prepared_or_why_not(document, plan, hash_state("sha256", document))
        return isinstance(reason, str) and "draw the form" in reason

    @property
    def share(self) -> float:
        """Of the documents that are sealed without a repair and not left to the sandbox on purpose."""
        return len(self.lean) / (len(self.lean) + len(self.sandboxed) - self.refused["repaired"] - self.on_purpose)

    def __str__(self) -> str:
        sealed = len(self.lean) + len(self.sandboxed)
        return (
            f"{sealed} sealed, {len(self.lean)} of them lean ({len(self.lean) / sealed:.1%}, {self.share:.1%} of those that need no repair); "
            f"{dict(self.refused)}"
        )


def faults(document: bytes, ours: Prepared, theirs: Prepared) -> list[str]:
    found = differences(document, ours, theirs)
    if not digest_is_right(document, ours):
        found.append("the digest is not that of the ranges")
    mine, others = rewritten(document + ours.suffix), rewritten(document + theirs.suffix)
    old = {pair for pair in mine if pair[0] < min(number for number, _ in mine - others | {(1 << 32, 0)})}
    if surplus := (mine & old) - others - root_and_form(document):
        found.append(f"objects are written anew without need: {surplus}")
    require_found(document, ours)
    return found


def plans(seal: Seal, picture: bytes, picture_sha256: bytes) -> dict[str, Plan]:
    mark = Mark((0,), CORNER, picture_sha256)
    pictures = {picture_sha256: picture}
    return {
        "invisible": seal.plan(Placement(texts=TEXTS)),
        "visible": seal.plan(Placement((mark,), TEXTS), pictures=pictures),
        "final": seal.plan(Placement(certification=Certification.FINAL)),
        "strict": seal.plan(content_policy=ContentPolicy.STRICT),
        "several": seal.plan(
            Placement((mark, Mark((0, 1), Rectangle(70_000, 20_000, 90_000, 40_000), picture_sha256, MarkKind.RIDING))), pictures=pictures
        ),
    }


KINDS = ("invisible", "visible", "final", "strict", "several")


@pytest.mark.parametrize("kind", KINDS)
def test_documents_of_every_structure_are_prepared_the_same(seal: Seal, picture: bytes, picture_sha256: bytes, kind: str) -> None:
    tally = Tally()
    plan = plans(seal, picture, picture_sha256)[kind]
    for name, make in documents.STRUCTURES.items():
        tally.hold(name, make(), plan)
    assert not tally.faults, tally.faults
    of_one_page = {"form", "hybrid", "minimal", "xref-stream"}  # where a mark on the second page is refused
    expected = {"classic", "updated", "object-streams", "linearized", "linearized-object-streams"} | of_one_page
    assert expected - set(tally.lean) <= (of_one_page | {"updated"} if kind == "several" else set()), str(tally)


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_are_prepared_the_same(seal: Seal, picture: bytes, picture_sha256: bytes, kind: str) -> None:
    tally = Tally()
    for file in sorted(EXAMPLES.glob("*.pdf")):
        tally.hold(file.name, file.read_bytes(), plans(seal, picture, picture_sha256)[kind])
    assert not tally.faults, tally.faults
    assert len(tally.lean) >= (2 if kind == "several" else 5), str(tally)


@pytest.mark.corpus
@pytest.mark.parametrize("kind", ["invisible", "visible"])
def test_the_corpus_is_prepared_the_same_and_most_of_it_lean(
    seal: Seal, picture: bytes, picture_sha256: bytes, kind: str, documents_folder: Path
) -> None:
    tally = Tally()
    for file in sorted(documents_folder.glob("*.pdf")):
        tally.hold(file.name, file.read_bytes(), plans(seal, picture, picture_sha256)[kind])
    print(f"{kind}: {tally}")
    assert not tally.faults, "\n".join([str(tally), *(each[:300] for each in tally.faults)])
    if documents_folder == CORPUS:
        assert tally.share >= LEAST_SHARE, str(tally)


def test_a_second_seal_is_lean_and_keeps_the_first_one_valid(
    seal: Seal, other_seal: Seal, judge: Callable[[bytes], Verdict], picture: bytes, picture_sha256: bytes
) -> None:
    tally = Tally()
    for make in (documents.STRUCTURES[name] for name in ("classic", "object-streams", "form", "linearized")):
        once = seal.seal(make())
        for plan in plans(other_seal, picture, picture_sha256).values():
            tally.hold("twice", once, plan)
        twice = other_seal.finish(once, _required(lean(once, other_seal.plan())))
        assert judge(twice).text.count("Signature is Valid") == 2
        assert pyhanko_status(seal.authority, twice, index=0).bottom_line
    assert not tally.faults, tally.faults
    assert not tally.sandboxed


def _required(prepared: Prepared | None) -> Prepared:
    assert prepared is not None
    return prepared
