"""Fixtures of the CA's tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import insert

from ca.ceremony import plan
from ca.instants import to_text
from ca.issuance import profiles
from ca.issuance.certificate import Parent
from ca.issuance.issue import Issuance, Issuer
from ca.issuance.lint import Linter
from ca.names import ISSUING, IssuerName
from ca.revocation.crl import CrlPublisher
from ca.revocation.revoke import Revocation
from ca.tables import crls
from sealcore.clock import FixedClock
from sealcore.hsm.token import Token
from sealcore.platform.db import connect, write
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.storage import NOT_WATCHED
from tests.ca.office import OCSP_URL, PUBLIC_URL, Desk, Office, new_office, office_in
from tests.support.once import copied, once


def office_of_its_own(factory: pytest.TempPathFactory) -> Office:
    """An office after its ceremony, in which nothing else has been issued. The ceremony is held once a run."""

    def make(folder: Path) -> None:
        made = new_office(folder)
        for step in ("requests", "root", "issuing"):
            made.ceremony(step)

    return office_in(copied(once(factory, "ca", make), factory.mktemp("office")))


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office after its ceremony, shared by the tests of this worker: each test uses keys and names of its own."""
    return office_of_its_own(tmp_path_factory)


@pytest.fixture(name="run")
def _run() -> Callable[..., str]:
    """Runs an independent program and returns what it printed; a failure fails the test."""

    def run(*command: str | Path, stdin: bytes | None = None) -> str:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        printed = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode != 0:
            raise AssertionError(f"{command[0]} ended with {done.returncode}: {printed}")
        return printed

    return run


@contextmanager
def open_desk(office: Office, token: Token, url: str) -> Iterator[Desk]:
    """The CA's parts in this process, over this database."""
    engine = connect(url)
    upgrade(engine, scripts("ca"))
    clock = FixedClock(datetime.now(UTC))
    authorities: dict[IssuerName, x509.Certificate] = {name: office.authority(name) for name in ("root", "seals", "infrastructure")}
    declared = plan.load()
    linter = Linter()
    issuers: dict[str, Issuer] = {
        name: Issuer(Parent(name, authorities[name], PUBLIC_URL, OCSP_URL), token.key(declared[name].key)) for name in ISSUING
    }
    issuance = Issuance(engine, profiles.load(), issuers, linter, clock=clock)
    publisher = CrlPublisher(engine, issuers, declared, linter, clock=clock)
    yield Desk(
        engine, issuance, publisher, Revocation(engine, publisher, NOT_WATCHED, clock=clock), issuers, authorities, clock, linter, token
    )
    engine.dispose()


@pytest.fixture
def desk(office: Office) -> Iterator[Desk]:
    """Open for one test."""
    with Token.open(office.ca_token) as token, open_desk(office, token, office.database_url) as opened:
        yield opened


@pytest.fixture
def own_desk(office: Office, tmp_path: Path) -> Iterator[Desk]:
    """Open for one test, over a database of its own: for tests that move the clock far. The root's CRL is the ceremony's."""
    root = x509.load_der_x509_crl((office.pki / "root.crl").read_bytes())
    assert root.next_update_utc is not None
    instants = {"this_update": to_text(root.last_update_utc), "next_update": to_text(root.next_update_utc)}
    with Token.open(office.ca_token) as token, open_desk(office, token, f"sqlite:///{tmp_path / 'own.db'}") as opened:
        with write(opened.engine) as connection:
            connection.execute(insert(crls).values(issuer="root", number=1, crl=root.public_bytes(Encoding.DER), **instants))
        opened.publisher.publish_due()
        yield opened


@pytest.fixture
def replicas(office: Office, database_url: str) -> Iterator[tuple[Desk, Desk]]:
    """Two replicas of the CA on one new database, each with its own connections; on SQLite and on PostgreSQL."""
    with (
        Token.open(office.ca_token) as token,
        open_desk(office, token, database_url) as one,
        open_desk(office, token, database_url) as other,
    ):
        yield one, other
