"""A launcher whose disk is full or read-only: it watches on, gives nothing up for that, and leaves nothing behind. Real services, really killed."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.cli.running import RunningOffice
from tests.cli.two_services import QUICK, TWO, Observed, layout_of_two
from tests.support.disks import Hog, read_only, small_disk
from tests.support.waiting import until
from vermilion.cli import office as office_command
from vermilion.operation.launcher import Launcher, running
from vermilion.operation.process import ServiceProcess, serves
from vermilion.operation.restarts import Deaths, RestartPolicy
from vermilion.operation.watched import Change, Turn, absence
from vermilion.state.layout import Layout

LOOKS = 20  # of a launcher; a life that ends at its start takes fewer


@pytest.fixture
def layout(office: RunningOffice, tmp_path: Path, free_port: Callable[[], int]) -> Layout:
    return layout_of_two(office, tmp_path, free_port)


def _kill(layout: Layout, service: str) -> None:
    os.kill(next(one.pid for one in running(layout, TWO) if one.service == service), signal.SIGKILL)


def test_a_folder_that_became_read_only_ends_neither_the_launcher_nor_what_it_watches(layout: Layout) -> None:
    with Launcher(layout, TWO, policy=replace(QUICK, short_s=0.2)) as launcher:
        launcher.start()
        started, observed = running(layout, TWO), Observed(launcher)
        with read_only(layout.run(".")):
            _kill(layout, "witness")
            assert "SIGKILL" in observed.until(Turn.ENDED).cause
            assert "could not be started: FILE_UNUSABLE" in observed.until(Turn.ENDED).cause
            looks = count()
            launcher.wait(lambda: next(looks) > LOOKS // 4, observed.changes.append)  # it is tried twice meanwhile
            assert [change.turn for change in observed.changes] == [Turn.ENDED] * 2, "it says so once, and does not give up"
            assert [one.service for one in running(layout, TWO)] == ["timestamp"], "the rest of the office goes on"
        observed.until(Turn.BACK)
        started += running(layout, TWO)
        with read_only(layout.run(".")):
            launcher.stop()
    assert not any(one.alive for one in started)


def test_a_service_that_finds_the_disk_full_is_never_given_up_and_is_back_once_there_is_room(layout: Layout, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1) as small, Launcher(layout, TWO, policy=replace(QUICK, short_s=0.2)) as launcher:
        latest, config, hog = small / "latest-time", layout.config("timestamp"), Hog(small)
        config.write_text(re.sub(r"(?m)^latest_time_file = .*$", f'latest_time_file = "{latest}"', config.read_text("utf-8")), "utf-8")
        launcher.start()
        latest.rename(small / "kept")  # its room stays taken
        hog.fill()
        _kill(layout, "timestamp")
        observed, log = Observed(launcher), layout.log("timestamp")
        observed.until(Turn.ENDED)
        assert "ended with exit status 75: STORAGE_FULL" in observed.until(Turn.ENDED).cause
        note = absence(layout, "timestamp")
        assert note is not None and "STORAGE_FULL" in note.cause and not note.given_up

        def often() -> bool:
            assert Turn.DOWN not in {change.turn for change in observed.changes}, observed.changes
            return log.read_text("utf-8").count("timestamp: STORAGE_FULL") >= QUICK.deaths

        launcher.wait(often, observed.changes.append)
        hog.go()
        observed.until(Turn.BACK)
        assert len(observed.changes) == 3, "a want is told once"


def test_a_refused_pin_is_not_presented_again_where_that_cannot_be_noted(layout: Layout, tmp_path: Path) -> None:
    wrong, config, log = tmp_path / "pin", layout.config("witness"), layout.log("witness")
    wrong.write_text("00000000\n")
    wrong.chmod(0o600)
    note, good = layout.run("witness.down"), config.read_text("utf-8")
    with Launcher(layout, TWO, policy=QUICK) as launcher:
        launcher.start()
        config.write_text(re.sub(r"(?m)^pin_file = .*$", f'pin_file = "{wrong}"', good), "utf-8")
        note.mkdir()  # as good as a full disk: it cannot be written
        _kill(layout, "witness")
        observed, looks = Observed(launcher), count()
        assert "HSM_PIN_REFUSED" in observed.until(Turn.DOWN).cause
        launcher.wait(lambda: next(looks) > LOOKS, observed.changes.append)
        assert log.read_text("utf-8").count("witness: HSM_PIN_REFUSED") == 1
        note.rmdir()
        launcher.wait(note.is_file)
        config.write_text(good, "utf-8")
        note.unlink()
        observed.until(Turn.BACK)


def test_a_service_says_that_it_serves_though_the_disk_is_full(layout: Layout) -> None:
    layout.run(".").rmdir()
    with small_disk(layout.run("."), 1) as small:
        Hog(small).fill()
        process = ServiceProcess(layout, TWO[1])
        try:
            assert [one.service for one in running(layout, TWO)] == ["witness"]
            until(lambda: process.is_ready or process.has_ended, "it never says so")
            assert process.is_ready and serves(layout, "witness")
        finally:
            process.stop()
        assert not running(layout, TWO) and not serves(layout, "witness")


def test_a_service_that_was_killed_on_a_full_disk_is_back_and_stays(layout: Layout) -> None:
    layout.run(".").rmdir()
    with small_disk(layout.run("."), 1) as small, Launcher(layout, TWO, policy=QUICK) as launcher:
        launcher.start()
        Hog(small).fill()
        _kill(layout, "witness")
        observed = Observed(launcher)
        observed.until(Turn.ENDED)
        observed.until(Turn.BACK)
        assert [one.service for one in running(layout, TWO)] == ["timestamp", "witness"]


def test_nobody_has_to_hear_of_it_for_the_office_to_go_on(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Launcher(layout, TWO, policy=QUICK) as launcher, os.fdopen(writing, "w", buffering=1) as nobody:
        launcher.start()
        _kill(layout, "witness")
        changes: list[Turn] = []

        def report(change: Change) -> None:
            changes.append(change.turn)
            office_command._changed(change)  # what `vermilion up` says; nobody reads it any more

        with monkeypatch.context() as piped:
            piped.setattr(sys, "stdout", nobody)
            launcher.wait(lambda: Turn.BACK in changes, report)
            with suppress(OSError):
                nobody.close()  # what was not heard is in it still
        assert changes == [Turn.ENDED, Turn.BACK]


def test_a_want_is_no_death_and_is_waited_out_in_seconds() -> None:
    deaths = Deaths(RestartPolicy(first_s=1, most_s=30, short_s=3, deaths=2))
    assert [deaths.add_shortage() for _ in range(4)] == [1, 2, 3, 3]
    assert deaths.add(0, served_s=0) == 1
    assert deaths.add_shortage() == 1
    assert deaths.add(1, served_s=0) is None
