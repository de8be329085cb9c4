"""The Java programs that ours is measured beside: what they print for people is no answer, and one that ends says why."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.documents import MIX, papers
from benchmarks.peers.token_copy import TokenCopy
from benchmarks.peers.with_java import JavaPeers, Work, compiled, write_documents
from benchmarks.remote import Remote
from sealcore.platform.config import TokenSettings, load
from tests.cli.conftest import office  # noqa: F401  (the fixture)
from tests.cli.running import RunningOffice
from vermilion.operation.service_settings import SIGNER_TSA

JAVA = Path(__file__).parent / "java"


class Talkative(JavaPeers):
    """Of a program that has signed thousands of documents already."""

    main = "Talkative"


@pytest.fixture
def work(office: RunningOffice, tmp_path: Path) -> Iterator[Work]:  # noqa: F811
    """Four documents, the seal's key and the TSA's."""
    class_path = compiled()
    subprocess.run(["javac", "-nowarn", "-cp", class_path, "-d", tmp_path, JAVA / "Talkative.java"], check=True)
    documents = tmp_path / "documents"
    documents.mkdir()
    write_documents([paper.content for paper in papers(MIX, 4, "t")], documents)
    settings, pki = load(office.layout.token_settings("signer"), TokenSettings), office.layout.pki
    labels = (office.office.seals[0].label, SIGNER_TSA)
    with Remote(TokenCopy, settings, labels, pki) as copy:
        yield Work(f"{tmp_path}:{class_path}", copy.call("folder"), settings.pin_file, labels, pki / "seals-chain.pem", documents)


@pytest.mark.parametrize("program", ["itext", "pdfbox"])
def test_what_a_library_prints_is_no_answer(program: str, work: Work) -> None:
    with Talkative(program, work, processes=1) as peer:
        assert peer.documents_per_s(0.5) > 0
        assert peer.documents_per_s(0.5) > 0


def test_a_program_that_ends_says_why(work: Work) -> None:
    with JavaPeers("itext", work, processes=1) as peer, pytest.raises(RuntimeError, match=r"ended with status 1 .*\n.*NoSuchFileException"):
        peer.sample(Path("/nowhere/at/all.pdf"))
