"""What the machine around an office does to it in mid-stream: the database away, a disk that fails or is full, a clock that jumps.

The same client, journal and observers as for crashes; besides, each fault must show at the front under its code.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from sealcore.errors import Code
from tests.crash.failpoints import Act
from tests.crash.harness import Season
from tests.crash.observers import gen_time
from tests.crash.scene import House, Scene
from tests.crash.services import Variation
from tests.shims.sync import FaultySync
from tests.signer.batches import COUNT, Scenes, administrator, batch, cut_off, everything_sealed_once, in_background, let_in, refused_codes

AWAY_S = (10.0, 2.0)  # once for long, once more soon after
HOUR_S = 3600.0


@contextmanager
def season_over(scene: Scene) -> Iterator[Season]:
    """An office at work; in the end every batch is sealed and every promise kept."""
    season = Season(scene, random.Random(scene.folder.name))
    with closing(season):
        season.open()
        season.work_until(lambda: scene.metric("documents", code="sealed") > 0)
        yield season
        season.finish()
        assert season.count().findings == ()


def _is_over(end_s: float) -> bool:
    return time.monotonic() > end_s


def test_with_the_database_away_in_mid_stream_clients_are_told_and_go_on_when_it_is_back(
    house: House, tmp_path: Path, postgresql_url: str
) -> None:
    scene = Scene(tmp_path / "scene", house, postgresql_url)
    admin, database = administrator(postgresql_url)
    with admin, season_over(scene) as season:
        for away_s in AWAY_S:
            cut_off(admin, database)
            season.work_until(partial(_is_over, time.monotonic() + away_s))
            assert scene.unready() == {"database"}
            let_in(admin, database)
            season.work_until(lambda: not scene.unready())
        assert scene.metric("documents", code="DATABASE_UNAVAILABLE") + scene.metric("rpc_calls", code="DATABASE_UNAVAILABLE") > 0


def test_while_fsync_fails_nothing_leaves_and_afterwards_everything_goes_on(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()
    disk = FaultySync(tmp_path, folder)
    told = {name: value for name, value in disk.environment.items() if name.startswith("FAULTY_SYNC")}
    scene = Scene(folder, house, f"sqlite:///{folder / 'signer.db'}", Variation(environment=told))
    with season_over(scene) as season:
        sealed = scene.metric("documents", code="sealed")
        with disk.failing():
            season.work_until(lambda: disk.failures >= 20)
            assert scene.metric("documents", code="sealed") - sealed <= 2 * 64  # at most what was in its commit before
        assert scene.metric("documents", code="DATABASE_UNAVAILABLE") > 0


def test_a_full_disk_stops_the_office_and_space_brings_it_back(house: House, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", house, f"sqlite:///{tmp_path / 'signer.db'}", Variation(more_pages=60))
    with season_over(scene) as season:
        season.work_until(lambda: scene.metric("documents", code="STORAGE_FULL") > 50)
        assert scene.station.stop() == 0
        scene.variation = Variation()


def test_whatever_the_clock_does_timestamps_never_go_back_and_doubt_is_refused(scenes: Scenes) -> None:
    scene = scenes()
    station, office = scene.station, scene.office
    latest = datetime.min.replace(tzinfo=UTC)

    def seal(ahead_s: float, *, refused: Code | None = None) -> None:
        """A batch over both workers, with the clock like that: sealed with times that do not go back, or refused."""
        nonlocal latest
        scene.points.set_clock(ahead_s)
        approved = batch(office)
        results = station.stream(approved.token, approved.items, a_message=1)
        assert refused_codes(results) == ({refused} if refused else set())
        times = [gen_time(results.suffixes[index]) for index in results.sealed]
        assert len(times) == (0 if refused else len(approved.items))
        assert all(time >= latest for time in times)
        latest = max([latest, *times])

    seal(0)
    seal(-0.5)  # back by less than the unit's accuracy of one second
    seal(-10, refused=Code.TIMESTAMP_UNAVAILABLE)  # by more: nobody can say which of the two readings was right
    assert scene.metric("documents", code="TIMESTAMP_UNAVAILABLE") == 6
    seal(0)
    seal(600)  # forward: leases end early, tokens are still valid
    late = batch(office)
    scene.points.set_clock(2 * HOUR_S)
    assert refused_codes(station.stream(late.token, late.items)) == {Code.TOKEN_EXPIRED}
    seal(0, refused=Code.TIMESTAMP_UNAVAILABLE)  # ten minutes behind the last timestamp
    seal(600)
    assert scene.metric("clock_jumps") >= 4


@pytest.mark.parametrize(("jump_s", "attempts"), [(900.0, 2), (-900.0, 1)])
def test_a_jump_while_a_batch_is_worked_on_doubles_nothing(scenes: Scenes, jump_s: float, attempts: int) -> None:
    """Forward, its lease ends at once and another takes it over; backward, the lease seems long. The fence decides, not the clock."""
    scene = scenes(limits={"lease_s": 60, "hsm_s": 15.0})
    long_ago = int(time.time() - HOUR_S)
    station, approved = scene.station, batch(scene.office, iat=long_ago, nbf=long_ago)
    scene.points.arm("signer", "worker", "commit begins", act=Act.FREEZE)
    first = in_background(lambda: station.stream(approved.token, approved.items, a_message=COUNT))
    frozen = scene.frozen()
    scene.points.set_clock(jump_s)
    second = station.stream(approved.token, approved.items, a_message=COUNT)
    scene.wake(frozen)
    ends = [first(), second]
    assert [sorted(one.sealed) for one in ends].count(list(range(COUNT))) == 1
    assert refused_codes(ends[0]) | refused_codes(ends[1]) == {Code.USE_IN_PROGRESS}
    again = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, again)
    assert {sealed.attempts for sealed in again.sealed.values()} == {attempts}
