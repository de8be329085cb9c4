"""Over many documents that we did not write, and over what mutation makes of them: a valid seal, or a typed refusal."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings

from sealcore.errors import Code, Kind, VermilionError
from signer.pdf.prepare import prepare
from tests.signer.pdf.kit import Seal, Verdict, pyhanko_status
from tests.signer.pdf.mutated import mutated
from tests.support.fuzzing import examples

REFUSED_IN_CORPUS = 79  # files that pyHanko alone does not sign
LEAST_OF_THESE_SEALED = 24  # two more are encrypted and open without a password


def _signed_by_pyhanko(folder: Path) -> dict[str, str]:
    index = folder / "INDEX.tsv"
    if not index.is_file():
        return {}
    with index.open(encoding="utf-8", newline="") as lines:
        return {row["file"]: row["pyhanko_0.38_signs_it"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}


def _left_to_readers(document: bytes) -> bool:
    """Whether the form has the flag that makes readers draw it, which pyHanko takes away whatever becomes of the look."""
    with pikepdf.open(io.BytesIO(document), suppress_warnings=True) as opened:
        return bool(opened.Root.AcroForm.NeedAppearances)


@pytest.mark.corpus
@pytest.mark.timeout(900)
def test_every_document_is_sealed_validly_or_refused_for_a_reason(
    seal: Seal, judge: Callable[[bytes], Verdict], documents_folder: Path
) -> None:
    files = sorted(documents_folder.glob("*.pdf"))
    assert files, f"no documents in {documents_folder}"
    marked = _signed_by_pyhanko(documents_folder)
    outcomes: Counter[tuple[str, str]] = Counter()
    faults = []
    for file in files:
        document, mark = file.read_bytes(), marked.get(file.name, "ours")
        try:
            sealed = seal.finish(document, prepare(document, seal.plan()))
        except VermilionError as refusal:
            outcomes[mark, refusal.code] += 1
            if refusal.code is Code.DOCUMENT_FORM_UNDRAWN and _left_to_readers(document):
                continue
            if refusal.code is Code.DOCUMENT_ENCRYPTED and b"/Encrypt" in document:  # pyHanko signs those that open without a password
                continue
            if mark == "sealed" or refusal.kind is not Kind.DOCUMENT or refusal.code is Code.DOCUMENT_READBACK:
                faults.append(f"{file.name}: {refusal}")
            continue
        outcomes[mark, "sealed"] += 1
        assert sealed.startswith(document)
        if not judge(sealed).good:
            faults.append(f"{file.name}: pdfsig: {judge(sealed).text}")
        if not pyhanko_status(seal.authority, sealed).bottom_line:
            faults.append(f"{file.name}: pyHanko")
    assert not faults, (faults, outcomes)
    if marked:
        assert sum(count for (mark, _), count in outcomes.items() if mark == "error") == REFUSED_IN_CORPUS
        assert outcomes["error", "sealed"] >= LEAST_OF_THESE_SEALED, outcomes


@given(document=mutated())
@settings(max_examples=examples(50, 120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_mutated_document_is_sealed_validly_or_refused_for_a_reason(
    seal: Seal, judge: Callable[[bytes], Verdict], document: bytes
) -> None:
    try:
        sealed = seal.finish(document, prepare(document, seal.plan()))
    except VermilionError as refusal:
        assert refusal.kind is Kind.DOCUMENT
        return
    assert judge(sealed).good, judge(sealed).text
