"""What the sandboxed way is measured on takes the sandbox, and is sealed there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import strangers
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Placement
from signer.pdf.lean import prepare_lean
from signer.pdf.prepare import prepare
from signer.pdf.samples import samples


def test_without_the_corpus_the_examples_are_broken_and_mended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(strangers, "CORPUS", tmp_path / "nowhere")
    marked = samples()[1][1]
    (picture,) = marked.pictures.values()
    chosen = list(strangers.papers(20, marked.placement, picture))
    assert len(chosen) == 20
    assert {paper.visible for paper in chosen} == {True, False}
    assert 4 < len({paper.content for paper in chosen}) < 20, "each in turn, over and over"
    for paper in {paper.content: paper for paper in chosen}.values():
        plan = marked if paper.visible else samples()[0][1]
        assert plan.placement == (marked.placement if paper.visible else Placement())
        assert prepare_lean(paper.content, plan, hash_state("sha256", paper.content)) is None
        assert prepare(paper.content, plan).warnings
