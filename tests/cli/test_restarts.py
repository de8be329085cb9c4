"""What ends by itself is started again, says truly why it ended, and is left down when that does not help: real services, really killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.running import RunningOffice, vermilion
from tests.cli.two_services import QUICK, TWO, WITHIN_S, Observed, layout_of_two, port_of
from tests.support.waiting import until
from vermilion import exits
from vermilion.operation import doctor, endings
from vermilion.operation.doctor import Health
from vermilion.operation.launcher import Launcher, kept_going, running
from vermilion.operation.restarts import Deaths, RestartPolicy
from vermilion.operation.watched import Turn, absence
from vermilion.state.layout import Layout

OLD_FAULT = '{"code": "CERTIFICATE_REVOKED", "reason": "of last week", "event": "refused"}\n'
STARTS_TWO = (
    "import sys, time; from pathlib import Path; from tests.cli.two_services import TWO; from vermilion.operation.launcher import Launcher; "
    "from vermilion.state.layout import Layout; launcher = Launcher(Layout.at(Path(sys.argv[1])), TWO); launcher.acquire(); launcher.start(); "
    "print('started', flush=True); time.sleep(300)"
)


@pytest.fixture
def layout(office: RunningOffice, tmp_path: Path, free_port: Callable[[], int]) -> Layout:
    layout = layout_of_two(office, tmp_path, free_port)
    layout.log("witness").write_text(OLD_FAULT)
    return layout


@pytest.fixture
def observed(layout: Layout) -> Iterator[Observed]:
    with Launcher(layout, TWO, policy=QUICK) as launcher:
        launcher.start()
        yield Observed(launcher)


def _pid(layout: Layout, service: str) -> int:
    return next(one.pid for one in running(layout, TWO) if one.service == service)


def _answers(layout: Layout, service: str) -> bool:
    with socket.create_connection(("127.0.0.1", port_of(layout, service)), timeout=10):
        return True


def test_what_is_killed_is_started_again_and_the_others_go_on(layout: Layout, observed: Observed) -> None:
    timestamp = _pid(layout, "timestamp")
    for number, why in (
        (signal.SIGKILL, "was killed by SIGKILL"),
        (signal.SIGTERM, "ended in order, though its launcher did not tell it to"),
    ):
        before = _pid(layout, "witness")
        os.kill(before, number)
        ended = observed.until(Turn.ENDED)
        assert (ended.service, why in ended.cause, "of last week" in ended.cause) == ("witness", True, False)
        assert observed.until(Turn.BACK).service == "witness"
        assert (_pid(layout, "timestamp"), _pid(layout, "witness") != before) == (timestamp, True)
        assert _answers(layout, "witness")
        assert absence(layout, "witness") is None


def test_what_ended_with_its_launcher_watching_takes_what_it_had_started_with_it(layout: Layout, observed: Observed) -> None:
    before = _group(_pid(layout, "timestamp"))
    assert len(before) > 1, "the timestamp service has workers of its own"
    os.kill(_pid(layout, "timestamp"), signal.SIGKILL)
    observed.until(Turn.BACK)
    assert not before & _group(_pid(layout, "timestamp"))
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in before)


def test_what_does_not_come_back_is_left_down_with_its_reason_until_somebody_says_so(layout: Layout, observed: Observed) -> None:
    good = layout.config("witness").read_text()
    layout.config("witness").write_text("nonsense = 1\n")
    os.kill(_pid(layout, "witness"), signal.SIGKILL)
    down = observed.until(Turn.DOWN)
    assert (down.service, down.deaths) == ("witness", QUICK.deaths)
    assert "exit status 1: CONFIGURATION_INVALID" in down.cause
    assert [change.turn for change in observed.changes] == [Turn.ENDED] * (QUICK.deaths - 1) + [Turn.DOWN]
    assert "SIGKILL" in observed.changes[0].cause
    assert [one.service for one in running(layout, TWO)] == ["timestamp"], "the rest of the office goes on"
    assert _answers(layout, "timestamp")
    note = absence(layout, "witness")
    assert note is not None and note.given_up and note.cause == down.cause

    layout.config("witness").write_text(good)
    layout.run("witness.down").unlink()
    assert observed.until(Turn.BACK).service == "witness"


def test_a_refused_pin_is_not_presented_again(layout: Layout, observed: Observed, tmp_path: Path) -> None:
    wrong = tmp_path / "pin"
    wrong.write_text("00000000\n")
    wrong.chmod(0o600)
    config = layout.config("witness")
    lines = [f'pin_file = "{wrong}"' if line.startswith("pin_file") else line for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines) + "\n")
    os.kill(_pid(layout, "witness"), signal.SIGKILL)
    down = observed.until(Turn.DOWN)
    assert "HSM_PIN_REFUSED" in down.cause
    assert [change.turn for change in observed.changes] == [Turn.ENDED, Turn.DOWN], "one start was tried, and none after it"


def test_a_start_that_the_system_refuses_is_tried_again(layout: Layout, observed: Observed) -> None:
    log, kept = layout.log("witness"), layout.log("kept")
    log.rename(kept)
    log.mkdir()  # as good as a disk without room: no log can be opened
    os.kill(_pid(layout, "witness"), signal.SIGKILL)
    observed.until(Turn.ENDED)
    assert "could not be started: FILE_UNUSABLE" in observed.until(Turn.ENDED).cause
    log.rmdir()
    kept.rename(log)
    observed.until(Turn.BACK)


def test_when_nothing_is_left_the_office_ends(layout: Layout) -> None:
    only = (replace(TWO[0], name="timestamp"),)
    from sealcore.errors import Code, VermilionError

    with Launcher(layout, only, policy=replace(QUICK, deaths=1)) as launcher:
        launcher.start()
        os.kill(_pid(layout, "timestamp"), signal.SIGKILL)
        with pytest.raises(VermilionError) as ended:
            launcher.wait(lambda: False)
    assert ended.value.code is Code.SERVICE_UNAVAILABLE


def test_a_person_has_a_service_started_again_once_it_is_mended(layout: Layout) -> None:
    good, command = layout.config("witness").read_text(), ("start", "witness", "--state", layout.state)
    with Launcher(layout, TWO, policy=replace(QUICK, deaths=2)) as launcher:
        launcher.start()
        layout.config("witness").write_text("nonsense = 1\n")
        os.kill(_pid(layout, "witness"), signal.SIGKILL)
        Observed(launcher).until(Turn.DOWN)
        with kept_going(launcher):
            still = vermilion(*command)
            assert (still.returncode, "CONFIGURATION_INVALID" in still.stderr) == (exits.UNAVAILABLE, True)
            assert "Mend what the reason names" in still.stderr
            assert "vermilion start witness --state" in " ".join(still.stderr.split())
            layout.config("witness").write_text(good)
            done = vermilion(*command)
            assert (done.returncode, "witness is running" in done.stdout) == (exits.DONE, True), done.stderr
            assert _answers(layout, "witness")
    closed = vermilion(*command)
    assert (closed.returncode, "vermilion up" in closed.stderr) == (exits.REFUSED, True)
    assert vermilion("start", "nobody", "--state", layout.state).returncode == exits.USAGE


def test_doctor_says_which_service_is_down_why_and_the_way_out(office: RunningOffice, layout: Layout) -> None:
    shown = replace(office.layout, state=office.layout.state)
    layout.office_file.write_bytes(shown.office_file.read_bytes())
    layout.config("witness").with_suffix(".good").write_bytes(layout.config("witness").read_bytes())
    with Launcher(layout, TWO, policy=replace(QUICK, deaths=1)) as launcher:
        launcher.start()
        os.kill(_pid(layout, "witness"), signal.SIGKILL)
        Observed(launcher).until(Turn.DOWN)
        (found,) = [one for one in doctor.examine(layout, datetime.now(UTC), TWO) if one.what.startswith("witness")]
        assert found.health is Health.FAULT
        assert "is down" in found.what and "SIGKILL" in found.what
        assert "vermilion start witness" in found.mend


def test_doctor_and_start_say_that_nothing_is_watched_once_the_launcher_was_killed(
    office: RunningOffice, layout: Layout, free_port: Callable[[], int]
) -> None:
    office.office.model_copy(update={"ports": {name: free_port() for name in office.office.ports}}).save(layout)
    first = subprocess.Popen([sys.executable, "-c", STARTS_TWO, layout.state], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "started\n"
    assert [one for one in doctor.examine(layout, datetime.now(UTC), TWO) if one.check == "Launcher"] == []
    first.send_signal(signal.SIGKILL)
    first.wait()
    (gone,) = [one for one in doctor.examine(layout, datetime.now(UTC), TWO) if one.check == "Launcher"]
    assert gone.health is Health.FAULT and "2 of its services run" in gone.what and "vermilion up" in gone.mend
    said = vermilion("start", "witness", "--state", layout.state)
    assert (said.returncode, "the launcher is gone" in " ".join(said.stderr.split())) == (exits.REFUSED, True), said.stderr
    dead = next(one for one in running(layout, TWO) if one.service == "witness")
    os.kill(dead.pid, signal.SIGKILL)
    until(lambda: not dead.alive)
    missing = [one for one in doctor.examine(layout, datetime.now(UTC), TWO) if one.what.startswith("witness")]
    assert [(one.health, "not running" in one.what) for one in missing] == [(Health.FAULT, True)]
    with Launcher(layout, TWO) as launcher:
        assert running(layout, TWO) == []
        launcher.start()
        assert "Launcher" not in {one.check for one in doctor.examine(layout, datetime.now(UTC), TWO)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_launcher_during_a_restart_leaves_nothing_that_the_next_does_not_end(layout: Layout, number: int) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.cli.two_services import QUICK, TWO; "
        "from vermilion.operation.launcher import Launcher; from vermilion.operation.signals import end_like_interrupt; "
        "from vermilion.state.layout import Layout\n"
        "end_like_interrupt()\n"
        "with Launcher(Layout.at(Path(sys.argv[1])), TWO, policy=QUICK) as launcher:\n"
        "    launcher.start(); print('started', flush=True)\n"
        "    try:\n"
        "        launcher.wait(lambda: False, lambda change: print(change.turn, flush=True))\n"
        "    except KeyboardInterrupt:\n"
        "        print('in order', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, layout.state], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "started\n"
        before = _pid(layout, "witness")
        os.kill(before, signal.SIGKILL)
        assert first.stdout.readline() == "ended\n"
        deadline_s = time.monotonic() + WITHIN_S
        while "witness" not in {one.service for one in running(layout, TWO)}:  # it begins, and is not ready yet
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        started = running(layout, TWO)
        first.send_signal(number)
        said = first.stdout.read()
    if number == signal.SIGKILL:
        assert all(one.alive for one in started)
        with Launcher(layout, TWO):
            pass
    else:
        assert said.endswith("in order\n") and first.returncode == 0
    assert not any(one.alive for one in started)
    assert not [*layout.run(".").glob("*.pid*"), *layout.run(".").glob("*.down")]


def test_waits_double_up_to_a_bound_and_begin_anew_after_a_good_life() -> None:
    deaths = Deaths(RestartPolicy(first_s=1, most_s=5, well_s=60, deaths=99, within_s=1))
    assert [deaths.add(10.0 * at, 0) for at in range(5)] == [1, 2, 4, 5, 5]
    assert deaths.add(1000, served_s=61) == 1
    assert deaths.add(1001, served_s=59) == 1
    assert deaths.add(1002, served_s=59) == 2


def test_too_many_deaths_in_too_short_a_time_are_enough() -> None:
    deaths = Deaths(RestartPolicy(deaths=3, within_s=100, well_s=10))
    assert [deaths.add(at, 50) is None for at in (0, 60, 120, 161, 219)] == [False, False, False, False, True]


def test_the_cause_is_what_this_life_said_as_it_ended(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    refused = '{"code": "CERTIFICATE_REVOKED", "reason": "a caller", "event": "refused"}\n'
    trace = "Traceback (most recent call last):\n  File x\nOSError: broken\n"
    for said, status, expected in (
        ("signer: HSM_UNAVAILABLE: no module\nInstall it.\n", 1, "ended with exit status 1: HSM_UNAVAILABLE: no module"),
        (refused + trace, 1, "ended with exit status 1: OSError: broken"),
        (trace + refused, 1, "ended with exit status 1: OSError: broken"),
        (refused, 3, "ended with exit status 3: it did not say why; the last fault in its log: CERTIFICATE_REVOKED: a caller"),
        ("", 3, "ended with exit status 3: it did not say why"),
        (
            refused,
            -signal.SIGKILL,
            "was killed by SIGKILL, by somebody, or for lack of memory; the last fault in its log, which need not be why",
        ),
        ("", -signal.SIGABRT, "crashed with SIGABRT"),
        ("", -signal.SIGHUP, "was ended by SIGHUP"),
        ("", -63, "was ended by signal 63"),
    ):
        log.write_text(OLD_FAULT + said)
        cause = endings.cause(status, log, len(OLD_FAULT))
        assert cause.startswith(expected) and "of last week" not in cause and "\n" not in cause
    assert "out of memory" in endings.cause(-signal.SIGKILL, log, 0, out_of_memory=True)
    log.write_text("x: INTERNAL: after the log was rotated\n")
    assert "rotated" in endings.cause(1, log, 10_000_000)
    assert "did not say why" in endings.cause(1, tmp_path / "no.log", 0)


def _group(leader: int) -> set[int]:
    """The processes of its group."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == leader and fields[0] not in "ZX":
                found.add(int(folder.name))
    return found
