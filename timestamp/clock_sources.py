"""How far the machine's clock may be off UTC: asked of chrony if it runs, otherwise of the kernel."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CHRONYC_TIMEOUT_S: Final = 2.0
_TRACKING_FIELDS: Final = 14
_LOCAL_REFERENCES: Final = frozenset(
    {"", "00000000", "7F7F0101"}
)  # no reference, or chronyd's own clock (its `local` directive): not traceable to UTC

# linux/timex.h
_TIME_ERROR: Final = 5  # the kernel's clock is not synchronised
_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_NO_CHANGE: Final = 0


class Source(StrEnum):
    """Where a reading comes from."""

    CHRONY = "chrony"
    KERNEL = "kernel"
    NONE = "none"


class Leap(StrEnum):
    """What is announced for the end of this UTC day."""

    NONE = "none"
    INSERT = "insert"  # the last minute has 61 seconds
    DELETE = "delete"  # the last minute has 59 seconds
    NOW = "now"  # 23:59:60, which the machine's clock cannot say


@dataclass(frozen=True)
class Reading:
    """What a source reports about the clock.

    bound_us      an upper bound for the clock's error, in microseconds; None if the clock is not synchronised
    reference_us  when the clock was last compared with its reference (microseconds since 1970); None if the source does not say
    """

    source: Source
    bound_us: int | None
    leap: Leap = Leap.NONE
    reference_us: int | None = None


def read_clock_state(chrony: str | None) -> Reading:
    """The reading of chrony if it runs, otherwise of the kernel. ``chrony`` is the argument of ``chronyc -h``; None for its defaults."""
    return ask_chrony(chrony) or ask_kernel()


def ask_chrony(where: str | None) -> Reading | None:
    """The report of ``chronyc tracking``; None if no chronyd answers."""
    command = ["chronyc", "-n", "-c", *(("-h", where) if where else ()), "tracking"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHRONYC_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return parse_tracking(done.stdout) if done.returncode == 0 else None


def parse_tracking(line: str) -> Reading:
    """Reads the report (chronyc(1), "tracking"): error ≤ |system time's offset| + root dispersion + root delay / 2.

    A report that cannot be read counts as "not synchronised".
    """
    unsynchronised = Reading(Source.CHRONY, None)
    fields = line.strip().split(",")
    if len(fields) != _TRACKING_FIELDS or fields[0] in _LOCAL_REFERENCES:
        return unsynchronised
    leap = {"Normal": Leap.NONE, "Insert second": Leap.INSERT, "Delete second": Leap.DELETE}.get(fields[13])
    try:
        reference_s, offset_s, delay_s, dispersion_s = (float(fields[index]) for index in (3, 4, 10, 11))
        bound_us = round((abs(offset_s) + dispersion_s + delay_s / 2) * 1_000_000)
        reference_us = round(reference_s * 1_000_000)
    except (ValueError, OverflowError):
        return unsynchronised
    return unsynchronised if leap is None else Reading(Source.CHRONY, bound_us, leap, reference_us)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("of_pps", ctypes.c_long * 8),  # not used here; they only have to take up the right space
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


def ask_kernel() -> Reading:
    """The state of the kernel's clock (adjtimex(2)). The kernel widens the bound by itself while nothing disciplines the clock."""
    timex = _Timex(modes=_NO_CHANGE)
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)))
    if state < 0:  # some containers forbid the call altogether
        return Reading(Source.NONE, None)
    if state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return Reading(Source.KERNEL, None)
    offset_us = abs(timex.offset) // 1000 if timex.status & _STA_NANO else abs(timex.offset)
    leap = {1: Leap.INSERT, 2: Leap.DELETE, 3: Leap.NOW}.get(state, Leap.NONE)
    return Reading(Source.KERNEL, timex.maxerror + offset_us, leap)
