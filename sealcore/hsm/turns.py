"""Lends a fixed set of things to threads, first come first served.

``queue.SimpleQueue`` lets a thread that returns and asks again overtake all that wait: with a few busy signing threads, one
key generation waited for half a minute. Here whoever returns a thing hands it to the longest waiting thread.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")


class _Waiter(Generic[Thing]):
    """A thread in the queue: its lock is released when it has been given a thing."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self.given: list[Thing] = []


class Turns(Generic[Thing]):
    """Things to lend, and the threads waiting for one. ``_lock`` is held for a few instructions only, never while waiting."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._idle: Final[deque[Thing]] = deque()
        self._waiting: Final[deque[_Waiter[Thing]]] = deque()

    def take(self, timeout_s: float) -> Thing:
        """The next free thing; TimeoutError if none becomes free in time."""
        with self._lock:
            if self._idle:  # nobody waits while something is idle
                return self._idle.popleft()
            waiter: _Waiter[Thing] = _Waiter()
            self._waiting.append(waiter)
        if not waiter.turn.acquire(timeout=timeout_s):
            with self._lock:
                if not waiter.given:  # else it was given in this very moment
                    self._waiting.remove(waiter)
                    raise TimeoutError
        return waiter.given[0]

    def give(self, thing: Thing) -> None:
        """Returns a thing, or adds one."""
        with self._lock:
            if not self._waiting:
                self._idle.append(thing)
                return
            waiter = self._waiting.popleft()
            waiter.given.append(thing)
        waiter.turn.release()
