"""What a seal certifies, on a running office: shown, changed by its quorum, shown to approvers, and kept when a file is extended."""

from __future__ import annotations

import re
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from tests.cli.running import OFFICIAL_SEAL, RunningOffice
from tests.cli.words import WAIT_S
from tests.signer.office import document
from vermilion import exits

WIDE: dict[str, Any] = {"COLUMNS": "200"}


@OFFICIAL_SEAL
def test_a_seal_shows_what_it_certifies_and_its_quorum_changes_it(office: RunningOffice) -> None:
    told = {seal["kind"]: seal["certification"] for seal in office.json("seals", "list")}
    assert told == {"contract": "form-fill", "invoice": "final", "official": "final"}
    assert "final: nothing may be added after the seal" in office.run("seals", "show", "official").stdout
    assert "certifies" in office.run("seals", "list", **WIDE).stdout
    for word in ("form-fill", "final"):
        alone = office.run("seals", "certification", "official", word, "--as", "Chen Rui")
        assert alone.returncode == exits.DONE and "has 1 of 2 approvals" in " ".join(alone.stdout.split()), alone.stderr
        assert office.json("seals", "show", "official")["certification"] != word
        done = office.run("seals", "certification", "official", word, "--as", "Chen Rui", "--as", "Zhao Ming")
        assert done.returncode == exits.DONE, done.stderr
        assert f"certifies {word}" in done.stdout
        assert office.json("seals", "show", "official")["certification"] == word
    assert office.run("seals", "certification", "official", "none").returncode == exits.USAGE


def test_approvers_see_how_each_document_is_certified_and_the_sealed_files_say_the_same(office: RunningOffice, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    for name in ("default", "final", "none"):
        (papers / f"{name}.pdf").write_bytes(document(name))
    (tmp_path / "papers.toml").write_text('["final.pdf"]\ncertification = "final"\n["none.pdf"]\ncertification = "none"\n')
    number = _applied(office, papers, tmp_path / "out")
    shown = office.run("forms", "show", number, **WIDE).stdout
    for name, words in (("default", "form-fill: others may"), ("final", "final: nothing may"), ("none", "this seal certifies nothing")):
        assert re.search(rf"{name}\.pdf.*{words}", shown), shown
    _approved(office, number)
    assert office.run("seal", papers, "--out", tmp_path / "out").returncode == exits.DONE
    levels = {file.stem: _signature(file.read_bytes()).docmdp_level for file in (tmp_path / "out").glob("*.pdf")}
    assert levels == {"default": MDPPerm.FILL_FORMS, "final": MDPPerm.NO_CHANGES, "none": None}


def test_a_final_seal_is_extended_stays_final_and_lets_no_further_seal_be_applied_for(office: RunningOffice, tmp_path: Path) -> None:
    papers, out, extended = tmp_path / "papers", tmp_path / "out", tmp_path / "extended"
    papers.mkdir()
    (papers / "letter.pdf").write_bytes(document("Letter"))
    number = _applied(office, papers, out, "--certification", "final")
    _approved(office, number)
    assert office.run("seal", papers, "--out", out).returncode == exits.DONE
    done = office.json("extend", out, "--level", "B-LTA", "--out", extended, "--wait", WAIT_S)
    assert [(one["outcome"], one["level"]) for one in done] == [("extended", "B-LTA")]
    file = extended / "letter.pdf"
    context = ValidationContext(trust_roots=[load_cert_from_pemder(office.layout.root_certificate)], allow_fetching=False)
    status = validate_pdf_signature(_signature(file.read_bytes()), context)
    assert status.intact and status.valid and status.trusted and status.docmdp_ok
    assert _signature(file.read_bytes()).docmdp_level is MDPPerm.NO_CHANGES
    judged = subprocess.run(["pdfsig", "-nocert", file], capture_output=True, text=True, check=False).stdout
    assert judged.count("Signature is Valid") == 1, judged  # of the document timestamp it knows where it is, and no more
    assert "Total document signed" in judged and "Invalid" not in judged
    report = office.json("verify", file)
    assert report["verdict"] == "valid" and report["seals"][0]["certification"] == "final", report
    refused = office.run("seal", out, "--wait", "0", "--out", tmp_path / "again")
    assert refused.returncode == exits.REFUSED
    assert "DOCUMENT_LOCKED" in refused.stdout and "letter.pdf" in refused.stdout and "DEMO-" not in refused.stdout


def test_a_certification_that_is_asked_for_a_signed_file_is_refused_before_anybody_approves(office: RunningOffice, tmp_path: Path) -> None:
    papers, out = tmp_path / "papers", tmp_path / "out"
    papers.mkdir()
    (papers / "first.pdf").write_bytes(document("First"))
    _approved(office, _applied(office, papers, out, "--certification", "none"))
    assert office.run("seal", papers, "--out", out).returncode == exits.DONE
    refused = office.run("seal", out, "--wait", "0", "--out", tmp_path / "again", "--certification", "final")
    assert refused.returncode == exits.REFUSED
    assert "DOCUMENT_SIGNED" in refused.stdout and "DEMO-" not in refused.stdout
    number = _applied(office, out, tmp_path / "again")
    (shown,) = office.json("forms", "show", number)["documents"]
    assert shown["placement"]["certification"] == 0


def _applied(office: RunningOffice, folder: Path, out: Path, *options: str) -> str:
    asked = office.run("seal", folder, "--wait", "0", "--out", out, *options)
    assert "DEADLINE_EXCEEDED" in asked.stderr, asked.stderr
    return next(word for word in asked.stdout.split() if word.startswith("DEMO-"))


def _approved(office: RunningOffice, number: str) -> None:
    for person in ("Chen Rui", "Zhao Ming"):
        assert office.run("forms", "approve", number, "--as", person, "--yes").returncode == exits.DONE


def _signature(sealed: bytes):  # type: ignore[no-untyped-def]  # pyHanko's EmbeddedPdfSignature
    return PdfFileReader(BytesIO(sealed)).embedded_regular_signatures[0]
