"""Log lines whose number a stranger decides: one of a kind in an interval, which says how many more there were."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

INTERVAL_S: Final = 10.0
_MOST_KINDS: Final = 256  # beyond them all are one kind: the kinds themselves must not grow without bound
_LONGEST_KIND: Final = 200


class Throttle:
    """Decides for each line of a kind whether it is written: ``at_once`` of them, and then one in an interval. Thread-safe."""

    def __init__(self, interval_s: float = INTERVAL_S, now_s: Callable[[], float] = time.monotonic, *, at_once: int = 1) -> None:
        self._interval_s, self._now_s = interval_s, now_s
        self._ahead_s = (at_once - 1) * interval_s
        self._kinds: dict[Any, tuple[float, int]] = {}  # kind → when its next line is due; how many were not written
        self._forget_s = 0.0
        self._lock = threading.Lock()

    def take(self, kind: Any) -> int | None:
        """How many lines of this kind were left out since the last one, when one may be written now; else None."""
        now_s = self._now_s()
        with self._lock:
            if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
                self._forget(now_s)
                if len(self._kinds) >= _MOST_KINDS:
                    kind = None
            next_s, left_out = self._kinds.get(kind, (now_s, 0))
            if now_s + self._ahead_s < next_s:
                self._kinds[kind] = next_s, left_out + 1
                return None
            self._kinds[kind] = max(now_s, next_s) + self._interval_s, 0
            return left_out

    def _forget(self, now_s: float) -> None:
        """Kinds that have nothing left to say; not more than once in an interval."""
        if now_s >= self._forget_s:
            self._forget_s = now_s + self._interval_s
            self._kinds = {kind: entry for kind, entry in self._kinds.items() if entry[1] or entry[0] > now_s}


class Throttled:
    """A structured log whose lines are throttled by their event and, where there is one, the type of their exception."""

    def __init__(self, log: Any, interval_s: float = INTERVAL_S) -> None:
        self._log, self._throttle = log, Throttle(interval_s)

    def warning(self, event: str, **fields: Any) -> None:
        """As the log's own."""
        self._say(self._log.warning, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """As the log's own."""
        self._say(self._log.error, event, fields)

    def _say(self, say: Callable[..., None], event: str, fields: dict[str, Any]) -> None:
        left_out = self._throttle.take((event, type(fields.get("exc_info")).__name__))
        if left_out is not None:
            say(event, **fields, **({"left_out": left_out} if left_out else {}))


class ThrottleFilter(logging.Filter):
    """For what libraries log: a kind is a logger's line up to its first value."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        super().__init__()
        self._throttle = Throttle(interval_s)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        begins = str(record.msg).partition("\n")[0][:_LONGEST_KIND]
        left_out = self._throttle.take((record.name, record.levelno, begins, record.exc_info and record.exc_info[0]))
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more of this kind were left out)", ()
        return left_out is not None
