"""What a newcomer does and sees: one command from nothing to sealed, verified documents, and attempts refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pikepdf
import pytest

from tests.conftest import CORPUS, EXAMPLES
from tests.system.conftest import Demo, vermilion

pytestmark = pytest.mark.xdist_group("office")

ATTEMPTS = (
    "DOCUMENT_MISMATCH",
    "PROOF_INVALID",
    "TOKEN_MISSING",
    "TOKEN_SIGNATURE_INVALID",
    "OWN_REQUEST",
    "TOKEN_EXPIRED",
    "USE_BOUND_TO_OTHER_BYTES",
    "SEAL_SUSPENDED",
)
ODD = {
    "發票 2026 (final).pdf": ("sealed", None, "valid"),
    "x" * 251 + ".pdf": ("sealed", None, "valid"),
    "open to read.pdf": ("refused", "DOCUMENT_ENCRYPTED", None),
    "empty.pdf": ("refused", "DOCUMENT_EMPTY", None),
}


def test_every_example_is_sealed_and_valid_or_refused_with_its_reason(demo: Demo) -> None:
    report = demo.report
    refused = {one["file"]: one["code"] for one in report["results"] if one["outcome"] == "refused"}
    assert refused == {"contract-damaged.pdf": "DOCUMENT_DAMAGED", "minutes-encrypted.pdf": "DOCUMENT_ENCRYPTED"}
    assert report["documents"] == len(list(EXAMPLES.glob("*.pdf"))) == report["sealed"] + report["refused"]
    assert report["valid"] == report["sealed"] >= 10
    assert all(one["verdict"] == "valid" and one["ledger_index"] is not None for one in report["results"] if one["outcome"] == "sealed")


def test_the_report_keeps_to_its_published_schema(demo: Demo, repository: Path) -> None:
    jsonschema.validate(demo.report, json.loads((repository / "docs/schemas/demo-report.json").read_text("utf-8")))


def test_the_story_names_the_form_and_every_refused_attempt(demo: Demo) -> None:
    assert "DEMO-2026-000001" in demo.printed.replace("2027", "2026")
    for code in ATTEMPTS:
        assert f"✗ {code}" in demo.printed, code
    assert "Signature is Valid" in demo.printed
    assert "Certificate is Trusted" in demo.printed


def test_the_original_bytes_stand_unchanged_before_the_seal(demo: Demo) -> None:
    for sealed in demo.sealed:
        original = (EXAMPLES / sealed.name).read_bytes()
        assert sealed.read_bytes().startswith(original), sealed.name


def test_the_specimens_are_seen_through(demo: Demo) -> None:
    for name, code in (("tampered.pdf", ""), ("unapproved.pdf", "NOT_AUTHORISED")):
        seen = vermilion("verify", demo.out / "specimens" / name, "--state", "var", "--json", cwd=demo.folder)
        assert seen.returncode in (1, 2), seen.stdout + seen.stderr
        assert code in seen.stdout


@dataclass(frozen=True)
class Again:
    """A second run of the demo on the same state: its documents and its report; the root and the first report as they were before."""

    documents: Path
    report: dict[str, Any]
    root_before: bytes
    first_before: dict[str, Any]


@pytest.fixture(scope="module")
def again(demo: Demo, tmp_path_factory: pytest.TempPathFactory, documents_folder: Path) -> Again:
    """Over odd documents and real ones: a sample of the corpus where it is there, else our examples."""
    root_before, first_before = (demo.state / "pki" / "root.pem").read_bytes(), demo.report
    folder = tmp_path_factory.mktemp("again")
    documents, out = folder / "documents", folder / "out"
    documents.mkdir()
    for file in sorted(documents_folder.glob("*.pdf"))[:: 8 if documents_folder == CORPUS else 1]:
        shutil.copy(file, documents)
    for name in set(ODD) - {"empty.pdf", "open to read.pdf"}:
        shutil.copy(EXAMPLES / "invoice.pdf", documents / name)
    (documents / "empty.pdf").touch()
    with pikepdf.open(EXAMPLES / "invoice.pdf") as document:
        document.save(documents / "open to read.pdf", encryption=pikepdf.Encryption(owner="owner", user=""))
    done = vermilion("demo", "--state", "var", "--out", out, "--documents", documents, cwd=demo.folder, timeout_s=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return Again(documents, json.loads((out / "demo" / "report.json").read_text("utf-8")), root_before, first_before)


def test_a_second_run_reuses_the_office(demo: Demo, again: Again) -> None:
    outcomes = {one["file"]: (one["outcome"], one["code"], one["verdict"]) for one in again.report["results"] if one["file"] in ODD}
    assert outcomes == ODD
    assert (demo.state / "pki" / "root.pem").read_bytes() == again.root_before
    assert demo.report == again.first_before


@pytest.mark.corpus
def test_real_documents_are_sealed_and_valid_or_refused_with_a_reason(again: Again) -> None:
    """The whole corpus is `make demo DOCUMENTS=…`."""
    report = again.report
    assert report["documents"] == len(list(again.documents.iterdir())) > len(ODD)
    assert report["valid"] == report["sealed"]
    assert not [one for one in report["results"] if one["code"] == "INTERNAL"]
    assert all(one["code"].startswith("DOCUMENT_") and one["reason"] for one in report["results"] if one["outcome"] == "refused")
