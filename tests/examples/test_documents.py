"""The example documents are what their generator makes, and what they say they are."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pikepdf
import pytest

from tests.conftest import EXAMPLES, REPOSITORY

SIGNED = "letter-signed-by-supplier.pdf"
REFUSED = {"contract-damaged.pdf", "minutes-encrypted.pdf"}
GRPC_MESSAGE_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the generator makes today."""
    folder = tmp_path_factory.mktemp("documents")
    subprocess.run([sys.executable, REPOSITORY / "examples" / "make_documents.py", folder], check=True, capture_output=True)
    return folder


def test_the_generator_makes_the_committed_bytes(made: Path) -> None:
    names = {path.name for path in EXAMPLES.glob("*.pdf")}
    assert {path.name for path in made.glob("*.pdf")} == names
    differing = [name for name in sorted(names - {SIGNED}) if (made / name).read_bytes() != (EXAMPLES / name).read_bytes()]
    assert differing == []


def test_the_suppliers_letter_is_ours_under_a_signature_that_differs_each_time(made: Path) -> None:
    first, second = (made / SIGNED).read_bytes(), (EXAMPLES / SIGNED).read_bytes()
    assert first != second
    end = first.index(b"%%EOF") + 5
    assert first[:end] == second[:end]
    assert b"/ByteRange" in second[end:]


def test_they_are_of_the_kinds_that_the_demo_shows() -> None:
    content = {path.name: path.read_bytes() for path in EXAMPLES.glob("*.pdf")}
    assert len(content) >= 12
    assert any(len(one) > GRPC_MESSAGE_BYTES for one in content.values())
    assert b"/ObjStm" in content["minutes-xref-stream.pdf"]
    assert b"/Linearized" in content["handbook-linearized.pdf"][:1024]
    assert any(len(name.encode()) > 120 and " " in name and not name.isascii() for name in content)
    with pikepdf.open(EXAMPLES / "form-expense-claim.pdf") as form:
        assert len(form.Root.AcroForm.Fields) == 4
    with pikepdf.open(EXAMPLES / "certificate-rotated-cropped.pdf") as turned:
        assert turned.pages[0].Rotate == 90
        assert list(turned.pages[0].CropBox) != list(turned.pages[0].MediaBox)
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(EXAMPLES / "minutes-encrypted.pdf")


def test_their_fonts_are_embedded() -> None:
    for path in sorted(EXAMPLES.glob("contract-*.pdf")):
        if path.name not in REFUSED:
            listed = subprocess.run(["pdffonts", path], check=True, capture_output=True, text=True).stdout.splitlines()[2:]
            assert listed
            assert all(line.split()[-5] == "yes" for line in listed), listed


def test_the_plan_of_seals_names_documents_that_exist() -> None:
    plan = tomllib.loads((EXAMPLES.with_suffix(".toml")).read_text("utf-8"))
    assert plan.keys() <= {path.name for path in EXAMPLES.glob("*.pdf")}
