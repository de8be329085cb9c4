"""examples/integrate.py does what the README says, on a running office."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import RunningOffice
from tests.conftest import EXAMPLES, REPOSITORY
from vermilion import exits

PROGRAM = REPOSITORY / "examples" / "integrate.py"


def test_a_business_system_gets_its_documents_sealed(office: RunningOffice, tmp_path: Path) -> None:
    folder, out = tmp_path / "papers", tmp_path / "out"
    folder.mkdir()
    for name in ("invoice.pdf", "contract-en.pdf", "minutes-encrypted.pdf"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    seal = office.json("seals", "show", "contract")["id"]
    addresses = office.office.url("workflow", scheme="https"), office.office.listen("signer").target
    program = [sys.executable, PROGRAM, office.layout.tls("demo-backend"), seal, folder, out, *addresses]
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


@pytest.mark.parametrize(
    ("bundle", "folder", "place", "said"),
    [
        ("demo-backend", "empty", None, "INVALID_ARGUMENT: there are no PDF files"),
        ("demo-backend", "missing", None, "FILE_UNUSABLE: "),
        ("nobody", "papers", None, "CONFIGURATION_INVALID: "),
        ("demo-backend", "papers", "127.0.0.1:9", "SERVICE_UNAVAILABLE: "),
        ("revoked", "papers", None, "CERTIFICATE_REVOKED: "),
    ],
)
def test_what_goes_wrong_is_said_by_its_code(
    bundle: str, folder: str, place: str | None, said: str, *, office: RunningOffice, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.pdf").write_bytes((EXAMPLES / "invoice.pdf").read_bytes())
    if bundle == "revoked" and not office.layout.tls(bundle).exists():
        people = ("--as", "Chen Rui", "--as", "Zhao Ming")
        assert office.run("clients", "add", bundle, *people).returncode == exits.DONE
        certificate = office.layout.tls(bundle) / "cert.pem"
        assert office.run("ca", "revoke", certificate, "--reason", "keyCompromise", *people).returncode == exits.DONE
    seal = office.json("seals", "show", "contract")["id"]
    workflow, signer = office.office.url("workflow", scheme="https"), office.office.listen("signer").target
    places = (f"https://{place}", place) if place else (workflow, signer)
    done = _run(office.layout.tls(bundle), seal, tmp_path / folder, tmp_path / "out", *places)
    assert done.returncode == 1 and done.stderr.startswith(said), done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("count", [0, 1, 5, 7])
def test_wrong_usage_shows_how_it_is_used(count: int) -> None:
    done = _run(*["x"] * count)
    assert done.returncode == 1 and "BUNDLE SEAL_ID FOLDER OUT" in done.stderr


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_it_stays_short_enough_to_be_read() -> None:
    lines = (REPOSITORY / "examples" / "integrate.py").read_text("utf-8").split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 25
