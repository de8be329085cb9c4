"""`vermilion extend` on a running office, with nothing named but the files: its own root, its OCSP responder, its CRLs, its TSA."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import DocumentSecurityStore, ades, async_validate_pdf_signature
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from longterm.reading import read
from tests.cli.papers import applied, papers
from tests.cli.running import RunningOffice
from tests.cli.words import WAIT_S
from vermilion import exits


@pytest.fixture
def sealed(office: RunningOffice, tmp_path: Path) -> Path:
    """A folder with two documents that this office has just sealed."""
    documents, out = papers(tmp_path / "papers", 2), tmp_path / "sealed"
    applied(office, documents, out)
    assert office.run("seal", documents, "--out", out).returncode == exits.DONE
    return out


_POLICY = CertRevTrustPolicy(REQUIRE_REVINFO, retroactive_revinfo=True)  # answers younger than the signature, as PAdES has them


def offline(document: bytes, root: Path) -> bool:
    """Whether pyHanko finds the seal valid by the root certificate and the file's DSS alone; without answers, nothing holds."""
    reader = PdfFileReader(BytesIO(document))
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        store = DocumentSecurityStore(None)
    options = {"trust_roots": [load_cert_from_pemder(root)], "revinfo_policy": _POLICY, "allow_fetching": False}
    status = asyncio.run(async_validate_pdf_signature(reader.embedded_regular_signatures[0], store.as_validation_context(options)))
    assert status.intact and status.valid
    return status.bottom_line


def archived(document: bytes, root: Path) -> Any:
    """What pyHanko's PAdES-LTA validation says of the seal; about the newest timestamp's unit it asks the CA, as it must (§5.6.3)."""
    trust = CertValidationPolicySpec(SimpleTrustManager.build([load_cert_from_pemder(root)]), _POLICY)
    gathering = RevocationInfoGatheringSpec(online_fetching_rule=RevinfoOnlineFetchingRule.ALWAYS_FETCH)
    spec = PdfSignatureValidationSpec(SignatureValidationSpec(trust, gathering))
    return asyncio.run(ades.ades_lta_validation(PdfFileReader(BytesIO(document)).embedded_regular_signatures[0], spec))


@pytest.mark.parametrize("level", ["B-LT", "B-LTA"])
def test_sealed_files_are_extended_and_hold_without_the_office(office: RunningOffice, sealed: Path, tmp_path: Path, level: str) -> None:
    out = tmp_path / "extended"
    done = office.json("extend", sealed, "--level", level, "--out", out, "--wait", WAIT_S)
    assert [(one["outcome"], one["before"], one["level"]) for one in done] == [("extended", "B-T", level)] * 2
    for file in sorted(sealed.glob("*.pdf")):
        extended = (out / file.name).read_bytes()
        assert extended.startswith(file.read_bytes())
        assert len(read(extended).signed) == (2 if level == "B-LTA" else 1)
        root = office.layout.root_certificate
        assert offline(extended, root)
        assert not offline(file.read_bytes(), root)
        if level == "B-LTA":
            result = archived(extended, root)
            assert result.ades_subindic is AdESPassed.OK, result.failure_msg
        said = office.run("verify", out / file.name, "--json")
        assert said.returncode == exits.DONE, said.stdout
        report = json.loads(said.stdout)
        (seal,) = [one for one in report["seals"] if one["kind"] == "seal"]
        added = ["validation_data"] if level == "B-LT" else ["validation_data", "document_timestamp"]
        assert (report["verdict"], seal["level"], seal["changed"]["kinds"]) == ("valid", level, added)
        assert f"PAdES {level}" in office.run("verify", out / file.name).stdout
    again = office.json("extend", out, "--level", level)
    assert [one["outcome"] for one in again] == ["kept"] * 2


def test_a_person_is_told_what_came_of_each_file(office: RunningOffice, sealed: Path) -> None:
    (sealed / "unsigned.pdf").write_bytes((sealed.parent / "papers" / "合同 0000.pdf").read_bytes())
    (sealed / "none.pdf").write_bytes(b"no PDF")
    done = office.run("extend", sealed, "--wait", WAIT_S)
    assert done.returncode == exits.REFUSED
    assert done.stdout.count("B-LTA") == 2
    assert "DOCUMENT_NOT_PDF" in done.stdout + done.stderr
