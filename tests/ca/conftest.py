"""Fixtures of the CA's tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from ca import plan, profiles
from ca.certificate import Parent
from ca.crl import CrlPublisher
from ca.issue import Issuance, Issuer
from ca.lint import Linter
from ca.profiles import ISSUING, IssuerName
from ca.revoke import Revocation
from sealcore.clock import FixedClock
from sealcore.db import connect
from sealcore.hsm.token import Token
from tests.ca.office import PUBLIC_URL, Desk, Office, new_office


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office after its ceremony, shared by the tests of this worker: each test uses keys and names of its own."""
    result = new_office(tmp_path_factory.mktemp("office"))
    for step in ("requests", "root", "issuing"):
        result.ceremony(step)
    return result


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


@pytest.fixture
def desk(office: Office) -> Iterator[Desk]:
    """Open for one test."""
    engine = connect(office.database_url)
    clock = FixedClock(datetime.now(UTC))
    authorities: dict[IssuerName, x509.Certificate] = {name: office.authority(name) for name in ("root", "seals", "infrastructure")}
    declared = plan.load()
    linter = Linter()
    with Token.open(office.ca_token) as token:
        issuers = {name: Issuer(Parent(name, authorities[name], PUBLIC_URL), token.key(declared[name].key)) for name in ISSUING}
        issuance = Issuance(engine, profiles.load(), issuers, linter, clock=clock)
        publisher = CrlPublisher(engine, issuers, declared, linter, clock=clock)
        yield Desk(engine, issuance, publisher, Revocation(engine, publisher, clock=clock), issuers, authorities, clock, linter, token)
    engine.dispose()
