"""Every service of a running office killed under load, in turn and over again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import RunningOffice, shared_office
from tests.conftest import EXAMPLES
from tests.system.kills import Load, count, figures, kill
from vermilion import exits
from vermilion.services import SERVICES

ROUNDS = 2


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOffice]:
    """Of its own: whoever shared it would meet absent services."""
    with shared_office(tmp_path_factory.mktemp("killed")) as made:
        yield made


@pytest.mark.timeout(1800)
def test_every_service_is_killed_under_load(office: RunningOffice, tmp_path: Path) -> None:
    known = tmp_path / "known"
    number = next(
        word for word in office.run("seal", EXAMPLES / "invoice.pdf", "--wait", "0", "--out", known).stdout.split() if "DEMO-" in word
    )
    for person in ("Chen Rui", "Zhao Ming"):
        assert office.run("forms", "approve", number, "--as", person, "--yes").returncode == exits.DONE
    assert office.run("seal", EXAMPLES / "invoice.pdf", "--out", known).returncode == exits.DONE
    load = Load(office, tmp_path, next(known.glob("*.pdf")))
    with load.going():
        recoveries = [kill(office, service.name) for _ in range(ROUNDS) for service in SERVICES]
    print(figures(recoveries, load.answers))
    assert load.wrong == []
    assert load.batches and load.answers["batches"] == len(load.batches)
    assert count(office, load.batches) == []
