"""The one background loop: faults do not end it, an outage is said once, and it stops within a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import request_id
from sealcore.platform.metrics import process_metrics
from sealcore.platform.periodic import NOW, OK, AsyncPeriodic, Backoff, Pause, Periodic

LONG_S = 60.0  # far longer than a test: nothing here waits for it
AWAY = VermilionError(Code.SERVICE_UNAVAILABLE, "the other side is away")


class Script:
    """Rounds that end as they are told, one after the other; the last end is repeated."""

    def __init__(self, *ends: Exception | None) -> None:
        self._ends = list(ends)
        self.rounds = 0
        self.request_ids: list[str | None] = []
        self._played = threading.Event()

    def __call__(self) -> None:
        self.rounds += 1
        self.request_ids.append(request_id())
        end = self._ends.pop(0) if len(self._ends) > 1 else self._ends[0]
        if self.rounds >= 4:
            self._played.set()
        if isinstance(end, Exception):
            raise end

    def wait(self) -> None:
        """Until the fourth round has begun."""
        assert self._played.wait(LONG_S)


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def played(task: Periodic, script: Script) -> None:
    task.start()
    script.wait()
    task.stop()


@pytest.mark.parametrize("fault", [AWAY, ValueError("nobody foresaw it")])
def test_a_fault_is_logged_and_counted_and_does_not_end_it(fault: Exception) -> None:
    script = Script(fault, fault, None, None)
    task = Periodic("work", script, 0, first_s=NOW, failing="work not done")
    with capture_logs() as logs:
        played(task, script)
    code = str(fault.code) if isinstance(fault, VermilionError) else "INTERNAL"
    assert task.outcomes[code] == 2 and task.outcomes[OK] >= 2
    assert [line["event"] for line in logs] == ["work not done" if fault is AWAY else "fault", "it works again"]
    assert all(line["component"] == "work" for line in logs)
    assert task.fault is None


def test_an_outage_whose_reason_changes_is_said_anew() -> None:
    script = Script(AWAY, VermilionError(Code.DATABASE_UNAVAILABLE, "and now the database"), AWAY, AWAY)
    task = Periodic("work", script, 0, first_s=NOW)
    with capture_logs() as logs:
        played(task, script)
    assert [line["code"] for line in logs] == ["SERVICE_UNAVAILABLE", "DATABASE_UNAVAILABLE", "SERVICE_UNAVAILABLE"]


def test_each_round_has_a_request_id_of_its_own() -> None:
    script = Script(None)
    played(Periodic("work", script, 0, first_s=NOW), script)
    assert None not in script.request_ids and len(set(script.request_ids)) == script.rounds


def test_it_begins_now_or_after_the_interval_and_a_stop_breaks_the_pause() -> None:
    began = threading.Event()
    now, later = Periodic("now", began.set, LONG_S, first_s=NOW), Periodic("later", lambda: pytest.fail("too early"), LONG_S)
    now.start()
    later.start()
    assert began.wait(LONG_S)
    now.stop()
    later.stop()
    assert now.outcomes == {OK: 1} and not later.outcomes


def test_stop_does_not_wait_for_a_round_that_hangs() -> None:
    began, release = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        release.wait(LONG_S)

    task = Periodic("work", hang, 0, first_s=NOW)
    task.start()
    assert began.wait(LONG_S)
    with capture_logs() as logs:
        task.stop(within_s=0.01)
    assert [line["event"] for line in logs] == ["left behind while it hangs"] and task.stopping
    release.set()
    task.stop()
    assert task.outcomes == {OK: 1}, "no round after the stop"


def test_a_task_that_was_never_started_stops() -> None:
    Periodic("work", lambda: None, LONG_S).stop()


def test_health_is_the_last_round_and_how_long_the_present_one_takes() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    began, release = threading.Event(), threading.Event()

    def work() -> None:
        if began.is_set():
            return
        began.set()
        release.wait(LONG_S)
        raise AWAY

    task = Periodic("work", work, LONG_S, first_s=NOW, clock=clock)
    task.start()
    assert began.wait(LONG_S)
    task.check(5.0)
    clock.advance(6.0)
    with pytest.raises(VermilionError, match="work has hung for more than 5 s"):
        task.check(5.0)
    release.set()
    task.stop()
    with pytest.raises(VermilionError, match="the other side is away"):
        task.check(5.0)


def test_pauses_after_faults_double_up_to_the_longest_and_a_good_round_resets_them() -> None:
    task = Periodic("work", lambda: None, 1.0, retry=Backoff(2.0, 5.0))
    fails, goes_well = [task._end(None, AWAY) for _ in range(4)], task._end(None, None)
    assert (fails, goes_well) == ([2.0, 4.0, 5.0, 5.0], 1.0)
    assert task._end(None, AWAY) == 2.0
    assert task._end(Pause(7.0), None) == 7.0, "a round may say itself when the next one is due"
    assert task._end(None, AWAY) == 4.0, "and such a round is no reason to hurry"


def test_jitter_spreads_pauses_around_the_interval() -> None:
    task = Periodic("work", lambda: None, 100.0, jitter=0.25)
    pauses = [task._end(None, None) for _ in range(200)]
    assert all(75.0 <= pause <= 125.0 for pause in pauses) and len(set(pauses)) > 100


@pytest.mark.parametrize(("interval_s", "jitter"), [(-1.0, 0.0), (1.0, 1.0), (1.0, -0.1)])
def test_what_is_no_interval_is_refused(interval_s: float, jitter: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        Periodic("work", lambda: None, interval_s, jitter=jitter)


def test_monitoring_sees_the_rounds_of_the_tasks_that_run() -> None:
    script = Script(AWAY, None)
    task = Periodic("seen-by-monitoring", script, 0, first_s=NOW)
    registry = CollectorRegistry()
    process_metrics(registry)
    task.start()
    script.wait()
    labels = {"task": "seen-by-monitoring"}
    counted = {
        outcome: registry.get_sample_value("vermilion_background_rounds_total", labels | {"outcome": outcome})
        for outcome in (OK, AWAY.code)
    }
    task.stop()
    assert counted[AWAY.code] == 1 and (counted[OK] or 0) >= 2


def test_on_the_event_loop_a_fault_does_not_end_it_either() -> None:
    async def run() -> None:
        fourth = asyncio.Event()
        ends = [AWAY, ValueError("unforeseen"), None]

        async def work() -> None:
            if not ends:
                fourth.set()
            elif (end := ends.pop(0)) is not None:
                raise end

        task = AsyncPeriodic("work", work, 0, first_s=NOW)
        running = asyncio.create_task(task.run())
        async with asyncio.timeout(LONG_S):
            await fourth.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()
        assert task.outcomes[str(AWAY.code)] == task.outcomes["INTERNAL"] == 1 and task.outcomes[OK] >= 1

    asyncio.run(run())
