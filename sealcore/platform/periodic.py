"""The one background loop: something that a service does again and again until it stops.

``Periodic`` runs its rounds in a thread, ``AsyncPeriodic`` on the event loop. What both promise:

* a round that fails is logged and counted, and the next one comes all the same, whatever it raised;
* an outage is logged when it begins, when its reason changes and when it is over, not once a round;
* each round has a request id of its own, so that what it logs and what it calls can be found again;
* ``stop`` returns within a bound, also when a round hangs.

Loops that wait for data rather than for time (a pipe, a socket, a queue) and those that watch over a process are not of this kind.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, Kind, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request

STOP_S: Final = 30.0  # longer than any bounded call that a round makes; a thread that still hangs then ends with the process
NOW: Final = 0.0
OK: Final = "ok"
_PASSING: Final = frozenset({Kind.BUSY, Kind.UNAVAILABLE})


@dataclass(frozen=True)
class Pause:
    """Returned by a round that says itself how long it is until the next one."""

    seconds: float


Work = Callable[[], object]
"""One round. Returns a ``Pause``; anything else, such as None, means the usual interval."""

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


class _Rounds:
    """What happens around a round, wherever it runs.

    name        of the task, in logs and metrics
    interval_s  from the end of one round to the beginning of the next
    first_s     until the first round: ``NOW``, or None for ``interval_s``
    jitter      share by which each pause is lengthened or shortened at random, so that many processes do not call at once
    retry       pauses after rounds that raise; ``interval_s`` without it. A round that neither raises nor returns a pause resets it
    failing     what the log says of a round that fails
    clock       tells how long a round has been running
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
        self._began_s: float | None = None  # when the round began that is running
        self._pausing = False  # the last round failed or named a pause of its own
        self._log = get_log(name)

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
        self._began_s = self._clock.monotonic_s()

    def _end(self, result: object, raised: Exception | None) -> float:
        """Notes how the round ended; seconds until the next one."""
        self._began_s = None
        self._note(raised)
        self._pausing = raised is not None or isinstance(result, Pause)
        if raised is not None:
            pause_s = self._retry.next().seconds
        elif isinstance(result, Pause):
            pause_s = result.seconds
        else:
            self._retry.reset()
            pause_s = self._interval_s
        return pause_s * random.uniform(1 - self._jitter, 1 + self._jitter)  # noqa: S311  (only spreads the calls of many processes)

    def _note(self, raised: Exception | None) -> None:
        before = self.fault
        if raised is None:
            self.fault = None
            self.outcomes[OK] += 1
            if before is not None:
                self._log.info("it works again", task=self.name)
            return
        self.fault = fault = typed(raised)
        self.outcomes[str(fault.code)] += 1
        if before is not None and (before.code, before.reason) == (fault.code, fault.reason):
            return
        if fault.code is Code.INTERNAL and fault is not raised:
            self._log.error("fault", task=self.name, code=str(fault.code), exc_info=raised)
            return
        say = self._log.warning if fault.kind in _PASSING else self._log.error
        say(self._failing, task=self.name, code=str(fault.code), reason=fault.reason, way_out=fault.way_out)


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
    ) -> None:
        super().__init__(name, interval_s, first_s=first_s, jitter=jitter, retry=retry, failing=failing, clock=clock)
        self._work = work
        self._stop, self._woken = threading.Event(), threading.Event()
        self._thread = _Thread(self)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop: a long round looks here between its steps."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begins; once only."""
        self._thread.start()

    def stop(self, within_s: float = STOP_S) -> None:
        """No further round begins. Waits for the one that is running, but no longer than ``within_s``; harmless before ``start``."""
        self._stop.set()
        self._woken.set()
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
        try:
            with request():
                return self._end(self._work(), None)
        except Exception as raised:  # noqa: BLE001  (the loop outlives whatever nobody foresaw)
            return self._end(None, raised)


class AsyncPeriodic(_Rounds):
    """Rounds on the event loop, for work that does not block: ``run`` is made a task, and cancelled to stop it."""

    def __init__(self, name: str, work: AsyncWork, interval_s: float, *, failing: str | None = None, first_s: float | None = None) -> None:
        super().__init__(name, interval_s, first_s=first_s, failing=failing)
        self._work = work

    async def run(self) -> None:
        """The loop; does not return."""
        pause_s = self._first_s
        while True:
            await asyncio.sleep(pause_s)
            self._begin()
            try:
                with request():
                    pause_s = self._end(await self._work(), None)
            except Exception as raised:  # noqa: BLE001  (the loop outlives whatever nobody foresaw)
                pause_s = self._end(None, raised)


class _Thread(threading.Thread):
    """A thread that can be asked what it runs. Daemon: a round that hangs does not hold up the end of the process."""

    def __init__(self, task: Periodic) -> None:
        super().__init__(name=task.name, daemon=True)
        self.task = task

    def run(self) -> None:
        self.task.run()


def running() -> list[Periodic]:
    """Every ``Periodic`` whose thread runs in this process."""
    return [thread.task for thread in threading.enumerate() if isinstance(thread, _Thread)]
