"""Folders of documents to be sealed by the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.running import RunningOffice
from tests.signer.office import document
from vermilion import exits


def papers(folder: Path, count: int, *, broken: int = 0, name: str = "合同") -> Path:
    """So many documents, the first of which are no PDFs."""
    folder.mkdir()
    for number in range(count):
        content = document(f"Paper {number}") if number >= broken else b"no PDF %d" % number
        (folder / f"{name} {number:04d}.pdf").write_bytes(content)
    return folder


def forms_over(office: RunningOffice, name: str) -> list[str]:
    """The forms over papers of this name. Others use this office at the same time, so a test counts by a name of its own."""
    return [form["number"] for form in office.json("forms", "list") if name in form["title"]]


def applied(office: RunningOffice, folder: Path, out: Path) -> str:
    """The number of a form over the folder, approved by two people."""
    asked = office.run("seal", folder, "--wait", "0", "--out", out)
    assert "DEADLINE_EXCEEDED" in asked.stderr
    number = next(word for word in asked.stdout.split() if word.startswith("DEMO-"))
    for person in ("Chen Rui", "Zhao Ming"):
        assert office.run("forms", "approve", number, "--as", person, "--yes").returncode == exits.DONE
    return number
