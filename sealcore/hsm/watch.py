"""Bounds the time of calls into the HSM: one that hangs is abandoned, and the others go on.

A call into a PKCS#11 module cannot be interrupted. So it runs in a helper thread that nobody has to wait for, a daemon thread that
does not delay the end of the process either. A whole batch of calls costs one hand-over to a helper and back.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log

Result = TypeVar("Result")


class _Run(Generic[Result]):
    """Jobs on their way through one helper. Whoever holds ``lock`` decides: either a result counts, or the run is given up."""

    def __init__(self, jobs: Sequence[Callable[[], Result]]) -> None:
        self._jobs = jobs
        self._context = contextvars.copy_context()  # logs in the helper carry the caller's request id
        self._lock = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()
        self._begun_s = time.monotonic()  # when the present job began
        self.results: list[Result | VermilionError] = []
        self.given_up = False
        self.cpu_s = 0.0

    def work(self) -> None:
        """The helper's part. Once the run is given up no further job begins, and the late result goes nowhere."""
        for job in self._jobs:
            result = self._context.run(_outcome, job)
            with self._lock:
                if self.given_up:
                    return
                self.results.append(result)
                self._begun_s = time.monotonic()

    def end(self) -> None:
        """Wakes the caller."""
        self._done.release()

    def wait(self, timeout_s: float) -> bool:
        """The caller's part: True when all jobs ended, False when one took longer than ``timeout_s`` and the run is given up."""
        remaining_s = timeout_s
        while not self._done.acquire(timeout=remaining_s):
            with self._lock:
                remaining_s = self._begun_s + timeout_s - time.monotonic()
                # Under the lock that ``work`` takes for each result: either the result counts or
                # the run is given up, never both.
                if remaining_s <= 0 and len(self.results) < len(self._jobs):
                    self.given_up = True
                    return False
                remaining_s = max(remaining_s, 0)
        return True


def _outcome(job: Callable[[], Result]) -> Result | VermilionError:
    try:
        return job()
    except VermilionError as refusal:
        return refusal
    except BaseException as fault:  # noqa: BLE001  (each job has one outcome, and the helper lives on)
        get_log("hsm").error("fault", exc_info=fault)
        return typed(fault)


class _Helper:
    """A thread that works on one run after another. It ends with the process, or when it is given None."""

    def __init__(self, ended: Callable[[_Helper, _Run[Any]], None]) -> None:
        self._inbox: SimpleQueue[_Run[Any] | None] = SimpleQueue()
        self._ended = ended
        self._thread = threading.Thread(target=self._live, name="hsm", daemon=True)
        self._thread.start()

    @property
    def thread(self) -> int:
        assert self._thread.ident is not None
        return self._thread.ident

    def begin(self, run: _Run[Any] | None) -> None:
        self._inbox.put(run)

    def _live(self) -> None:
        while (run := self._inbox.get()) is not None:
            begun_s, _PRESENT.run = time.thread_time(), run
            run.work()
            run.cpu_s, _PRESENT.run = time.thread_time() - begun_s, None
            self._ended(self, run)
            run.end()  # last: a caller that comes again at once finds this helper idle


_PRESENT: Final = threading.local()  # the run that a helper works on


def given_up() -> bool:
    """Whether this thread is a helper whose caller has stopped waiting: what it has not begun, it need not begin."""
    run = getattr(_PRESENT, "run", None)
    return run is not None and run.given_up


class Watched:
    """Runs jobs that call the HSM. Threads may share it; each batch has a helper of its own.

    timeout_s  how long one job may take
    most_hung  with so many helpers hanging, no further job is begun: the HSM is not there
    on_hang    told the thread of a helper that is given up, to free what it holds
    """

    def __init__(self, timeout_s: float, most_hung: int, on_hang: Callable[[int], None] = lambda _thread: None) -> None:
        self._timeout_s = timeout_s
        self._most_hung = most_hung
        self._on_hang = on_hang
        self._lock = threading.Lock()  # held for a few instructions only
        self._idle: list[_Helper] = []
        self._hung = 0
        self._cpu_s = 0.0
        self._closed = False

    @property
    def cpu_s(self) -> float:
        """CPU seconds that jobs have taken in helpers so far, which no clock of the calling threads sees; of batches that ended."""
        return self._cpu_s

    @property
    def hung(self) -> int:
        """How many helpers hang at this moment."""
        return self._hung

    def run(self, jobs: Sequence[Callable[[], Result]]) -> list[Result | VermilionError]:
        """The outcome of each job, in order; each is called at most once.

        HSM_TIMEOUT for a job that takes longer than ``timeout_s``: what it still does is thrown away, and the jobs after it go on in
        another thread at once. HSM_UNAVAILABLE for jobs that were not begun because too many hang.
        """
        outcomes: list[Result | VermilionError] = []
        while len(outcomes) < len(jobs):
            outcomes += self._begin(jobs[len(outcomes) :])
        return outcomes

    def close(self) -> None:
        """Takes no further jobs; waits for nobody."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for helper in idle:
            helper.begin(None)

    def _begin(self, jobs: Sequence[Callable[[], Result]]) -> list[Result | VermilionError]:
        """The outcomes of all these jobs, or up to the first that hangs."""
        try:
            helper = self._helper()
        except VermilionError as refusal:
            return [refusal for _ in jobs]
        run: _Run[Result] = _Run(jobs)
        helper.begin(run)
        if run.wait(self._timeout_s):
            return run.results
        with self._lock:
            self._hung += 1
        # The session of the hung call is written off at once; otherwise each hang would take one
        # from the others.
        self._on_hang(helper.thread)
        late = VermilionError(Code.HSM_TIMEOUT, f"the HSM did not answer within {self._timeout_s:g} s; a late answer is thrown away")
        return [*run.results, late]

    def _helper(self) -> _Helper:
        with self._lock:
            if self._closed:
                raise VermilionError(Code.HSM_UNAVAILABLE, "the token is closed")
            if self._hung >= self._most_hung:
                raise VermilionError(Code.HSM_UNAVAILABLE, f"{self._hung} calls into the HSM do not end; it is asked again when one does")
            if self._idle:
                return self._idle.pop()
        return _Helper(self._ended)

    def _ended(self, helper: _Helper, run: _Run[Any]) -> None:
        with self._lock:
            self._cpu_s += run.cpu_s
            if run.given_up:
                self._hung -= 1
            if not self._closed:
                self._idle.append(helper)
                return
        helper.begin(None)
