"""The one background loop: something that a service does again and again until it stops.

``Periodic`` runs its rounds in a thread, ``AsyncPeriodic`` on the event loop. What both promise:

* a round that fails is logged and counted, and the next one comes all the same, whatever it raised, also where the log cannot be written;
* an outage is logged when it begins, when its reason changes and when it is over, not once a round, and never without a bound;
* readiness and metrics tell of every loop that was begun (``standings``): since when it fails, that it makes no progress, or that it has ended;
* each round has a request id of its own, so that what it logs and what it calls can be found again;
* ``stop`` returns within a bound, also when a round hangs.

Loops that wait for data rather than for time (a pipe, a socket, a queue) and those that watch over a process are not of this kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, Kind, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request
from sealcore.platform.throttle import Throttle

STOP_S: Final = 30.0  # longer than any bounded call that a round makes; a thread that still hangs then ends with the process
LONGEST_S: Final = 300.0  # longer than any step of any round
LINES_AT_ONCE: Final = 8
LINE_EVERY_S: Final = 60.0
NOW: Final = 0.0
OK: Final = "ok"
_PASSING: Final = frozenset({Kind.BUSY, Kind.UNAVAILABLE})


@dataclass(frozen=True)
class Pause:
    """Returned by a round that says itself how long it is until the next one."""

    seconds: float


Work = Callable[[], object]
"""One round. Returns a ``Pause``, or the fault of a round that failed and has said so itself; anything else means the usual interval."""

AsyncWork = Callable[[], Awaitable[object]]


class Backoff:
    """Pauses that double, from ``first_s`` to ``longest_s``, until something succeeds."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def next(self) -> Pause:
        """The pause to make now; the next one is twice as long."""
        pause, self._next_s = Pause(self._next_s), min(2 * self._next_s, self._longest_s)
        return pause

    def reset(self) -> None:
        """Begins with ``first_s`` again."""
        self._next_s = self._first_s


class Health(StrEnum):
    """How a loop is."""

    WELL = "ok"
    FAILING = "failing"  # the last round failed; the next one may go well
    STALLED = "stalled"  # a round makes no progress
    ENDED = "ended"  # nothing runs any more, though nobody stopped it


STANDING_STILL: Final = frozenset({Health.STALLED, Health.ENDED})


@dataclass(frozen=True)
class Standing:
    """What an operator is told of a loop.

    for_s  for how long it has been so; 0 while it is well
    fault  of the last round; for a loop that has stalled or ended, that it has
    """

    name: str
    health: Health
    for_s: float = 0.0
    fault: VermilionError | None = None


