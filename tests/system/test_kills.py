"""Each service of a running office killed under load: nothing is lost, doubled or left hanging, and nobody has to help."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import RunningOffice
from tests.system.conftest import Up
from tests.system.kills import Load, count, figures, kill, pids
from vermilion.state.layout import Layout
from vermilion.state.office import Office

pytestmark = pytest.mark.xdist_group("office")


def test_the_signer_and_what_stands_beside_it_are_killed_under_load(up: Up, tmp_path: Path) -> None:
    layout = Layout.at(up.demo.state)
    office = RunningOffice(layout, Office.load(layout))
    load = Load(office, tmp_path, up.demo.sealed[0])
    try:
        with load.going():
            recoveries = [kill(office, service) for service in ("timestamp", "signer")]
        print(figures(recoveries, load.answers))
        assert load.wrong == []
        assert load.batches and load.answers["batches"] == len(load.batches)
        assert load.answers["verification valid"] and load.answers["timestamp granted"]
        assert count(office, load.batches) == []
    finally:
        up.pids.update(pids(office))
