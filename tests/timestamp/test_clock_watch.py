"""When the clock cannot be vouched for, no token is made: real chronyd, the real kernel, and clocks moved by hand."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealcore.clock import FixedClock, SystemClock
from sealcore.errors import Code, VermilionError
from tests.support.waiting import until
from tests.timestamp.chrony import Chrony
from timestamp.clock_sources import Leap, Reading, Source, ask_chrony, ask_kernel, parse_tracking, read_clock_state
from timestamp.clock_watch import ClockWatch

SYNCHRONISED = Reading(Source.KERNEL, 2_000)
UNSYNCHRONISED = Reading(Source.KERNEL, None)


def refusal(watch: ClockWatch) -> str:
    with pytest.raises(VermilionError) as refused:
        watch.time_us()
    assert refused.value.code is Code.TIMESTAMP_UNAVAILABLE
    return refused.value.reason


# --- the sources


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(  # chronyc 4.3 of Debian 12, a chronyd that follows another
            "7F000001,127.0.0.1,2,1795318346.512664981,-0.000000912,-0.000000078,0.000000598,0.007,-0.002,0.168,0.000004297,0.000005721,1.0,Normal\n",
            Reading(Source.CHRONY, 9, Leap.NONE, 1_795_318_346_512_665),
            id="follows",
        ),
        pytest.param(
            "C0A80001,192.168.0.1,3,1795318346.0,0.250000000,0.1,0.1,0.0,0.0,0.1,0.020000000,0.001000000,64.0,Insert second",
            Reading(Source.CHRONY, 261_000, Leap.INSERT, 1_795_318_346_000_000),
            id="leap",
        ),
        pytest.param(  # the same chronyc, a chronyd that believes itself alone
            "7F7F0101,,1,1795318338.003626379,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,0.0,Normal",
            Reading(Source.CHRONY, None),
            id="local",
        ),
        pytest.param("00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised", Reading(Source.CHRONY, None), id="not"),
        pytest.param("7F000001,a,2,0,nan,0,0,0,0,0,0,0,0,Normal", Reading(Source.CHRONY, None), id="no number"),
        pytest.param("7F000001,a,2,0,0,0,0,0,0,0,inf,0,0,Normal", Reading(Source.CHRONY, None), id="infinite"),
        pytest.param("something else", Reading(Source.CHRONY, None), id="no report"),
    ],
)
def test_a_report_of_chrony_is_read_as_its_manual_says(line: str, expected: Reading) -> None:
    assert parse_tracking(line) == expected


def test_the_kernel_says_what_it_says_to_anybody() -> None:
    """glibc's ntp_gettime(3) asks for the same by another call."""

    class NtpTime(ctypes.Structure):
        _fields_ = (("time", ctypes.c_long * 2), ("maxerror", ctypes.c_long), ("rest", ctypes.c_long * 6))

    told = NtpTime()
    state = ctypes.CDLL(None).ntp_gettime(ctypes.byref(told))
    reading = ask_kernel()
    assert reading.source is Source.KERNEL
    assert (reading.bound_us is None) == (state == 5)  # TIME_ERROR
    if reading.bound_us is not None:
        assert 0 <= reading.bound_us - told.maxerror < 1_000_000


def test_without_chrony_the_kernel_is_asked(tmp_path: Path) -> None:
    assert ask_chrony(str(tmp_path / "no.sock")) is None
    assert read_clock_state(str(tmp_path / "no.sock")).source is Source.KERNEL


# --- a real chronyd that follows another


def test_with_chrony_issuance_follows_what_it_says(chrony: Chrony) -> None:
    """Not synchronised: stopped. Following a server: goes on. The server is gone: stopped before the accuracy is lost. Back: goes on."""
    chrony.follow()
    until(lambda: ask_chrony(chrony.address) is not None, "the follower answers")
    watch = ClockWatch("require-synchronised", accuracy_ms=500, clock=SystemClock(), chrony=chrony.address)
    assert watch.source is Source.CHRONY and "not synchronised" in refusal(watch)
    watch.start()
    try:
        chrony.lead()
        until(lambda: not watch.stopped(), "it goes on by itself")
        assert watch.synchronised and watch.bound_us is not None and watch.bound_us < 500_000
        assert abs(watch.time_us() / 1e6 - time.time()) < 1
        assert watch.note().startswith("chrony: off by at most ")
        chrony.end("leader")
        until(watch.stopped, "nobody compares the clock any more")
        assert "may be off by 0." in refusal(watch)
        chrony.lead()
        until(lambda: not watch.stopped(), "it goes on by itself again")
    finally:
        watch.close()


# --- clocks moved by hand


class TwoClocks(FixedClock):
    """A wall clock that can be set without the monotonic one."""

    def set_by(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass
class Told:
    """What the source says now."""

    reading: Reading

    def __call__(self) -> Reading:
        return self.reading


Make = Callable[..., tuple[ClockWatch, TwoClocks, Told]]


@pytest.fixture
def make() -> Make:
    def made(reading: Reading, policy: str = "require-synchronised", start: datetime | None = None) -> tuple[ClockWatch, TwoClocks, Told]:
        clock, told = TwoClocks(start or datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)), Told(reading)
        return ClockWatch(policy, accuracy_ms=1000, clock=clock, read_state=told), clock, told  # type: ignore[arg-type]

    return made