class _Rounds(ABC):
    """What happens around a round, wherever it runs.

    name        of the task, in logs and metrics
    interval_s  from the end of one round to the beginning of the next
    first_s     until the first round: ``NOW``, or None for ``interval_s``
    jitter      share by which each pause is lengthened or shortened at random, so that many processes do not call at once
    retry       pauses after rounds that raise; ``interval_s`` without it. A round that neither raises nor returns a pause resets it
    failing     what the log says of a round that fails
    clock       tells how long a round has been running
    longest_s   for how long a round may go without ``progress`` before the loop counts as stalled
    """

    def __init__(
        self,
        name: str,
        interval_s: float,
        *,
        first_s: float | None = None,
        jitter: float = 0.0,
        retry: Backoff | None = None,
        failing: str | None = None,
        clock: Clock | None = None,
        longest_s: float = LONGEST_S,
    ) -> None:
        if interval_s < 0 or not 0 <= jitter < 1:
            raise ValueError("an interval is not negative, and a jitter is a share of it")
        self.name: Final = name
        self.outcomes: Final = Counter[str]()  # OK or a code → rounds that ended so
        self.fault: VermilionError | None = None  # of the last round
        self._interval_s = interval_s
        self._first_s = interval_s if first_s is None else first_s
        self._jitter = jitter
        self._retry = retry or Backoff(interval_s, interval_s)
        self._failing = failing or "a round failed"
        self._clock = clock or SystemClock()
        self._longest_s = longest_s
        self._began_s: float | None = None  # when the round began that is running
        self._pausing = False  # the last round failed or named a pause of its own
        self._moved_s = 0.0  # when it last made progress
        self._failing_s: float | None = None  # since when every round fails
        self._said = False  # whether the work itself said why it failed
        self._throttle = Throttle(LINE_EVERY_S, self._clock.monotonic_s, at_once=LINES_AT_ONCE)
        self._log = get_log(name)

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether anything runs its rounds."""

    @property
    def standing(self) -> Standing:
        """How it is now."""
        now_s, began_s, failing_s, fault = self._clock.monotonic_s(), self._began_s, self._failing_s, self.fault
        if not self.alive:
            ended = VermilionError(Code.INTERNAL, f"the background task {self.name} has ended; the service has to be started again")
            return Standing(self.name, Health.ENDED, now_s - self._moved_s, ended)
        if began_s is not None and (still_s := now_s - self._moved_s) > self._longest_s:
            stalled = VermilionError(Code.SERVICE_UNAVAILABLE, f"the background task {self.name} has made no progress for {still_s:.0f} s")
            return Standing(self.name, Health.STALLED, still_s, stalled)
        if fault is not None and failing_s is not None:
            return Standing(self.name, Health.FAILING, now_s - failing_s, fault)
        return Standing(self.name, Health.WELL)

    def moved(self) -> None:
        """The round makes progress."""
        self._moved_s = self._clock.monotonic_s()

    @property
    def running_s(self) -> float:
        """For how long the present round has been running; 0 between rounds."""
        began_s = self._began_s
        return 0.0 if began_s is None else self._clock.monotonic_s() - began_s

    def check(self, longest_s: float) -> None:
        """For ``/readyz``: raises the fault of the last round, or SERVICE_UNAVAILABLE when one takes longer than ``longest_s``."""
        if self.running_s > longest_s:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"{self.name} has hung for more than {longest_s:g} s")
        if self.fault is not None:
            raise self.fault

    def _begin(self) -> None:
        self._began_s = self._moved_s = self._clock.monotonic_s()

    def _end(self, result: object, raised: BaseException | None) -> float:
        """Notes how the round ended; seconds until the next one. Raises nothing."""
        self._began_s = None
        self._moved_s = self._clock.monotonic_s()
        said = isinstance(result, VermilionError)
        fault = result if isinstance(result, VermilionError) else raised
        self._note(fault, said=said)
        self._pausing = fault is not None or isinstance(result, Pause)
        if fault is not None:
            pause_s = self._retry.next().seconds
        elif isinstance(result, Pause):
            pause_s = result.seconds
        else:
            self._retry.reset()
            pause_s = self._interval_s
        return pause_s * random.uniform(1 - self._jitter, 1 + self._jitter)  # noqa: S311  (only spreads the calls of many processes)

    def _note(self, raised: BaseException | None, *, said: bool) -> None:
        before = self.fault
        if raised is None:
            self.fault = self._failing_s = None
            self.outcomes[OK] += 1
            if before is not None and not self._said:
                self._say(self._log.info, "it works again")
            return
        fault = typed(raised)
        self.fault = fault
        if before is None:
            self._failing_s = self._clock.monotonic_s()
        self.outcomes[str(fault.code)] += 1
        self._said = said
        if said or (before is not None and (before.code, before.reason) == (fault.code, fault.reason)):
            return
        if fault.code is Code.INTERNAL and fault is not raised:
            self._say(self._log.error, "fault", code=str(fault.code), exc_info=raised)
            return
        say = self._log.warning if fault.kind in _PASSING else self._log.error
        self._say(say, self._failing, code=str(fault.code), reason=fault.reason, way_out=fault.way_out)

    def _say(self, say: Callable[..., None], event: str, **told: object) -> None:
        left_out = self._throttle.take(None)
        if left_out is not None:
            with contextlib.suppress(Exception):  # a log that cannot be written ends no loop
                say(event, task=self.name, **told, **({"left_out": left_out} if left_out else {}))


class Periodic(_Rounds):
    """Rounds in a thread of their own, for work that blocks. The parameters are those of ``_Rounds``, with ``work`` after the name."""

    def __init__(
        self,
        name: str,
        work: Work,
        interval_s: float,
        *,
        first_s: float | None = None,
        jitter: float = 0.0,
        retry: Backoff | None = None,
        failing: str | None = None,
        clock: Clock | None = None,
        longest_s: float = LONGEST_S,
    ) -> None:
        super().__init__(name, interval_s, first_s=first_s, jitter=jitter, retry=retry, failing=failing, clock=clock, longest_s=longest_s)
        self._work = work
        self._stop, self._woken = threading.Event(), threading.Event()
        self._thread = _Thread(self)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop: a long round looks here between its steps."""
        return self._stop.is_set()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begins; once only."""
        self.moved()
        self._thread.start()
        _BEGUN.add(self)

    def stop(self, within_s: float = STOP_S) -> None:
        """No further round begins. Waits for the one that is running, but no longer than ``within_s``; harmless before ``start``."""
        self._stop.set()
        self._woken.set()
        _BEGUN.discard(self)
        if self._thread.ident is None or within_s <= 0:
            return
        self._thread.join(within_s)
        if self._thread.is_alive():
            self._log.warning("left behind while it hangs", task=self.name, seconds=within_s)

    def wake(self) -> None:
        """Begins the next round now, or after the one that is running. A pause after a failure, or one that a round named, is kept."""
        self._woken.set()

    def run(self) -> None:
        """The loop, in the calling thread."""
        pause_s = self._first_s
        while not self._waited(pause_s):
            pause_s = self._round()

    def _waited(self, pause_s: float) -> bool:
        """Whether it is to stop."""
        if self._pausing:
            self._stop.wait(pause_s)
        else:
            self._woken.wait(pause_s)
        self._woken.clear()  # what woke us is there for the round that follows
        return self._stop.is_set()

    def _round(self) -> float:
        self._begin()
        result: object = None
        fault: BaseException | None = None
        try:
            with request():
                result = self._work()
        except BaseException as raised:  # noqa: BLE001  (the loop outlives whatever nobody foresaw, an exit in some library too)
            fault = raised
        return self._end(result, fault)


class AsyncPeriodic(_Rounds):
    """Rounds on the event loop, for work that does not block: ``run`` is made a task, and cancelled to stop it."""

    def __init__(self, name: str, work: AsyncWork, interval_s: float, *, failing: str | None = None, first_s: float | None = None) -> None:
        super().__init__(name, interval_s, first_s=first_s, failing=failing)
        self._work = work
        self._running: asyncio.Task[object] | None = None

    @property
    def alive(self) -> bool:
        """Whether its task runs."""
        return self._running is not None and not self._running.done()

    async def run(self) -> None:
        """The loop; does not return."""
        self._running = asyncio.current_task()
        self.moved()
        _BEGUN.add(self)
        pause_s = self._first_s
        try:
            while True:
                await asyncio.sleep(pause_s)
                pause_s = await self._round()
        except asyncio.CancelledError:
            _BEGUN.discard(self)
            raise

    async def _round(self) -> float:
        self._begin()
        result: object = None
        fault: BaseException | None = None
        try:
            with request():
                result = await self._work()
        except asyncio.CancelledError as raised:
            if self._running is None or self._running.cancelling():
                raise
            fault = raised  # something that the round waited for was cancelled, not the loop
        except Exception as raised:  # noqa: BLE001  (the loop outlives whatever nobody foresaw)
            fault = raised
        return self._end(result, fault)


_BEGUN: Final[set[_Rounds]] = set()  # loops of this process that were begun and not stopped
os.register_at_fork(after_in_child=_BEGUN.clear)


class _Thread(threading.Thread):
    """A thread that can be asked what it runs. Daemon: a round that hangs does not hold up the end of the process."""

    def __init__(self, task: Periodic) -> None:
        super().__init__(name=task.name, daemon=True)
        self.task = task

    def run(self) -> None:
        self.task.run()


def progress() -> None:
    """A long round says between its steps that it goes on; anywhere else this does nothing."""
    thread = threading.current_thread()
    if isinstance(thread, _Thread):
        thread.task.moved()


def running() -> list[_Rounds]:
    """Every loop of this process that was begun and not stopped."""
    return sorted(_BEGUN.copy(), key=lambda task: task.name)


def standings() -> list[Standing]:
    """How each of them is."""
    return [task.standing for task in running()]
