"""Jobs in bounded time: whatever one does, the others are done, each once, and nobody waits for one that hangs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hsm import watch
from sealcore.hsm.watch import Watched
from sealcore.platform.log import request
from tests.support.waiting import until

FOR_EVER_S = 600
SOON_S = 1.0  # long beside any scheduling of a busy machine


def codes(outcomes: Sequence[object]) -> list[object]:
    return [outcome.code if isinstance(outcome, VermilionError) else outcome for outcome in outcomes]


def refused() -> None:
    raise VermilionError(Code.HSM_KEY_MISSING, "no such key")


class Hanging:
    """A job that comes back when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.free = threading.Event()
        self.calls = 0
        self.given_up: bool | None = None

    def __call__(self) -> str:
        self.calls += 1
        self.begun.set()
        assert self.free.wait(FOR_EVER_S)
        self.given_up = watch.given_up()
        return "late"


def test_outcomes_come_in_order_and_a_fault_is_its_own_jobs_alone() -> None:
    watched = Watched(FOR_EVER_S, 1)
    outcomes = watched.run([lambda: 1, refused, lambda: 1 // 0, lambda: sys.exit(1), lambda: 2])
    assert codes(outcomes) == [1, Code.HSM_KEY_MISSING, Code.INTERNAL, Code.INTERNAL, 2]
    assert watched.run([]) == []
    assert watched.hung == 0


def test_one_thread_serves_batch_after_batch() -> None:
    watched = Watched(FOR_EVER_S, 1)
    threads = [thread for _ in range(50) for thread in watched.run([threading.get_ident] * 3)]
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_batches_of_several_threads_do_not_wait_for_each_other() -> None:
    watched, together = Watched(FOR_EVER_S, 1), threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: watched.run([together.wait]), range(4)))


def test_a_job_that_hangs_is_given_up_and_the_others_go_on_at_once() -> None:
    told: list[int] = []
    watched, hanging = Watched(SOON_S, 2, told.append), Hanging()
    done: list[int] = []
    jobs: list[Callable[[], object]] = [lambda: done.append(1), hanging, lambda: done.append(2), threading.get_ident]
    outcomes = watched.run(jobs)
    assert codes(outcomes[:3]) == [None, Code.HSM_TIMEOUT, None]
    assert done == [1, 2]
    assert len(told) == 1
    assert told[0] != outcomes[3]
    assert (watched.hung, hanging.calls) == (1, 1)
    assert watched.run([lambda: 3]) == [3]
    hanging.free.set()
    until(lambda: watched.hung == 0)
    assert (hanging.calls, hanging.given_up) == (1, True)
    assert codes(outcomes[:3]) == [None, Code.HSM_TIMEOUT, None]  # the late result went nowhere
    assert done == [1, 2]


def test_with_too_many_hanging_nothing_more_is_begun_until_one_comes_back() -> None:
    watched, first, second = Watched(SOON_S, 2), Hanging(), Hanging()
    begun: list[int] = []
    jobs: list[Callable[[], object]] = [first, second, lambda: begun.append(1), lambda: begun.append(2)]
    outcomes = watched.run(jobs)
    assert codes(outcomes) == [Code.HSM_TIMEOUT, Code.HSM_TIMEOUT, Code.HSM_UNAVAILABLE, Code.HSM_UNAVAILABLE]
    assert codes(watched.run([lambda: begun.append(3)])) == [Code.HSM_UNAVAILABLE]
    assert begun == []
    first.free.set()
    until(lambda: watched.hung == 1)
    assert watched.run([lambda: 4]) == [4]
    second.free.set()


def test_a_job_that_is_merely_slow_is_waited_for() -> None:
    watched, slow = Watched(FOR_EVER_S, 1), Hanging()
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(watched.run, [slow])
        assert slow.begun.wait(FOR_EVER_S)
        slow.free.set()
        assert outcome.result() == ["late"]
    assert slow.given_up is False


def test_many_jobs_may_together_take_longer_than_one_may() -> None:
    watched = Watched(SOON_S, 1)
    pause = threading.Event()
    assert watched.run([lambda: pause.wait(SOON_S / 20)] * 40) == [False] * 40


def test_jobs_log_under_the_callers_request() -> None:
    import structlog

    watched = Watched(FOR_EVER_S, 1)
    with request("request-1"):
        assert watched.run([lambda: structlog.contextvars.get_contextvars()["request_id"]]) == ["request-1"]
    assert watched.run([lambda: structlog.contextvars.get_contextvars().get("request_id")]) == [None]


def test_it_knows_the_processor_time_of_its_threads() -> None:
    watched = Watched(FOR_EVER_S, 1)
    watched.run([lambda: sum(range(200_000))])
    before = watched.cpu_s
    assert before > 0
    watched.run([lambda: sum(range(200_000))])
    assert watched.cpu_s > before


def test_closed_it_takes_no_more_and_waits_for_nobody() -> None:
    watched, hanging = Watched(SOON_S, 2), Hanging()
    assert codes(watched.run([hanging])) == [Code.HSM_TIMEOUT]
    watched.close()
    assert codes(watched.run([lambda: 1])) == [Code.HSM_UNAVAILABLE]
    hanging.free.set()
    until(lambda: watched.hung == 0)


@pytest.mark.parametrize("closing", ["", "watched.close()"])
def test_a_process_ends_while_a_job_hangs(closing: str) -> None:
    program = (
        "import threading; from sealcore.hsm.watch import Watched; watched = Watched(0.1, 1)\n"
        f"print(watched.run([threading.Event().wait])[0].code)\n{closing}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "HSM_TIMEOUT\n", "")
