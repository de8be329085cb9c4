"""Watches the machine's clock: no token when its time may be off by more than the accuracy that tokens claim (ETSI EN 319 421 §7.7.2).

Three things are looked at: what chrony or the kernel says of the clock's error; the wall clock against the monotonic one, which nobody
can set; and leap seconds that are announced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import Pause, Periodic
from timestamp.clock_sources import Leap, Reading, Source, read_clock_state

ClockPolicy = Literal["require-synchronised", "trust-machine"]

EXAMINE_EVERY_S: Final = 5.0  # chrony and NTP correct the clock once a minute or more seldom
ASK_AGAIN_S: Final = 1.0  # while issuance is stopped: whoever asks for a token may cause a new look, but not every time
DRIFT_PPM: Final = 500  # how fast a clock may go wrong between two looks: the kernel's own figure
STEP_US: Final = 50_000  # wall and monotonic clock are read one after the other: less than this may be a busy machine
LEAP_HOLD_US: Final = 2_000_000  # no tokens so long before and after the end of a day whose last minute has 61 or 59 seconds
_AROUND_LEAP_US: Final = 60_000_000  # so long after, a step of one second is the leap second
_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000

ReadState = Callable[[], Reading]


@dataclass(frozen=True)
class _Seen:
    """What the last look at the clock found.

    at_us     when, on the monotonic clock
    apart_us  wall clock less monotonic clock, as long as the wall clock is believed
    doubt     a difference that is not believed, and since when (monotonic clock): somebody set the wall clock
    leap_us   the end of the day for which a leap second is or was announced
    """

    reading: Reading
    at_us: int
    apart_us: int
    doubt: tuple[int, int] | None = None
    leap_us: int | None = None


class ClockWatch:
    """The time for tokens, vouched for. Threads may share it; each process has one of its own.

    policy       ``require-synchronised``: a clock that nobody synchronises stops issuance. ``trust-machine``: such a clock is
                 believed, also after it was set; an error that a source does state must still be within the accuracy
    accuracy_ms  what the tokens claim; CONFIGURATION_INVALID unless at least 1
    chrony       where chronyd takes questions, as ``chronyc -h`` has it; None for its usual places
    read_state   asks the sources; tests of the arithmetic give readings of their own
    """

    def __init__(
        self, policy: ClockPolicy, *, accuracy_ms: int, clock: Clock, chrony: str | None = None, read_state: ReadState | None = None
    ) -> None:
        self._policy = policy
        if accuracy_ms < 1:
            raise VermilionError(Code.CONFIGURATION_INVALID, "a timestamp unit's accuracy is at least 1 ms")
        self.accuracy_ms: Final = accuracy_ms
        self._accuracy_us = accuracy_ms * 1000
        self._clock = clock
        self._read_state = read_state or (lambda: read_clock_state(chrony))
        self._lock = threading.Lock()
        self._task = Periodic("clock-watch", self._look_again, EXAMINE_EVERY_S, first_s=ASK_AGAIN_S, clock=clock)
        self._log = get_log("clock")
        self._stopped = False
        self.steps = 0
        wall_us, monotonic_us = self._clocks()
        reading = self._read_state()
        self._seen = _Seen(reading, monotonic_us, wall_us - monotonic_us, leap_us=self._leap_end(reading, None, wall_us))

    def start(self) -> None:
        """Looks at the clock from time to time, so that nobody who wants a token waits for it."""
        if not self.synchronised:
            self._log.warning("the clock is not synchronised", policy=self._policy)
        self._task.start()

    def close(self) -> None:
        """Ends what ``start`` began."""
        self._task.stop()

    @property
    def source(self) -> Source:
        """Who vouches."""
        return self._seen.reading.source

    @property
    def synchronised(self) -> bool:
        """Whether a source says that the clock follows UTC."""
        return self._seen.reading.bound_us is not None

    @property
    def bound_us(self) -> int | None:
        """How far the clock may be off now; None when nobody says."""
        wall_us, monotonic_us = self._clocks()
        return self._bound_us(wall_us, monotonic_us)

    def note(self) -> str:
        """The state of the clock in a sentence, for operators."""
        bound_us = self.bound_us
        if bound_us is None:
            return "the machine's clock is not synchronised; it is trusted because the settings say so"
        return f"{self.source}: off by at most {bound_us / 1000:.3f} ms; tokens claim {self.accuracy_ms} ms"

    def require(self) -> None:
        """Raises TIMESTAMP_UNAVAILABLE while tokens must not be made. May look at the clock anew, so hold no lock."""
        wall_us, monotonic_us = self._clocks()
        age_us = monotonic_us - self._seen.at_us
        fault = self._fault(wall_us, monotonic_us)
        if age_us > 2 * EXAMINE_EVERY_S * _SECOND_US or (fault is not None and age_us > ASK_AGAIN_S * _SECOND_US):
            self._examine_once(self._seen)
            fault = self._fault(*self._clocks())
        if fault is not None:
            raise fault

    def time_us(self) -> int:
        """The present in microseconds since 1970 (UTC); TIMESTAMP_UNAVAILABLE when it cannot be vouched for. Never waits."""
        wall_us, monotonic_us = self._clocks()
        fault = self._fault(wall_us, monotonic_us)
        if fault is not None:
            raise fault
        return wall_us

    def examine(self) -> None:
        """Asks the sources anew."""
        with self._lock:
            self._examine()

    def stopped(self) -> bool:
        """Whether tokens must not be made now."""
        return self._fault(*self._clocks()) is not None

    def _clocks(self) -> tuple[int, int]:
        return round(self._clock.now().timestamp() * _SECOND_US), round(self._clock.monotonic_s() * _SECOND_US)

    def _examine_once(self, known: _Seen) -> None:
        """As ``examine``, unless another thread just did."""
        with self._lock:
            if self._seen is known:
                self._examine()

    def _examine(self) -> None:
        wall_us, monotonic_us = self._clocks()  # before the question: a step during it is then seen as one
        before, reading = self._seen, self._read_state()
        apart_us, doubt = wall_us - monotonic_us, None
        step_us = apart_us - before.apart_us
        if abs(step_us) > STEP_US:
            doubt = before.doubt
            if doubt is None or abs(apart_us - doubt[0]) > STEP_US:
                doubt = apart_us, monotonic_us
                self.steps += 1
                self._log.warning("the clock was set", seconds=round(step_us / _SECOND_US, 3), source=str(reading.source))
            if self._believes(reading, step_us, wall_us, wall_us - (monotonic_us - doubt[1])):
                doubt = None
            else:
                apart_us = before.apart_us
        self._seen = _Seen(reading, monotonic_us, apart_us, doubt, self._leap_end(reading, before.leap_us, wall_us))
        self._say(self._fault(*self._clocks()))

    def _believes(self, reading: Reading, step_us: int, wall_us: int, seen_us: int) -> bool:
        """Whether the clock is right after it was set, which was seen at ``seen_us``: somebody must have compared it since."""
        if self._policy == "trust-machine":
            return True
        if reading.bound_us is None:
            return False
        leap_us = self._seen.leap_us
        if leap_us is not None and abs(wall_us - leap_us) < _AROUND_LEAP_US and abs(abs(step_us) - _SECOND_US) <= STEP_US:
            return True  # the leap second that was announced
        if reading.reference_us is None:  # the kernel: setting the clock makes it unsynchronised until it is compared again
            return True
        # Chrony must have compared the clock after it was set. Its last figure before says nothing
        # about the new time.
        return seen_us <= reading.reference_us <= wall_us + STEP_US

    def _leap_end(self, reading: Reading, known_us: int | None, wall_us: int) -> int | None:
        """The end of the day for which a leap second is announced, kept until it is past."""
        if known_us is not None and wall_us <= known_us + _AROUND_LEAP_US:
            return known_us
        if reading.leap not in (Leap.INSERT, Leap.DELETE):
            return None
        self._log.warning("a leap second is announced", kind=str(reading.leap))
        return (wall_us // _DAY_US + 1) * _DAY_US

    def _bound_us(self, wall_us: int, monotonic_us: int) -> int | None:
        seen = self._seen
        if seen.reading.bound_us is None:
            return None
        # The bound grows with the time since the last look: an old reading must not vouch for the
        # present.
        drift_us = max(0, monotonic_us - seen.at_us) * DRIFT_PPM // 1_000_000
        step_us = abs(wall_us - monotonic_us - seen.apart_us)
        believed = step_us <= STEP_US or self._policy == "trust-machine"
        return seen.reading.bound_us + drift_us + (0 if believed else step_us)

    def _fault(self, wall_us: int, monotonic_us: int) -> VermilionError | None:
        """Why no token may be made now."""
        seen = self._seen
        if seen.reading.leap is Leap.NOW or (seen.leap_us is not None and abs(wall_us - seen.leap_us) <= LEAP_HOLD_US):
            return _unavailable("a leap second is put in or left out; the clock cannot say which second it is")
        bound_us = self._bound_us(wall_us, monotonic_us)
        if bound_us is None:
            if self._policy == "trust-machine":
                return None
            return _unavailable("the machine's clock is not synchronised, and the settings require that it is")
        if bound_us > self._accuracy_us:
            off, accuracy = (f"{value / _SECOND_US:.3f} s" for value in (bound_us, self._accuracy_us))
            return _unavailable(f"the clock may be off by {off}; the tokens' accuracy is {accuracy}")
        return None

    def _say(self, fault: VermilionError | None) -> None:
        """Once, when issuance stops and when it goes on."""
        if fault is not None and not self._stopped:
            self._log.error("timestamps are stopped", reason=fault.reason)
        elif fault is None and self._stopped:
            self._log.warning("timestamps go on", source=str(self.source))
        self._stopped = fault is not None

    def _look_again(self) -> Pause | None:
        self.examine()
        return Pause(ASK_AGAIN_S) if self.stopped() else None


def _unavailable(reason: str) -> VermilionError:
    return VermilionError(Code.TIMESTAMP_UNAVAILABLE, reason)
