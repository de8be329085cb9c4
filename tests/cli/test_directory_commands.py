"""`vermilion units`, `vermilion clients list|remove|renew`, and what commands take for granted where it is not said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from tests.cli.running import RunningOffice
from vermilion import exits
from vermilion.cli import sealing
from vermilion.cli.common import Here, among_seals
from vermilion.cli.office import bundles
from vermilion.planning.drawing import draw
from vermilion.planning.examples import demo
from vermilion.state.identities import private_file
from vermilion.state.layout import Layout

PEOPLE = ("--as", "Chen Rui", "--as", "Zhao Ming")


def test_units_are_added_renamed_and_ended(office: RunningOffice) -> None:
    assert office.run("units", "add", "DEPOT", "Depot").returncode == exits.DONE
    assert "Depot and yard" in office.run("units", "rename", "DEPOT", "Depot and yard").stdout
    assert "has ended" in office.run("units", "end", "DEPOT").stdout
    found = {one["code"]: one for one in office.json("units", "list")}
    assert found["DEPOT"] == {"code": "DEPOT", "name": "Depot and yard", "active": False}
    assert found["DEMO"]["active"]
    assert "ended" in office.run("units", "list").stdout
    late = office.run("people", "add", "Late Comer", "--role", "applicant", "--unit", "DEPOT")
    assert late.returncode == exits.REFUSED and "UNIT_NOT_ALLOWED" in late.stderr
    own = office.run("units", "end", "OFFICE")
    assert own.returncode == exits.REFUSED and "own unit" in " ".join(own.stderr.split())
    for code in ("no/code", "", "DEPOT\n"):
        assert office.run("units", "end", code).returncode == exits.USAGE


def test_a_client_is_listed_renewed_by_name_removed_and_its_name_is_free(office: RunningOffice) -> None:
    assert office.run("clients", "add", "passing", "--unit", "DEMO", *PEOPLE).returncode == exits.DONE
    (listed,) = [one for one in office.json("clients", "list") if one["name"] == "passing"]
    assert (listed["state"], listed["units"]) == ("is_in", ["DEMO"]) and listed["until"]
    assert "passing" in bundles(office.layout)
    assert office.run("clients", "renew", "passing").returncode == exits.DONE

    removed = office.run("clients", "remove", "passing")
    assert removed.returncode == exits.DONE and "revoked: " in removed.stdout, removed.stderr
    assert "passing" not in bundles(office.layout)
    assert "passing" not in [one["name"] for one in office.json("clients", "list")]
    (gone,) = [one for one in office.json("clients", "list", "--removed") if one["name"] == "passing"]
    assert (gone["state"], gone["until"]) == ("is_removed", None)
    assert office.run("clients", "remove", "passing").returncode == exits.DONE, "again changes nothing"
    assert "passing" in office.run("clients", "renew", "passing").stderr

    assert office.run("clients", "add", "passing", "--unit", "DEMO", *PEOPLE).returncode == exits.DONE
    (new,) = [one for one in office.json("clients", "list") if one["name"] == "passing"]
    assert new["id"] != gone["id"]
    assert office.run("clients", "remove", "passing").returncode == exits.DONE


@pytest.mark.parametrize("name", ["timestamp", "Operator", "../pki", "..", "a/b"])
def test_a_bundle_lies_over_nothing_of_the_offices_own(office: RunningOffice, name: str) -> None:
    before = sorted(office.layout.state.glob("tls/*"))
    refused = office.run("clients", "add", name, *PEOPLE)
    assert refused.returncode == exits.USAGE and "--out FOLDER" in " ".join(refused.stderr.split())
    assert sorted(office.layout.state.glob("tls/*")) == before
    assert name not in [one["name"] for one in office.json("clients", "list")]


@pytest.fixture
def empty(tmp_path: Path) -> Here:
    """An office of which nothing lies in its folder yet."""
    layout, office = Layout.at(tmp_path), draw(demo())
    return Here(layout, office)


def _bundle(office: Here, *names: str) -> None:
    for name in names:
        office.layout.tls(name).mkdir(parents=True)
        for file in ("key.pem", "cert.pem"):
            private_file(office.layout.tls(name) / file, b"")


def test_who_applies_is_the_plans_client_or_the_only_one_and_otherwise_asked_for(empty: Here) -> None:
    with pytest.raises(VermilionError) as refused:
        sealing._client(empty)
    assert refused.value.code is Code.NOT_FOUND and "clients add" in str(refused.value.rule)
    _bundle(empty, "operator", "erp")
    assert sealing._client(empty) == "erp"
    _bundle(empty, "shop")
    with pytest.raises(VermilionError, match="erp, shop"):
        sealing._client(empty)
    _bundle(empty, "demo-backend")
    assert sealing._client(empty) == "demo-backend"


def test_results_lie_beside_what_they_were_made_of(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "contract.v2.pdf").touch()
    assert sealing._folder_for([tmp_path / "papers"]) == tmp_path / "papers-sealed"
    assert sealing._folder_for([tmp_path / "papers" / ".." / "papers"]) == tmp_path / "papers-sealed"
    assert sealing._folder_for([tmp_path / "contract.v2.pdf"]) == tmp_path / "contract.v2-sealed"
    with pytest.raises(VermilionError) as refused:
        sealing._folder_for([tmp_path / "papers", tmp_path / "contract.v2.pdf"])
    assert refused.value.code is Code.INVALID_ARGUMENT and "--out" in str(refused.value.rule)


def _seals(*facts: tuple[str, str, str]) -> list[signer_pb2.SealRecord]:
    """Records of seals: kind, state, the name in the certificate."""
    return [signer_pb2.SealRecord(id=uuid7(), kind=kind, state=state, certificate=_certificate(name)) for kind, state, name in facts]


def _certificate(common_name: str) -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_retired_seal_makes_no_name_ambiguous() -> None:
    seals = _seals(("contract", "retired", "CONTRACTS"), ("contract", "active", "CONTRACTS"), ("official", "retired", "Example"))
    old, new, only = seals
    assert among_seals(seals, "contract") is new
    assert among_seals(seals, "CONTRACTS") is new
    assert among_seals(seals, old.id) is old
    assert among_seals(seals, "official") is only


def test_seals_of_one_kind_are_named_by_what_is_on_them() -> None:
    seals = _seals(("department", "active", "SALES"), ("department", "suspended", "LEGAL"))
    assert among_seals(seals, "SALES") is seals[0]
    with pytest.raises(VermilionError, match=r"SALES .* LEGAL") as refused:
        among_seals(seals, "department")
    assert refused.value.code is Code.CONFLICT
    with pytest.raises(VermilionError) as unknown:
        among_seals(seals, "HR")
    assert unknown.value.code is Code.SEAL_UNKNOWN
