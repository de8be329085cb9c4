"""The ceremony, run as an operator runs it: each step in a process of its own, each process with one token."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.ceremony.plan import load
from ca.issuance.findings import certificate_findings
from sealcore.errors import Code, VermilionError
from tests.ca.office import Office, new_office, software_request
from tests.support.programs import program

STEPS = ("requests", "root", "issuing")


def test_ceremony_makes_one_root_and_two_issuing_cas(office: Office, run: Callable[..., str]) -> None:
    root = office.authority("root")
    assert root.issuer == root.subject
    for name in ("seals", "infrastructure"):
        issuing = office.authority(name)
        issuing.verify_directly_issued_by(root)
        constraints = issuing.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical and constraints.value.ca and constraints.value.path_length == 0
        printed = run("openssl", "verify", "-x509_strict", "-CAfile", office.pki / "root.pem", office.pki / f"{name}.pem")
        assert printed.strip().endswith("OK")
    assert {file.name for file in office.pki.iterdir()} == {
        *("root.pem", "root.crl", "seals.pem", "seals.csr", "infrastructure.pem", "infrastructure.csr")
    }
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in office.pki.iterdir())


@pytest.mark.parametrize("name", ["root", "seals", "infrastructure"])
def test_pkilint_finds_nothing_in_the_authorities(name: str, office: Office, run: Callable[..., str]) -> None:
    assert certificate_findings(office.authority(name)) == []


def test_subjects_are_the_offices(office: Office) -> None:
    for name in ("root", "seals", "infrastructure"):
        subject = office.authority(name).subject
        assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "示範事務所 Demo Office"
        assert str(subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER)[0].value).startswith("VM:CN-")


def test_ceremony_run_again_changes_nothing(office: Office) -> None:
    before = {file.name: file.read_bytes() for file in office.pki.iterdir() if file.suffix != ".csr"}
    for step in STEPS:
        office.ceremony(step)
    assert {file.name: file.read_bytes() for file in office.pki.iterdir() if file.suffix != ".csr"} == before


def test_root_crl_step_makes_a_new_one(office: Office) -> None:
    before = x509.load_der_x509_crl((office.pki / "root.crl").read_bytes())
    office.ceremony("root-crl")
    after = x509.load_der_x509_crl((office.pki / "root.crl").read_bytes())
    numbers = [crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in (before, after)]
    assert numbers[1] == numbers[0] + 1


def test_ceremony_runs_on_postgresql_too(tmp_path: Path, postgresql_url: str) -> None:
    office = new_office(tmp_path, postgresql_url, root="p-384", seals="p-256")
    for step in STEPS:
        office.ceremony(step)
    office.ceremony("issue", "--profile", "seal", "--request", str(tmp_path / "seal.test.csr"), "--out", str(tmp_path / "seal.pem"))
    x509.load_pem_x509_certificate((tmp_path / "seal.pem").read_bytes()).verify_directly_issued_by(office.authority("seals"))
    again = ("--profile", "tsa", "--request", str(tmp_path / "seal.test.csr"), "--out", str(tmp_path / "tsa.pem"))
    assert "A key has one certificate" in office.ceremony("issue", *again, check=False).stderr


def test_many_certificates_are_issued_by_one_orders_file(office: Office, tmp_path: Path) -> None:
    orders = ""
    for profile, uri in (
        ("service", "https://vermilion.internal/service/witness"),
        ("client", "https://vermilion.internal/client/orders-1"),
    ):
        (tmp_path / f"{profile}.csr").write_bytes(software_request((NameOID.COMMON_NAME, profile)))
        orders += f'[[order]]\nprofile = "{profile}"\nrequest = "{tmp_path}/{profile}.csr"\nout = "{tmp_path}/{profile}.pem"\n'
        orders += f'uri = "{uri}"\nchain = true\n'
    (tmp_path / "orders.toml").write_text(orders)
    done = office.ceremony("issue", "--orders", str(tmp_path / "orders.toml"))
    assert [json.loads(line)["profile"] for line in done.stdout.splitlines()] == ["service", "client"]
    for profile in ("service", "client"):
        leaf, issuer = x509.load_pem_x509_certificates((tmp_path / f"{profile}.pem").read_bytes())
        assert issuer == office.authority("infrastructure")
        leaf.verify_directly_issued_by(issuer)
    first = (tmp_path / "client.pem").read_bytes()
    office.ceremony("issue", "--orders", str(tmp_path / "orders.toml"))
    assert (tmp_path / "client.pem").read_bytes() == first, "the same order gets the same certificate"


def test_refusal_names_code_and_rule_and_leaves_no_file(office: Office, tmp_path: Path) -> None:
    (tmp_path / "a.csr").write_bytes(software_request())
    done = office.ceremony(
        "issue", "--profile", "seal", "--request", str(tmp_path / "a.csr"), "--out", str(tmp_path / "a.pem"), check=False
    )
    assert done.returncode == 1 and "PROFILE_VIOLATION" in done.stderr and "common_name is required" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "a.pem").exists()


def test_step_with_the_wrong_token_is_refused(office: Office) -> None:
    config = office.config("wrong", office.ca_token)
    command = program("ca.ceremony", "root-crl", "--config", config)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "HSM_KEY_MISSING" in done.stderr and "Traceback" not in done.stderr


def test_no_pin_is_in_any_output_or_argument(office: Office) -> None:
    pins = [token.pin_file.read_text().strip() for token in (office.root_token, office.ca_token)]
    done = office.ceremony("issuing")
    assert not any(pin in done.stdout + done.stderr + " ".join(map(str, done.args)) for pin in pins)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("crl_days = 7", "crl_days = 8"), "at most 7 days"),
        (("crl_hours = 24", "crl_hours = 1000"), "before it lapses"),
        (("[seals]", "[stamps]"), "ceremony file"),
        (("days = 3652", 'days = "long"'), "seals.days"),
    ],
)
def test_ceremony_file_that_contradicts_itself_is_refused(change: tuple[str, str], complaint: str, tmp_path: Path) -> None:
    text = resources.files("ca.ceremony").joinpath("ceremony.toml").read_text("utf-8")
    (tmp_path / "ceremony.toml").write_text(text.replace(*change))
    with pytest.raises(VermilionError) as refused:
        load(tmp_path / "ceremony.toml")
    assert refused.value.code is Code.CONFIGURATION_INVALID and complaint in refused.value.reason
