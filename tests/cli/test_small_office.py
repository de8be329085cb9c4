"""The office of a small firm outside China, from the plan that comes with the program: made, opened, used, verified."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cli.papers import papers
from tests.cli.running import RunningOffice, shared_office
from vermilion import exits
from vermilion.planning import preview
from vermilion.planning.examples import FOLDER

PLAN = FOLDER / "offices" / "kivirand.toml"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOffice]:
    with shared_office(tmp_path_factory.mktemp("small"), PLAN) as running:
        yield running


def subject_of(file: Path) -> x509.Name:
    return x509.load_pem_x509_certificates(file.read_bytes())[0].subject


@pytest.mark.xdist_group("small office")
def test_a_small_firm_seals_by_one_person_or_none(office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("papers")
    root = {one.oid: one.value for one in subject_of(office.layout.pki / "root.pem")}
    assert root[NameOID.COUNTRY_NAME] == "EE" and root[NameOID.ORGANIZATION_IDENTIFIER] == "NTREE-10000000"
    (promised,) = [one.rows for one in preview.sections(office.office) if one.title == "certificates"]
    for key, said in promised:
        name = {"ca.root": "root", "ca.seals": "seals", "ca.infrastructure": "infrastructure"}.get(key, key)
        path = office.layout.state / name / "cert.pem" if name.startswith("tls/") else office.layout.pki / f"{name}.pem"
        if not said.endswith("…"):  # those come about when the responder starts
            words = re.sub(r", URI:.*", "", re.sub(r"\w+=", "", said)).split(", ")
            assert sorted(str(one.value) for one in subject_of(path)) == sorted(words), key
    assert len(promised) > 15

    seals = {one["kind"]: one for one in office.json("seals", "list")}
    assert {kind: one["algorithm"] for kind, one in seals.items()} == {"contract": "rsa-3072", "invoice": "p-256"}
    assert seals["invoice"]["quorum"] == {"seal": 0, "resume": 1, "revoke": 1, "grant-untemplated": 1}

    paper, out = papers(folder / "invoices", 1, name="arve"), folder / "out"
    alone = office.run("seal", paper, "--seal", "invoice", "--client", "bookkeeping", "--out", out)
    assert alone.returncode == exits.DONE and "KR-20" in alone.stdout, alone.stdout + alone.stderr

    agreement, agreed = papers(folder / "contracts", 1, name="leping"), folder / "agreed"
    waiting = office.run("seal", agreement, "--client", "bookkeeping", "--applicant", "Jaan Õunapuu", "--wait", "0", "--out", agreed)
    assert "DEADLINE_EXCEEDED" in waiting.stderr
    number = next(word for word in waiting.stdout.split() if word.startswith("KR-20"))
    assert office.run("forms", "approve", number, "--as", "Mari Kivirand", "--yes").returncode == exits.DONE
    assert office.run("seal", agreement, "--client", "bookkeeping", "--out", agreed).returncode == exits.DONE

    for sealed in (*out.glob("*.pdf"), *agreed.glob("*.pdf")):
        judged = office.run("verify", sealed, "--json")
        assert judged.returncode == exits.DONE, judged.stdout
        assert json.loads(judged.stdout)["verdict"] == "valid"
