"""The running office that the command line is tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.running import RunningOffice, shared_office


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[RunningOffice]:
    """A real, running office, shared by all workers of this test run."""
    base = tmp_path_factory.getbasetemp()
    with shared_office((base if worker_id == "master" else base.parent) / "office") as running:
        yield running
