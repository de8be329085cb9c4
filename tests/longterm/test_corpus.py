"""Real documents of many origins: every signature of strangers ends in a typed answer; signed here, every document can be extended."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.signers import PdfTimeStamper

from longterm.augmenter import Augmenter
from longterm.model import Level
from longterm.reading import read
from sealcore.errors import Code, VermilionError
from tests.longterm.later import later
from tests.longterm.world import World


@pytest.mark.corpus
def test_signatures_of_strangers_end_in_typed_errors(
    world: World, augmenter: Callable[..., Augmenter], documents_folder: Path, say: Callable[[str], None]
) -> None:
    """Nobody here trusts their roots; what they are is said by a code, and nothing is fetched from anywhere."""
    extends, outcomes = augmenter(world), Counter[str]()
    for file in sorted(documents_folder.glob("*.pdf")):
        try:
            outcomes[extends.augment(file.read_bytes()).level] += 1
        except VermilionError as fault:
            assert fault.code is not Code.INTERNAL, (file.name, fault)
            outcomes[fault.code] += 1
    signed = sum(outcomes.values()) - outcomes[Code.DOCUMENT_UNSIGNED]
    assert signed > 0
    assert not world.requests
    say(f"{sum(outcomes.values())} documents, {signed} with signatures or unreadable: {dict(outcomes)}")


@pytest.mark.corpus
@pytest.mark.timeout(600)
def test_documents_of_strangers_that_were_signed_here_are_extended(
    world: World, augmenter: Callable[..., Augmenter], documents_folder: Path, say: Callable[[str], None]
) -> None:
    signed: dict[str, bytes] = {}
    for name in _signable(documents_folder):
        document = (documents_folder / name).read_bytes()
        try:
            if read(document).signed:
                continue  # by strangers, whose roots are not trusted
        except VermilionError as fault:
            if fault.code is not Code.DOCUMENT_UNSIGNED:
                continue
        try:
            signed[name] = world.signed(document)
        except Exception:  # noqa: BLE001  (pyHanko raises anything over odd files)
            continue
    later(world)
    extends, faults, odd = augmenter(world), dict[str, str](), 0
    for name, document in signed.items():
        try:
            outcome = extends.augment(document)
        except VermilionError as fault:
            faults[name] = str(fault)
            continue
        assert (outcome.before, outcome.level) == (Level.B_T, Level.B_LTA), name
        assert outcome.document.startswith(document)
        accepted = _accepted(outcome.document)
        odd += not accepted
        if accepted is False and _accepted(_stamped(world, document)):
            faults[name] = "pyHanko accepts a document timestamp of its own, but not this extension"
    said = f"{len(signed)} documents signed by pyHanko, {len(signed) - len(faults)} extended to B-LTA"
    say(f"{said}; in {odd} of them pyHanko cannot compare, or accepts not even its own timestamp")
    assert signed
    assert not faults


def _accepted(document: bytes) -> bool | None:
    """Whether pyHanko finds nothing but long-term validation data after each signature; None where its comparison itself fails."""
    for one in PdfFileReader(BytesIO(document), strict=False).embedded_signatures[:-1]:
        try:
            one.compute_integrity_info()
        except (KeyError, PdfError):
            return None
        result = one.diff_result
        if not isinstance(result, DiffResult) or result.modification_level > ModificationLevel.LTA_UPDATES:
            return False
    return True


def _stamped(world: World, document: bytes) -> bytes:
    """With a document timestamp by pyHanko."""
    writer, out = IncrementalPdfFileWriter(BytesIO(document), strict=False), BytesIO()
    PdfTimeStamper(world.timestamper()).timestamp_pdf(writer, "sha256", output=out)
    return out.getvalue()


def _signable(folder: Path) -> list[str]:
    """Those that pyHanko signs, where the folder has an index that says so; else all."""
    index = folder / "INDEX.tsv"
    if not index.is_file():
        return sorted(file.name for file in folder.glob("*.pdf"))
    with index.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["file"] for row in rows if row["pyhanko_0.38_signs_it"] == "sealed"]