def test_an_unsynchronised_clock_stops_issuance_unless_the_settings_trust_it(make: Make) -> None:
    watch, _, told = make(UNSYNCHRONISED)
    assert "not synchronised" in refusal(watch) and watch.stopped() and watch.bound_us is None
    told.reading = SYNCHRONISED
    watch.examine()
    assert not watch.stopped() and watch.time_us() > 0
    trusting, _, _ = make(UNSYNCHRONISED, "trust-machine")
    assert not trusting.stopped() and "not synchronised" in trusting.note()


@pytest.mark.parametrize("policy", ["require-synchronised", "trust-machine"])
def test_a_stated_error_beyond_the_accuracy_stops_issuance_whatever_the_policy(policy: str, make: Make) -> None:
    watch, _, told = make(replace(SYNCHRONISED, bound_us=999_000), policy)
    assert watch.time_us()
    told.reading = replace(SYNCHRONISED, bound_us=1_000_001)
    watch.examine()
    assert "off by 1.000 s" in refusal(watch)


def test_while_nobody_looks_the_bound_grows(make: Make) -> None:
    watch, clock, told = make(SYNCHRONISED)
    clock.advance(600)
    assert watch.bound_us == 2_000 + 600 * 500
    told.reading = UNSYNCHRONISED
    with pytest.raises(VermilionError):
        watch.require()  # looks anew by itself when the last look is long ago


@pytest.mark.parametrize("step_s", [3600.0, 1.5, -1.5])
def test_a_clock_that_was_set_stops_issuance_until_the_kernel_says_that_it_was_compared(step_s: float, make: Make) -> None:
    """Setting the clock makes the kernel's unsynchronised (ntp_clear), until its daemon has compared it."""
    watch, clock, told = make(SYNCHRONISED)
    clock.set_by(step_s)
    assert "may be off by" in refusal(watch), "before anybody has looked"
    told.reading = UNSYNCHRONISED
    clock.advance(1)
    watch.examine()
    assert watch.stopped() and watch.steps == 1
    told.reading = SYNCHRONISED
    watch.examine()
    assert not watch.stopped() and watch.steps == 1


def test_a_clock_that_was_set_and_set_back_is_believed_again(make: Make) -> None:
    watch, clock, _ = make(replace(SYNCHRONISED, source=Source.CHRONY, reference_us=0))
    clock.set_by(-7200)
    watch.examine()
    assert watch.stopped() and watch.steps == 1
    clock.set_by(7200)
    watch.examine()
    assert not watch.stopped()


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_chrony_is_believed_after_a_step_once_it_has_compared_the_clock_since(step_s: float, make: Make) -> None:
    def compared(clock: TwoClocks) -> Reading:
        return Reading(Source.CHRONY, 1_000, Leap.NONE, round(clock.now().timestamp() * 1e6))

    watch, clock, told = make(SYNCHRONISED)
    told.reading = compared(clock)
    clock.advance(3)
    clock.set_by(step_s)
    for _ in range(3):  # it has not noticed, and repeats what it found before
        clock.advance(5)
        watch.examine()
        assert watch.stopped() and watch.steps == 1
    told.reading = compared(clock)
    watch.examine()
    assert not watch.stopped()


def test_a_trusted_machine_may_be_set_and_it_is_counted(make: Make) -> None:
    watch, clock, _ = make(UNSYNCHRONISED, "trust-machine")
    clock.set_by(3600)
    assert watch.time_us() == round(clock.now().timestamp() * 1e6)
    watch.examine()
    assert watch.steps == 1 and not watch.stopped()


@pytest.mark.parametrize(("announced", "step_s"), [(Leap.INSERT, -1.0), (Leap.DELETE, 1.0)])
def test_no_token_is_made_around_a_leap_second(announced: Leap, step_s: float, make: Make) -> None:
    watch, clock, told = make(replace(SYNCHRONISED, leap=announced), start=datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC))
    assert watch.time_us(), "ten seconds before, all is as ever"
    clock.advance(8)
    assert "leap second" in refusal(watch)
    clock.advance(2)
    clock.set_by(step_s)
    told.reading = SYNCHRONISED
    watch.examine()
    assert "leap second" in refusal(watch), "also when it is no longer announced"
    clock.advance(4)
    watch.examine()
    assert watch.time_us(), "the step was the leap second, which was announced"


def test_in_the_sixty_first_second_itself_nothing_is_made(make: Make) -> None:
    watch, _, _ = make(replace(SYNCHRONISED, leap=Leap.NOW))
    assert "leap second" in refusal(watch)


def test_an_accuracy_of_nothing_makes_no_watch() -> None:
    with pytest.raises(VermilionError) as refused:
        ClockWatch("trust-machine", accuracy_ms=0, clock=SystemClock())
    assert refused.value.code is Code.CONFIGURATION_INVALID
