"""The demo on a running office: its results, its report, what it does with files that cannot be sealed."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pikepdf
import pytest

from tests.cli.running import RunningOffice
from tests.conftest import EXAMPLES, REPOSITORY
from vermilion import exits

pytestmark = pytest.mark.xdist_group("demo")  # what they share is slow to make

SCHEMA = json.loads((REPOSITORY / "docs" / "schemas" / "demo-report.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents as people keep them: in subfolders, with equal names and odd suffixes, some of them broken."""
    folder = tmp_path_factory.mktemp("documents")
    for place, source in (
        ("a/合同.pdf", "receipt-a5.pdf"),
        ("b/合同.pdf", "invoice.pdf"),
        ("b/scan.PDF", "minutes-xref-stream.pdf"),
        ("b/no suffix", "handbook-linearized.pdf"),
        ("damaged.pdf", "contract-damaged.pdf"),
        ("encrypted.pdf", "minutes-encrypted.pdf"),
        (".hidden.pdf", "invoice.pdf"),
    ):
        target = folder / place
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((EXAMPLES / source).read_bytes())
    (folder / "empty.pdf").touch()
    (folder / "text.pdf").write_text("not a PDF")
    return folder


@pytest.fixture(scope="module")
def out(office: RunningOffice, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's results, and what it said."""
    out = tmp_path_factory.mktemp("out")
    done = office.run("demo", "--documents", folder, "--out", out)
    assert done.returncode == exits.DONE, done.stdout + done.stderr
    return out, done.stdout


def test_the_report_keeps_to_its_schema_and_counts_right(out: tuple[Path, str]) -> None:
    report = json.loads((out[0] / "demo" / "report.json").read_text("utf-8"))
    jsonschema.validate(report, SCHEMA)
    assert (report["documents"], report["sealed"], report["refused"], report["valid"]) == (8, 4, 4, 4)
    codes = {one["file"]: one["code"] for one in report["results"] if one["outcome"] == "refused"}
    assert codes == {
        "damaged.pdf": "DOCUMENT_DAMAGED",
        "encrypted.pdf": "DOCUMENT_ENCRYPTED",
        "empty.pdf": "DOCUMENT_EMPTY",
        "text.pdf": "DOCUMENT_NOT_PDF",
    }
    assert all(one["reason"] for one in report["results"] if one["outcome"] == "refused")


def test_each_sealed_document_is_there_once_under_its_own_name(out: tuple[Path, str]) -> None:
    report = json.loads((out[0] / "demo" / "report.json").read_text("utf-8"))
    names = [one["file"] for one in report["results"] if one["outcome"] == "sealed"]
    assert len(set(names)) == 4
    assert {"合同.pdf", "scan.PDF", "no suffix"} <= set(names)
    for name in names:
        with pikepdf.open(out[0] / "demo" / name) as pdf:
            assert len(pdf.pages) >= 1
    assert (out[0] / "demo" / "root.pem").read_text("ascii").startswith("-----BEGIN CERTIFICATE")


def test_the_story_is_told_in_order_and_every_attempt_is_refused_with_its_code(out: tuple[Path, str]) -> None:
    said = out[1]
    places = [
        said.index(f"{number}  {title}")
        for number, title in enumerate(
            ("Keys", "Authorities", "People", "The form", "Sealing", "Verifying", "Attempts", "The public log"), 1
        )
    ]
    assert places == sorted(places)
    for code in (
        *("DOCUMENT_MISMATCH", "PROOF_INVALID", "TOKEN_MISSING", "TOKEN_SIGNATURE_INVALID", "OWN_REQUEST", "FORM_STATE", "TOKEN_EXPIRED"),
        *("PERMISSION_DENIED", "USE_BOUND_TO_OTHER_BYTES", "SEAL_SUSPENDED"),
    ):
        assert f"✗ {code}" in said
    assert "the same bytes come back" in said
    assert "pdfsig says: Signature Validation: Signature is Valid." in said


def test_the_specimens_are_seen_through(office: RunningOffice, out: tuple[Path, str]) -> None:
    for name, code in (("tampered.pdf", "NOT_INTACT"), ("unapproved.pdf", "NOT_AUTHORISED")):
        done = office.run("verify", out[0] / "specimens" / name, "--json")
        assert done.returncode == exits.REFUSED
        report = json.loads(done.stdout)
        assert report["verdict"] == "invalid"
        assert code in {finding["code"] for seal in report["seals"] for finding in seal["findings"]}
    granted = office.run("verify", out[0] / "specimens" / "under-a-standing-approval.pdf")
    assert granted.returncode == exits.DONE


def test_the_demo_touches_no_files_that_it_did_not_make(office: RunningOffice, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    mine = tmp_path / "demo" / "mine.txt"
    mine.write_text("mine")
    refused = office.run("demo", "--documents", folder, "--out", tmp_path)
    assert refused.returncode == exits.REFUSED
    assert "CONFLICT" in refused.stderr
    assert mine.read_text() == "mine"
    inside = tmp_path / "papers" / "demo"
    inside.mkdir(parents=True)
    (inside / "invoice.pdf").write_bytes((EXAMPLES / "invoice.pdf").read_bytes())
    own = office.run("demo", "--documents", inside, "--out", inside.parent)
    assert own.returncode == exits.USAGE
    assert (inside / "invoice.pdf").exists()


def test_an_empty_folder_is_said_so(office: RunningOffice, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = office.run("demo", "--documents", empty, "--out", tmp_path / "out")
    assert done.returncode == exits.USAGE
    assert "nothing to seal" in done.stderr


def test_the_next_steps_can_be_typed_as_they_stand(office: RunningOffice, out: tuple[Path, str], folder: Path) -> None:
    steps = [line for line in out[1].split("What to try next")[1].splitlines() if line.startswith("  ") and "vermilion " in line]
    assert [shlex.split(step)[1] for step in steps] == ["verify", "verify", "up", "forms", "demo"]
    for step in steps:
        assert f"--state {office.layout.state}" in step
    for step in (steps[0], steps[1], steps[3]):
        done = subprocess.run(step, shell=True, capture_output=True, text=True, check=False, cwd=Path.cwd())
        assert done.returncode in (exits.DONE, exits.REFUSED), (step, done.stderr)
        assert "Usage" not in done.stderr and "cannot be used" not in done.stderr
