"""The load is what docs/benchmarks.md says it is: sound PDFs of three sizes, two structures, no two alike."""

from __future__ import annotations

import hashlib
import io

import pikepdf
import pytest

from benchmarks.documents import KINDS, MIX, STRUCTURES, Kind, one_of_size, papers


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_variant_is_a_sound_pdf_of_its_size(kind: Kind) -> None:
    made = list(papers((kind,), 4, "sound"))
    assert {(paper.structure, paper.visible) for paper in made} == {(structure, seen) for structure in STRUCTURES for seen in (True, False)}
    for paper in made:
        assert len(paper.content) == pytest.approx(kind.size_bytes, rel=0.02)
        with pikepdf.open(io.BytesIO(paper.content)) as pdf:
            assert pdf.check_pdf_syntax() == []
            assert len(pdf.pages) == kind.pages
            assert not pdf.is_linearized


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_structure_is_what_its_name_says(structure: str) -> None:
    content = next(paper.content for paper in papers(KINDS[:1], 4, "kind") if paper.structure == structure)
    assert (b"/Type /XRef" in content) == (b"/Type /ObjStm" in content) == (structure == "streams")
    assert (b"\ntrailer\n" in content) == (structure == "classic")


def test_the_mix_keeps_its_shares() -> None:
    made = [paper.kind for paper in papers(MIX, 200, "share")]
    assert {kind.name: made.count(kind) for kind in KINDS} == {kind.name: 20 * kind.of_ten for kind in KINDS}


def test_no_two_documents_are_alike_in_a_load_or_between_loads() -> None:
    digests = [hashlib.sha256(paper.content).digest() for series in ("one", "two") for paper in papers(MIX, 500, series)]
    assert len(set(digests)) == 1000


def test_the_same_series_gives_the_same_documents_anywhere() -> None:
    assert list(papers(MIX, 20, "same")) == list(papers(MIX, 20, "same"))


def test_a_series_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        next(papers(MIX, 1, "x" * 30))


def test_a_large_document_has_its_size() -> None:
    paper = one_of_size(2_000_000, "large")
    assert len(paper.content) == pytest.approx(2_000_000, rel=0.001)
    with pikepdf.open(io.BytesIO(paper.content)) as pdf:
        assert pdf.check_pdf_syntax() == []
