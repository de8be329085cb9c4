"""A batch in one call of the compiled core comes to the same as its documents one by one, and one that fails concerns no other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sealcore.compiled import core
from sealcore.errors import VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle, SignatureTexts
from sealcore.protocol.ledger_entry import signature_hash, timestamp_hash
from signer.pdf.fill import fill
from signer.pdf.lean import prepared_or_why_not, warnings_of
from signer.pdf.lean_plan import lean_plan
from signer.pdf.plan import Plan
from signer.pdf.readback.accounted import account_for
from signer.pdf.readback.expected import expected
from signer.pdf.readback.quick_account import KnownLooks
from signer.pdf.readback.sealed import read_back
from signer.worker.in_progress import DocumentsInProgress
from tests.conftest import CORPUS, EXAMPLES
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Authority, Seal, sign_with

LARGEST_BYTES = 120_000
CORPUS_STEP = 4


def files() -> list[bytes]:
    own = [path.read_bytes() for path in sorted(Path(EXAMPLES).rglob("*.pdf"))]
    others = [path.read_bytes() for path in sorted(Path(CORPUS).rglob("*.pdf"))[::CORPUS_STEP]] if CORPUS.exists() else []
    return [data for data in (*own, *others) if 0 < len(data) < LARGEST_BYTES] + [make() for make in documents.STRUCTURES.values()]


@pytest.fixture(scope="module")
def in_progress() -> DocumentsInProgress:
    return DocumentsInProgress.create()


def job(document: bytes, plan: Plan, hash_name: str = "sha256") -> tuple[bytes, core.Hash, core.Plan, core.Expected, str, bytes]:
    state = core.Hash(hash_name, document)
    return document, state, lean_plan(plan), expected(plan), plan.field_name, hashlib.sha256(document).digest()


def alone(document: bytes, plan: Plan, known: KnownLooks, hash_name: str) -> str | tuple[bytes, tuple[int, int], bytes, tuple[str, ...]]:
    state = core.Hash(hash_name, document)
    made = prepared_or_why_not(document, plan, state)
    if isinstance(made, str):
        return made
    held = account_for(document, state, made, plan, known)
    return held.update, (held.hole.start, held.hole.end), held.digest, made.warnings


def plans(seal: Seal, picture: bytes) -> list[Plan]:
    shown = hashlib.sha256(picture).digest()
    marked = Placement(
        (Mark((0,), Rectangle(20_000, 20_000, 60_000, 60_000), shown),), SignatureTexts(reason="Approved 同意"), Certification.FINAL
    )
    return [
        seal.plan(),
        seal.plan(marked, pictures={shown: picture}),
        seal.plan(Placement(certification=Certification.FORM_FILL), bound=Certification.FORM_FILL),
    ]


@pytest.mark.parametrize("hash_name", ["sha256", "sha384"])
def test_it_prepares_what_would_be_prepared_alone(seal: Seal, picture: bytes, in_progress: DocumentsInProgress, hash_name: str) -> None:
    known, sources = KnownLooks(), files()
    for plan in plans(seal, picture):
        named = [replace(plan, field_name=f"Vermilion-{number}") for number in range(len(sources))]
        one_by_one = [alone(each, own, known, hash_name) for each, own in zip(sources, named, strict=True)]  # looks are judged on the way
        shared = lean_plan(plan), expected(plan)
        jobs = [
            (each, core.Hash(hash_name, each), *shared, own.field_name, hashlib.sha256(each).digest())
            for each, own in zip(sources, named, strict=True)
        ]
        assert known.compiled is not None
        at_once = core.prepare_all(jobs, known.compiled, *in_progress.note())
        accounted = 0
        for single, answer in zip(one_by_one, at_once, strict=True):
            if isinstance(answer, core.Accounted):
                accounted += 1
                assert single == (answer.update, answer.hole, answer.digest, warnings_of(answer.warnings))
                assert answer.hash_name == hash_name
            elif answer is not None:
                assert answer == single
        assert accounted > 0.9 * sum(not isinstance(single, str) for single in one_by_one) > 10


def test_an_appearance_that_was_not_judged_yet_is_left_to_be_judged(seal: Seal, picture: bytes, in_progress: DocumentsInProgress) -> None:
    plan = plans(seal, picture)[1]
    known = KnownLooks()
    assert known.compiled is not None
    wanted = job(documents.simple(), plan)
    assert core.prepare_all([wanted], known.compiled, *in_progress.note()) == [None]
    alone(documents.simple(), plan, known, "sha256")
    (answer,) = core.prepare_all([wanted], known.compiled, *in_progress.note())
    assert isinstance(answer, core.Accounted)


@pytest.mark.parametrize("name", ["", "a.b", "x" * 128])
def test_a_field_cannot_have_every_name(seal: Seal, in_progress: DocumentsInProgress, name: str) -> None:
    """Done alone, such a document is refused (``Plan``)."""
    *rest, _name, sha256 = job(documents.simple(), seal.plan())
    assert core.prepare_all([(*rest, name, sha256)], core.Looks(), *in_progress.note()) == [None]  # type: ignore[list-item]


def test_a_document_over_which_the_core_fails_concerns_no_other(
    seal: Seal, in_progress: DocumentsInProgress, capfd: pytest.CaptureFixture[str]
) -> None:
    good, plan = documents.simple(), seal.plan()
    # A hole that no memory holds, which no plan of ours asks for: the writer panics.
    deadly = core.Plan("f", ("D:20260101000000+00'00'", "2026-01-01"), [], [], ("", "", "", ""), 0, None, 2**62, False, "w", "o")
    ours, (document, state, _, told, name, sha256) = job(good, plan), job(good, plan)
    before = core.failures()
    answers = core.prepare_all([ours, (document, state, deadly, told, name, sha256), ours], core.Looks(), *in_progress.note())
    assert answers[1] == "the lean code failed"
    for answer in (answers[0], answers[2]):
        assert isinstance(answer, core.Accounted)
    assert core.failures() == before + 1
    assert "panicked" in capfd.readouterr().err


def test_it_notes_which_document_it_reads(seal: Seal, in_progress: DocumentsInProgress) -> None:
    first, last = job(documents.simple(), seal.plan()), job(b"no document", seal.plan())
    core.prepare_all([first, last], core.Looks(), *in_progress.note())
    assert in_progress.documents() == {last[-1]}
    core.prepare_all([last, first], core.Looks(), *in_progress.note())
    assert in_progress.documents() == {first[-1]}
    in_progress.end()
    assert not in_progress.documents()


class Batch:
    """Documents of one seal that are signed and timestamped."""

    def __init__(self, seal: Seal, in_progress: DocumentsInProgress, count: int = 5) -> None:
        self.seal, self.note = seal, in_progress.note()
        content = [documents.simple()] * count
        self.states = [core.Hash("sha256", each) for each in content]
        self.sha256 = [hashlib.sha256(each).digest() for each in content]
        self.content = content
        name = seal.template.hash_name
        answers = core.prepare_all(
            [job(each, seal.plan(field_name=f"Vermilion-{number}"), name) for number, each in enumerate(content)], core.Looks(), *self.note
        )
        self.accounted = [answer for answer in answers if isinstance(answer, core.Accounted)]
        assert len(self.accounted) == count
        self.signatures = [sign_with(seal.key, seal.template.signed_attributes(each.digest), name) for each in self.accounted]
        self.tokens = [seal.authority.stamp(each) for each in self.signatures]

    def fill(self, tokens: Sequence[bytes] | None = None) -> list[bytes | None]:
        template = self.seal.template.compiled
        assert template is not None
        return core.fill_all(
            [(*each[:1], template, *each[1:]) for each in zip(self.accounted, self.signatures, tokens or self.tokens, strict=True)]
        )

    def learn(self, sealed: bytes) -> core.SealConstants:
        read_back(self.accounted[0], sealed, spki_sha256=self.seal.spki_sha256, known=self.seal.known_cms)
        constants = self.seal.known_cms.constants(self.seal.spki_sha256, self.seal.template.hash_name)
        assert constants is not None
        return constants

    def read_back(self, sealed: Sequence[bytes], constants: core.SealConstants) -> list[tuple[bytes, bytes, bytes] | None]:
        rows = zip(self.accounted, sealed, self.states, self.signatures, self.tokens, self.sha256, strict=True)
        return core.read_back_all(
            [(held, each, constants, state, signature, token, sha256) for held, each, state, signature, token, sha256 in rows], *self.note
        )


def sealed_by(batch: Batch) -> list[bytes]:
    sealed = [each for each in batch.fill() if each is not None]
    assert len(sealed) == len(batch.accounted)
    return sealed


def test_it_fills_and_reads_back_what_would_be_filled_and_read_back_alone(any_seal: Seal, in_progress: DocumentsInProgress) -> None:
    batch = Batch(any_seal, in_progress)
    sealed = sealed_by(batch)
    for held, signature, token, suffix in zip(batch.accounted, batch.signatures, batch.tokens, sealed, strict=True):
        assert suffix == fill(held.update, held.hole, any_seal.template.assemble(held.digest, signature, token))
        read_back(held, suffix, spki_sha256=any_seal.spki_sha256, known=any_seal.known_cms)
    found = batch.read_back(sealed, batch.learn(sealed[0]))
    for each, content, suffix, signature, token in zip(found, batch.content, sealed, batch.signatures, batch.tokens, strict=True):
        assert each is not None
        whole, signed, stamped = each
        assert whole == hashlib.sha256(content + suffix).digest()
        assert (signed, stamped) == (signature_hash(signature), timestamp_hash(token))


def test_a_signature_that_does_not_fit_is_left_to_be_refused(seal: Seal, in_progress: DocumentsInProgress) -> None:
    batch = Batch(seal, in_progress)
    tokens = [*batch.tokens]
    tokens[2] = os.urandom(seal.hole_size_bytes)
    filled = batch.fill(tokens)
    assert [each is None for each in filled] == [False, False, True, False, False]
    held = batch.accounted[2]
    with pytest.raises(VermilionError, match="the hole"):
        fill(held.update, held.hole, seal.template.assemble(held.digest, batch.signatures[2], tokens[2]))


@pytest.mark.parametrize("algorithm", [Algorithm.RSA_2048, Algorithm.P256, Algorithm.P384])
def test_a_seal_that_is_wrong_is_found_and_stops_no_other(
    authority: Authority, in_progress: DocumentsInProgress, algorithm: Algorithm
) -> None:
    batch = Batch(Seal(authority, algorithm), in_progress)
    good = sealed_by(batch)
    constants = batch.learn(good[0])
    start, end = batch.accounted[1].hole
    signature = good[1].index(batch.signatures[1].hex().encode())
    places = [
        0,
        start - 1,
        start,
        start + 1,
        start + 9,
        start + 400,
        signature,
        signature + 40,
        end - 20,
        end - 2,
        end - 1,
        end,
        len(good[1]) - 1,
    ]
    for place in places:
        changed = bytearray(good[1])
        changed[place] ^= 0x01
        found = batch.read_back([good[0], bytes(changed), *good[2:]], constants)
        assert [each is None for each in found] == [False, True, False, False, False], place
    swapped = batch.read_back([good[1], good[0], *good[2:]], constants)
    assert [each is None for each in swapped] == [True, True, False, False, False]
    for cut in (good[1][:-1], good[1] + b"\n", b"", good[1][: start + 3]):
        assert batch.read_back([good[0], cut, *good[2:]], constants)[1] is None


def test_a_seal_by_another_key_is_not_this_one(authority: Authority, in_progress: DocumentsInProgress) -> None:
    ours, theirs = (Batch(Seal(authority, Algorithm.P256), in_progress, 2) for _ in range(2))
    theirs.learn(sealed_by(theirs)[0])
    constants = ours.learn(sealed_by(ours)[0])
    assert theirs.read_back(sealed_by(theirs), constants) == [None, None]


@pytest.mark.parametrize("hole", [(0, 1), (5, 4), (3, 2000), (10**9, 2 * 10**9)])
def test_a_hole_lies_in_its_update(hole: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="hole"):
        core.Accounted(bytes(1000), hole, bytes(32), "sha256")
