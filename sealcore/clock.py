"""Time as a constructor argument: UTC wall clock for what is recorded, monotonic seconds for deadlines."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

# How far the clock of anybody else may be off from ours. The one allowance, wherever their times meet our clock: the start of an
# approval token, a person's decision, a CA's CRL or OCSP answer, a TSA's time. Ends of tokens and certificates get none.
SKEW: Final = timedelta(seconds=30)


class Clock(Protocol):
    """What a service needs of time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; only differences mean anything."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()


class FixedClock:
    """A clock that tests set and move by hand."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._now = start.astimezone(UTC)
        self._monotonic_s = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds


def why_not_current(now: datetime, *, made: datetime, ends: datetime | None = None) -> str | None:
    """What speaks against a statement of another party with these times; None where it counts at ``now``, give or take ``SKEW``.

    made  when it was made: thisUpdate, genTime; ends  from when on it says nothing: nextUpdate
    """
    # From the future: a statement that is dated ahead could be kept back and used when it is no
    # longer true.
    if made > now + SKEW:
        return f"comes from the future: it is of {_text(made)} and our clock says {_text(now)}, {SKEW.seconds} s are allowed"
    if ends is not None and ends < now - SKEW:
        return f"is stale: it counted until {_text(ends)} and our clock says {_text(now)}"
    return None


def _text(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
