"""What is PDF/A or PDF/UA stays so when it is sealed, or the seal says what is lost: veraPDF judges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealcore.errors import VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Certification, Mark, MarkKind, Placement, Rectangle, SignatureTexts
from signer.pdf.lean import prepare_lean, prepared_or_why_not
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.reasons import PDFA_LOST, PDFUA_LOST
from tests.conftest import CORPUS
from tests.judges import standards
from tests.judges.java import Judge
from tests.signer.pdf.kit import Seal

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
ASIDE = Rectangle(20_000, 20_000, 90_000, 90_000)
DOCUMENTS: dict[tuple[str, str], bytes] = {
    **{(f"{part}b", intent): standards.pdfa(part, intent=intent) for part in (1, 2, 3) for intent in ("rgb", "cmyk", "none")},
    ("1b", "declared in the short form"): standards.pdfa(1, attributes=True),
    ("ua1", "below a document"): standards.pdfua(),
    ("ua1", "below the root"): standards.pdfua(root="root"),
    ("ua1", "with a branched parent tree"): standards.pdfua(parents="kids"),
}
Judged = Callable[[str, bytes], str]


@pytest.fixture(scope="module")
def verapdf() -> Iterator[Judge]:
    """One process for all questions."""
    with Judge("VeraPdf") as judge:
        yield judge


@pytest.fixture
def judged(verapdf: Judge, tmp_path: Path) -> Judged:
    """veraPDF's judgement of a file under a flavour."""

    def judge(flavour: str, file: bytes) -> str:
        path = tmp_path / "judged.pdf"
        path.write_bytes(file)
        return verapdf.ask(f"{flavour}\t{path}")

    return judge


@pytest.fixture
def plans(seal: Seal, picture: bytes, picture_sha256: bytes) -> dict[str, Plan]:
    def plan(*marks: Mark, certification: Certification = Certification.NONE) -> Plan:
        texts = SignatureTexts(reason="同意", location="Beijing")
        return seal.plan(Placement(marks, texts, certification), pictures={picture_sha256: picture} if marks else {})

    mark = Mark((0,), CORNER, picture_sha256)
    return {
        "invisible": plan(),
        "visible": plan(mark),
        "two marks": plan(mark, Mark((0, 1), ASIDE, picture_sha256)),
        "riding": plan(Mark((0, 1), CORNER, picture_sha256, MarkKind.RIDING)),
        "final": plan(mark, certification=Certification.FINAL),
        "form-fill, invisible": plan(certification=Certification.FORM_FILL),
    }


def lean(document: bytes, plan: Plan) -> Prepared:
    """By the lean writer, which must understand the document."""
    prepared = prepared_or_why_not(document, plan, hash_state("sha256", document))
    assert isinstance(prepared, Prepared), prepared
    return prepared


@pytest.mark.parametrize("key", DOCUMENTS, ids=" ".join)
def test_what_conforms_still_does_when_it_is_sealed(seal: Seal, plans: dict[str, Plan], judged: Judged, key: tuple[str, str]) -> None:
    flavour, document = key[0], DOCUMENTS[key]
    assert judged(flavour, document) == "conforms"
    for name, plan in plans.items():
        for prepared in (prepare(document, plan), lean(document, plan)):
            assert prepared.warnings == (), name
            assert judged(flavour, seal.finish(document, prepared)) == "conforms", name


@pytest.mark.parametrize("flavour", ["1b", "2b", "ua1"])
def test_a_second_seal_keeps_it_or_says_that_it_does_not(
    seal: Seal, other_seal: Seal, plans: dict[str, Plan], judged: Judged, flavour: str
) -> None:
    document = standards.pdfua() if flavour == "ua1" else standards.pdfa(int(flavour[0]))
    once = seal.finish(document, prepare(document, plans["visible"]))
    prepared = prepare(once, plans["riding"])
    twice = other_seal.finish(once, prepared)
    assert (judged(flavour, twice) == "conforms") is (PDFUA_LOST not in prepared.warnings)
    assert (PDFUA_LOST in prepared.warnings) is (flavour == "ua1")


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_no_conforming_document_of_the_corpus_loses_it_in_silence(seal: Seal, plans: dict[str, Plan], judged: Judged) -> None:
    """Over all that declare a level and keep to it; refusals and warnings are words, too."""
    outcomes: Counter[str] = Counter()
    faults = []
    for file in sorted(CORPUS.glob("*.pdf")):
        document = file.read_bytes()
        told = re.search(rb"pdfaid:part(?:>|=[\"'])([1234])", document)
        flavours = [{"1": "1b", "2": "2b", "3": "3b", "4": "4"}[told[1].decode()]] if told else []
        flavours += ["ua1"] if re.search(rb"pdfuaid:part(?:>|=[\"'])1", document) else []
        for flavour in [each for each in flavours if judged(each, document) == "conforms"]:
            for name in ("invisible", "visible"):
                try:
                    prepared = prepare_lean(document, plans[name], hash_state("sha256", document)) or prepare(document, plans[name])
                except VermilionError as refusal:
                    outcomes[refusal.code] += 1
                    continue
                kept = judged(flavour, seal.finish(document, prepared))
                said = {PDFA_LOST, PDFUA_LOST} & set(prepared.warnings)
                outcomes["kept" if kept == "conforms" else "said" if said else "lost"] += 1
                if kept != "conforms" and not said:
                    faults.append(f"{file.name} {flavour} {name}: {kept}")
    assert not faults, (faults, outcomes)
    assert outcomes["kept"] >= 20, outcomes
