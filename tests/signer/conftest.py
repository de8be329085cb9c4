"""The office of this session, and a running signer over each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.fixtures import house, scenes
from tests.pki import InfrastructureCa
from tests.signer.office import Office, make_keys
from tests.signer.station import Crls, Station
from tests.support.once import copied, once
from tests.support.ports import free_port

__all__ = ["house", "scenes"]


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office whose seal keys are in SoftHSM."""
    return Office.in_softhsm(copied(once(tmp_path_factory, "signer", make_keys), tmp_path_factory.mktemp("office")))


@pytest.fixture(scope="session")
def infrastructure(tmp_path_factory: pytest.TempPathFactory) -> InfrastructureCa:
    """The CA behind mTLS."""
    return InfrastructureCa(tmp_path_factory.mktemp("infrastructure"))


@pytest.fixture(scope="session")
def crls(infrastructure: InfrastructureCa, office: Office) -> Iterator[Crls]:
    """Where the CRLs are."""
    served = Crls(infrastructure, office)
    yield served
    served.close()


def _url(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'signer.db'}"
    url: str = request.getfixturevalue("postgresql_server").create_database()
    return url


@pytest.fixture(scope="session")
def stations(office: Office, infrastructure: InfrastructureCa, crls: Crls) -> Callable[..., Station]:
    """A function that makes a signer over a database and seeds it."""

    def make(folder: Path, database_url: str, extra: dict[str, Any] | None = None) -> Station:
        made = Station(folder, office, infrastructure, crls, database_url, free_port(), extra or {})
        made.seed()
        return made

    return make


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def station(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stations: Callable[..., Station]
) -> Iterator[Station]:
    """A seeded, running signer that the tests of a module share; on SQLite and on PostgreSQL."""
    folder = tmp_path_factory.mktemp("station")
    with stations(folder, _url(request.param, folder, request)).running() as made:
        yield made


@pytest.fixture
def own_station(tmp_path: Path, database_url: str, stations: Callable[..., Station]) -> Iterator[Station]:
    """A seeded signer for one test, not started; on SQLite and on PostgreSQL."""
    made = stations(tmp_path / "station", database_url)
    yield made
    if made.process is not None:
        made.process.kill()
        made.died()


@pytest.fixture
def sqlite_station(tmp_path: Path, stations: Callable[..., Station]) -> Iterator[Any]:
    """A seeded signer for one test on SQLite, not started; made with further settings."""
    made: list[Station] = []

    def make(**extra: Any) -> Station:
        made.append(stations(tmp_path / "station", f"sqlite:///{tmp_path / 'signer.db'}", extra))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None:
            one.process.kill()
            one.died()
