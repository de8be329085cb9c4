"""examples/integrate.py does what the README says, on a running office."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.running import RunningOffice
from tests.conftest import EXAMPLES, REPOSITORY
from vermilion import exits


def test_a_business_system_gets_its_documents_sealed(office: RunningOffice, tmp_path: Path) -> None:
    folder, out = tmp_path / "papers", tmp_path / "out"
    folder.mkdir()
    for name in ("invoice.pdf", "contract-en.pdf", "minutes-encrypted.pdf"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    seal = office.json("seals", "show", "contract")["id"]
    addresses = office.office.url("workflow", scheme="https"), office.office.listen("signer").target
    program = [sys.executable, REPOSITORY / "examples" / "integrate.py", office.layout.tls("demo-backend"), seal, folder, out, *addresses]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        number = running.stdout.readline().split()[0]
        for person in ("Chen Rui", "Zhao Ming"):
            assert office.run("forms", "approve", number, "--as", person, "--yes", "--folder", folder).returncode == exits.DONE
        said, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert "refused minutes-encrypted.pdf DOCUMENT_ENCRYPTED" in said
    for name in ("invoice.pdf", "contract-en.pdf"):
        assert f"sealed {name}" in said
        assert office.run("verify", out / name).returncode == exits.DONE


def test_it_stays_short_enough_to_be_read() -> None:
    lines = (REPOSITORY / "examples" / "integrate.py").read_text("utf-8").split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 25
