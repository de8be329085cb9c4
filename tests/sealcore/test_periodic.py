"""The one background loop: faults do not end it, an outage is said once, and it stops within a bound."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import request_id
from sealcore.platform.metrics import process_metrics
from sealcore.platform.periodic import (
    LINE_EVERY_S,
    LINES_AT_ONCE,
    LONGEST_S,
    NOW,
    OK,
    AsyncPeriodic,
    Backoff,
    Health,
    Pause,
    Periodic,
    progress,
    standings,
)
from tests.support.waiting import until

LONG_S = 60.0  # far longer than a test: nothing here waits for it
AWAY = VermilionError(Code.SERVICE_UNAVAILABLE, "the other side is away")


class Script:
    """Rounds that end as they are told, one after the other; the last end is repeated."""

    def __init__(self, *ends: BaseException | None) -> None:
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
        if end is not None:
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


class SpeechlessError(RuntimeError):
    """Not even what it is can be asked."""

    def __str__(self) -> str:
        raise RecursionError

    __repr__ = __str__


@pytest.mark.parametrize(
    "fault",
    [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError(), asyncio.CancelledError(), RecursionError(), SpeechlessError()],
)
def test_no_kind_of_exception_ends_it(fault: BaseException) -> None:
    script = Script(fault, fault, None, None)
    task = Periodic("work", script, 0, first_s=NOW)
    played(task, script)
    assert task.outcomes[typed(fault).code] == 2 and task.outcomes[OK] >= 2


def test_a_log_that_cannot_be_written_does_not_end_it() -> None:
    def full(*_arguments: object) -> str:
        raise OSError(errno.ENOSPC, "no space left")

    structlog.configure(processors=[full])
    script = Script(AWAY, ValueError("unforeseen"), None, None)
    task = Periodic("work", script, 0, first_s=NOW)
    played(task, script)
    assert task.outcomes[AWAY.code] == task.outcomes["INTERNAL"] == 1 and task.outcomes[OK] >= 2


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


def test_outages_that_come_and_go_are_not_logged_without_a_bound() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    task = Periodic("work", lambda: None, 1.0, clock=clock)
    with capture_logs() as logs:
        for number in range(100):
            task._end(None, VermilionError(Code.SERVICE_UNAVAILABLE, f"another reason {number}"))
            task._end(None, None)
        assert len(logs) == LINES_AT_ONCE
        clock.advance(LINE_EVERY_S)
        task._end(None, AWAY)
        task._end(None, AWAY)
    assert len(logs) == LINES_AT_ONCE + 1 and logs[-1]["left_out"] == 200 - LINES_AT_ONCE


def standing(name: str) -> Health:
    return next(one.health for one in standings() if one.name == name)


def test_a_loop_says_since_when_it_fails_until_a_round_goes_well() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    ends: list[Exception | VermilionError | None] = []
    rounds = threading.Semaphore(0)

    def work() -> object:
        assert rounds.acquire(timeout=LONG_S)
        end = ends.pop(0) if ends else None
        if isinstance(end, ValueError):
            raise end
        return end

    task = Periodic("fails-for-a-while", work, 0, first_s=NOW, clock=clock)
    task.start()

    def played_so(end: Exception | None) -> None:
        before = sum(task.outcomes.values())
        ends.append(end)
        rounds.release()
        until(lambda: sum(task.outcomes.values()) > before)

    played_so(None)
    assert task.standing.health is Health.WELL
    played_so(ValueError("unforeseen"))
    clock.advance(10.0)
    played_so(AWAY)  # a round that returns its fault has failed, too
    clock.advance(10.0)
    assert (task.standing.health, task.standing.for_s, task.standing.fault) == (Health.FAILING, 20.0, AWAY)
    assert standing("fails-for-a-while") is Health.FAILING
    played_so(None)
    assert (task.standing.health, task.standing.for_s, task.standing.fault) == (Health.WELL, 0.0, None)
    task.stop(within_s=0)
    rounds.release()
    assert task.name not in [one.name for one in standings()]


def test_a_round_that_makes_no_progress_has_stalled_however_long_it_may_take() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    began, step, stepped, release = (threading.Event() for _ in range(4))

    def work() -> None:
        began.set()
        assert step.wait(LONG_S)
        progress()
        stepped.set()
        assert release.wait(LONG_S)

    task = Periodic("stalls", work, LONG_S, first_s=NOW, clock=clock)
    task.start()
    assert began.wait(LONG_S)
    clock.advance(LONGEST_S - 1)
    step.set()
    assert stepped.wait(LONG_S)
    clock.advance(LONGEST_S - 1)
    assert task.standing.health is Health.WELL
    clock.advance(2)
    assert standing("stalls") is Health.STALLED
    release.set()
    until(lambda: task.standing.health is Health.WELL)
    task.stop()


def test_a_loop_whose_thread_has_died_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        threading, "excepthook", lambda _told: None
    )  # pytest's own would be hit by the next of these faults while it takes notes
    task = Periodic("dies", lambda: None, 0.001, first_s=NOW)
    task.start()
    ident = task._thread.ident
    assert ident is not None

    def killed() -> bool:  # between two rounds, where nothing of ours catches it; as a fault in the interpreter would
        if task.alive:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit))
        return not task.alive

    until(killed)
    assert standing("dies") is Health.ENDED
    task.stop()
    progress()  # in a thread that is no loop's: nothing


def test_on_the_event_loop_only_its_own_cancellation_ends_it() -> None:
    async def run() -> None:
        fourth = asyncio.Event()
        rounds = 0

        async def work() -> None:
            nonlocal rounds
            rounds += 1
            if rounds == 4:
                fourth.set()
                return
            inner = asyncio.create_task(asyncio.sleep(LONG_S))
            inner.cancel()
            await inner

        task = AsyncPeriodic("cancelled-inside", work, 0, first_s=NOW)
        running = asyncio.create_task(task.run())
        async with asyncio.timeout(LONG_S):
            await fourth.wait()
        assert task.outcomes["INTERNAL"] == 3 and standing("cancelled-inside") in (Health.WELL, Health.FAILING)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled() and "cancelled-inside" not in [one.name for one in standings()]

    asyncio.run(run())
