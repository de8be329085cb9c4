"""EU DSS, offline and with the office's root alone, finds what a running office seals and extends valid, at the level that we say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.cli.running import RunningOffice
from tests.judges import standards
from tests.judges.java import Judge
from vermilion import exits

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "documents"
DOCUMENTS = ("invoice.pdf", "minutes-xref-stream.pdf", "contract-zh.pdf", "letter-signed-by-supplier.pdf")
SUPPLIED = "letter-signed-by-supplier.pdf"
ALGORITHMS = {"contract": "RSA-2048", "invoice": "P-256", "official": "RSA-3072"}
PEOPLE = ("Chen Rui", "Zhao Ming")
WAIT_S = "90"


@dataclass(frozen=True)
class Judgement:
    """What DSS says of one signature."""

    indication: str
    sub_indication: str
    level: str
    field: str
    against: str = ""


@pytest.fixture(scope="module")
def dss() -> Iterator[Judge]:
    """One process for all questions."""
    with Judge("Dss") as judge:
        yield judge


@pytest.fixture(scope="module")
def crls(office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The CRLs of root and issuing CA, as the office publishes them: a file at B-T brings none."""
    folder = tmp_path_factory.mktemp("crls")
    for name in ("root", "seals"):
        answer = httpx.get(f"{office.office.url('ca_http')}/crl/{name}.crl", trust_env=False).raise_for_status()
        (folder / f"{name}.crl").write_bytes(answer.content)
    return sorted(folder.iterdir())


def asked(dss: Judge, office: RunningOffice, file: Path, crls: list[Path]) -> list[Judgement]:
    answer = dss.ask("\t".join(map(str, [file, office.layout.root_certificate, *crls])))
    assert not answer.startswith("FAULT"), answer
    return [Judgement(*one.split("\t")) for one in answer.split(" | ")]


def ours(judgements: list[Judgement]) -> Judgement:
    (found,) = [one for one in judgements if one.field.startswith("Vermilion")]
    return found


@pytest.fixture(scope="module", params=[(kind, visible) for kind in ALGORITHMS for visible in ("--visible", "--invisible")], ids=" ".join)
def sealed(request: pytest.FixtureRequest, office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that the lean writer takes, and others (PDF/A) that the general one does; one carries a supplier's signature."""
    kind, visible = request.param
    folder = tmp_path_factory.mktemp(kind) / "papers"
    folder.mkdir()
    for name in DOCUMENTS:
        shutil.copyfile(EXAMPLES / name, folder / name)
    (folder / "pdfa.pdf").write_bytes(standards.pdfa(2, intent="rgb"))
    out = folder.parent / "sealed"
    order = ("seal", folder, "--seal", kind, visible, "--out", out)
    number = next(word for word in office.run(*order, "--wait", "0").stdout.split() if word.startswith("DEMO-"))
    for person in PEOPLE:
        if office.json("forms", "show", number)["state"] != "approved":
            assert office.run("forms", "approve", number, "--as", person, "--yes").returncode == exits.DONE
    done = office.run(*order)
    assert done.returncode == exits.DONE, done.stdout + done.stderr
    return out


def test_what_the_office_seals_is_a_valid_pades_signature_at_b_t(dss: Judge, office: RunningOffice, crls: list[Path], sealed: Path) -> None:
    files = sorted(sealed.glob("*.pdf"))
    assert len(files) == len(DOCUMENTS) + 1
    for file in files:
        judgements = asked(dss, office, file, crls)
        assert ours(judgements) == Judgement("TOTAL_PASSED", "null", "PAdES-BASELINE-T", ours(judgements).field, ""), (file, judgements)
        assert len(judgements) == 1 + (file.name == SUPPLIED)


@pytest.mark.parametrize("level", ["B-LT", "B-LTA"])
def test_what_is_extended_is_valid_by_the_file_and_the_root_alone(
    dss: Judge, office: RunningOffice, sealed: Path, tmp_path: Path, level: str
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(sealed, mine, ignore=shutil.ignore_patterns(".*", SUPPLIED))  # a supplier's root is not ours to name
    done = office.json("extend", mine, "--level", level, "--wait", WAIT_S)
    assert {(one["outcome"], one["level"]) for one in done} == {("extended", level)}
    for file in sorted(mine.glob("*.pdf")):
        judgement = ours(asked(dss, office, file, []))
        wanted = f"PAdES-BASELINE-{level.removeprefix('B-')}"
        assert judgement == Judgement("TOTAL_PASSED", "null", wanted, judgement.field, ""), (file, judgement)


def test_what_was_changed_afterwards_or_is_by_another_root_does_not_pass(
    dss: Judge, office: RunningOffice, crls: list[Path], sealed: Path, tmp_path: Path
) -> None:
    content = (sealed / "invoice.pdf").read_bytes()
    at = content.index(b"stream") + 20
    changed = tmp_path / "changed.pdf"
    changed.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert ours(asked(dss, office, changed, crls)).indication == "TOTAL_FAILED"
    stranger = office.layout.pki / "infrastructure.pem"
    answer = dss.ask("\t".join(map(str, [sealed / "invoice.pdf", stranger, *crls])))
    assert answer.startswith("INDETERMINATE"), answer
