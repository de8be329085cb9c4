"""The key ceremony: it leaves a whole office, changes nothing when run again, and goes on where it was stopped."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from sealcore.clock import FixedClock
from tests.cli.running import ONE_AT_A_TIME, RunningOffice
from vermilion import exits
from vermilion.ceremony import STEPS, authorities, ensure
from vermilion.ceremony.context import Ceremony
from vermilion.cli.office import bundles
from vermilion.services import SERVICES
from vermilion.state import identities, keyring
from vermilion.state.layout import Layout
from vermilion.state.office import Office


def test_exactly_the_declared_keys_were_made(office: RunningOffice) -> None:
    assert [key.label for key in keyring.keys(office.layout)] == [key.label for key in keyring.office_inventory(office.office).keys]


@pytest.mark.xdist_group("file modes")
def test_every_secret_file_is_for_its_owner_alone(office: RunningOffice) -> None:
    files = [path for pattern in ("hsm/*/pin", "tls/*/key.pem") for path in office.layout.state.glob(pattern)]
    assert len(files) > 15
    assert not list(office.layout.state.glob("hsm/*/so-pin"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(office.layout.state.stat().st_mode) == 0o700


def test_no_service_is_given_the_roots_token_or_another_services(office: RunningOffice) -> None:
    for service in SERVICES:
        text = office.layout.config(service.name).read_text("utf-8")
        named = {token for token in office.layout.state.joinpath("hsm").iterdir() if f"{token}/" in text}
        assert {token.name for token in named} == ({service.name} if service.has_token else set())


def test_run_again_it_changes_nothing(office: RunningOffice) -> None:
    before = {
        path: path.read_bytes()
        for path in office.layout.state.rglob("*")
        if path.is_file() and path.parent.name in ("pki", "keys", "ceremony")
    }
    steps: list[str] = []
    ensure(office.layout, report=steps.append)
    assert steps == []
    assert {path: path.read_bytes() for path in before} == before
    assert office.run("init").returncode == exits.DONE


def test_each_step_may_be_repeated_after_a_stop_in_the_middle(office: RunningOffice) -> None:
    ceremony = Ceremony(office.layout, office.office, FixedClock(datetime.now(UTC)))
    root = office.layout.root_certificate.read_bytes()
    keys = {key.label: key.spki_der for key in keyring.keys(office.layout)}
    seal = x509.load_pem_x509_certificate((office.layout.pki / "seal.contract.1.pem").read_bytes())
    for _, step in STEPS:
        step(ceremony)
    assert office.layout.root_certificate.read_bytes() == root
    assert {key.label: key.spki_der for key in keyring.keys(office.layout)} == keys
    assert x509.load_pem_x509_certificate((office.layout.pki / "seal.contract.1.pem").read_bytes()) == seal


def test_mtls_certificates_live_at_most_thirty_days_and_are_renewed_before_they_end(office: RunningOffice) -> None:
    now = datetime.now(UTC)
    for folder in sorted(office.layout.state.glob("tls/*")):
        certificate = x509.load_pem_x509_certificates((folder / "cert.pem").read_bytes())[0]
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=30, minutes=5)
        assert identities.current(folder, now)
        assert not identities.current(folder, now + timedelta(days=25))
    later = Ceremony(office.layout, office.office, FixedClock(now + timedelta(days=25)))
    assert authorities.identities_due(later)
    assert not authorities.identities_due(Ceremony(office.layout, office.office, FixedClock(now)))


@ONE_AT_A_TIME
def test_an_office_that_has_its_ports_says_so_when_others_are_asked_for(office: RunningOffice) -> None:
    own = office.office.ports["signer"]
    moved, same = (office.run("init", "--ports-from", str(port)) for port in (own + 1, own))
    assert moved.returncode == same.returncode == exits.DONE
    assert "--ports-from is for a new office" in moved.stdout and "--ports-from" not in same.stdout
    assert Office.load(office.layout).ports == office.office.ports


def test_only_bundles_that_are_there_are_named(office: RunningOffice, tmp_path: Path) -> None:
    named = bundles(office.layout)
    assert str(office.layout.tls("demo-backend")) in named
    assert all((Path(one) / "cert.pem").is_file() for one in named.split(" · ")) and "operator" not in named
    assert "vermilion clients add" in bundles(Layout.at(tmp_path))
