"""When a service that ended by itself is started again, and when no more. ``vermilion up`` and the systemd units keep to the same numbers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class RestartPolicy:
    """How often and how soon.

    first_s    before the first new start; twice as long before each further one
    most_s     the longest such wait
    well_s     a life this long after it was ready was a good one: the waits begin anew
    deaths     with so many of them
    within_s   in this time nothing is started again until a person says so
    short_s    the longest wait while a service cannot be started for want of something (disk, memory, processes): it is no death of its
               own, is never enough to give up, and is over soon after there is enough again
    """

    first_s: float = 0.5
    most_s: float = 30.0
    well_s: float = 60.0
    deaths: int = 8  # a minute of tries: a database or a token that is being restarted is back by then
    within_s: float = 300.0
    short_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.most_s or self.well_s <= 0 or self.deaths < 1 or min(self.within_s, self.short_s) <= 0:
            raise ValueError("this is no policy for restarts")


POLICY: Final = RestartPolicy()


class Deaths:
    """The deaths of one service."""

    def __init__(self, policy: RestartPolicy = POLICY) -> None:
        self._policy = policy
        self._at_s: deque[float] = deque(maxlen=policy.deaths)
        self._short_lives = self._shortages = 0

    def add(self, now_s: float, served_s: float) -> float | None:
        """One more, after it had been ready for ``served_s``: the seconds until the next start, or None: no more of them."""
        self._shortages = 0
        self._short_lives = 0 if served_s >= self._policy.well_s else self._short_lives + 1
        self._at_s.append(now_s)
        if len(self._at_s) == self._policy.deaths and now_s - self._at_s[0] <= self._policy.within_s:
            return None
        return min(self._policy.most_s, self._doubled(self._short_lives))

    def add_shortage(self) -> float:
        """A start that came to nothing for want of something: the seconds until the next one."""
        self._shortages += 1
        return min(self._policy.short_s, self._policy.most_s, self._doubled(self._shortages))

    def _doubled(self, times: int) -> float:
        return self._policy.first_s * 2.0 ** min(max(0, times - 1), 63)  # a float holds that; the bounds are reached long before
