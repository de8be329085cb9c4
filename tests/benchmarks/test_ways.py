"""The lean share cannot fall, and no class of documents leaves the lean way, without anybody's noticing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ways as counted
from benchmarks.ways import ways
from signer.pdf.prepare import prepare
from signer.pdf.samples import samples
from tests.conftest import CORPUS, REPOSITORY
from tests.signer.pdf import documents
from tests.signer.pdf.conforming import DOCUMENTS
from tests.signer.pdf.spellings import SPELLINGS

LEAST_SHARE = 0.875  # of all that is sealed of the corpus
LEAST_SHARE_OF_WHOLE = 0.92  # of what is sealed of it without being mended
WHOLE = ("classic", "form", "hybrid", "linearized", "linearized-object-streams", "minimal", "object-streams", "updated", "xref-stream")
BASE = documents.simple()
PLANS = {"invisible": samples()[0][1], "with a mark": samples()[1][1]}


@pytest.mark.parametrize("look", PLANS)
def test_whole_documents_are_all_lean(look: str) -> None:
    whole = [*(documents.STRUCTURES[name]() for name in WHOLE), *DOCUMENTS.values(), *SPELLINGS.values()]
    told = ways(whole, PLANS[look], prepare)
    assert told.share == 1.0, (told.others, told.unnamed)
    assert told.lean + told.refused == len(whole)
    assert told.refused <= 1


def test_what_is_not_lean_is_told_by_its_class() -> None:
    table = BASE.rindex(b"xref\n0 ")
    others = {
        counted.BROKEN: BASE[: BASE.rindex(b"startxref")],
        counted.TABLES: BASE.replace(b"startxref\n%d" % table, b"startxref\n%d" % (table + 1)),
        counted.PAGES: BASE.replace(b"/Type /Catalog ", b"" + b" " * 15),
        counted.SPELLING: documents.simple(page=b"/Hint /"),
    }
    for name, document in others.items():
        told = ways([document, BASE], PLANS["invisible"], prepare)
        assert dict(told.others) == {name: 1}
        assert told.share == 0.5


def test_the_table_in_the_documentation_names_every_class() -> None:
    text = " ".join((REPOSITORY / "docs" / "benchmarks.md").read_text("utf-8").split())
    for name in {counted.BROKEN, counted.ACCOUNT, *counted.CLASSES.values()} - {counted.NO_CORE}:
        assert f"| {name} |" in text, name


@pytest.mark.corpus
@pytest.mark.parametrize("look", PLANS)
def test_the_lean_share_of_the_corpus_does_not_fall(look: str, documents_folder: Path) -> None:
    told = ways((file.read_bytes() for file in sorted(documents_folder.glob("*.pdf"))), PLANS[look], prepare)
    assert not told.unnamed, "say in docs/benchmarks.md why these leave the lean way"
    if documents_folder == CORPUS:
        assert told.share >= LEAST_SHARE, told
        assert told.lean / (told.sealed - told.others[counted.BROKEN]) >= LEAST_SHARE_OF_WHOLE, told
    else:
        assert told.share == 1.0, told
