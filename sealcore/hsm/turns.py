"""Lends things to threads, first come first served, and knows which threads hold one.

``queue.SimpleQueue`` lets a thread that returns and asks again overtake all that wait: with a few busy signing threads, one
key generation waited for half a minute. Here whoever returns a thing hands it to the longest waiting thread.

A thread that never returns is written off: what it holds no longer counts, and if the thread does return after all it is told so.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")


class _Waiter(Generic[Thing]):
    """A thread in the queue: its lock is released when it has been given a thing."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.turn = threading.Lock()
        self.turn.acquire()
        self.given: list[Thing] = []


class Turns(Generic[Thing]):
    """Things to lend, and the threads waiting for one. ``_lock`` is held for a few instructions only, never while waiting."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._idle: Final[deque[Thing]] = deque()
        self._lent: Final[set[int]] = set()  # the threads that hold one
        self._waiting: Final[deque[_Waiter[Thing]]] = deque()
        self._written_off = 0  # threads that still hold something written off
        self._all_back: threading.Lock | None = None  # of who collects everything

    @property
    def total(self) -> int:
        """How many things there are, idle or lent; not those written off."""
        with self._lock:
            return len(self._idle) + len(self._lent)

    @property
    def lent(self) -> int:
        """How many things threads hold at this moment; not those written off."""
        return len(self._lent)

    @property
    def written_off(self) -> int:
        """How many threads hold something that was written off."""
        return self._written_off

    def take(self, timeout_s: float) -> Thing:
        """The next free thing, for this thread, which holds none yet; TimeoutError if none becomes free in time."""
        with self._lock:
            if self._idle and self._all_back is None:  # nobody waits while something is idle
                thing = self._idle.popleft()
                self._lent.add(threading.get_ident())
                return thing
            waiter: _Waiter[Thing] = _Waiter()
            self._waiting.append(waiter)
        if not waiter.turn.acquire(timeout=timeout_s):
            with self._lock:
                if not waiter.given:  # else it was given in this very moment
                    self._waiting.remove(waiter)
                    raise TimeoutError
        return waiter.given[0]

    def give(self, thing: Thing) -> bool:
        """Returns what this thread holds, or another thing in its place. False if it was written off: then ``thing`` is the caller's
        to dispose of, and ``forget`` to be called after that."""
        with self._lock:
            thread = threading.get_ident()
            if thread not in self._lent:
                return False
            self._lent.remove(thread)
            if self._waiting or self._all_back is not None:
                self._offer(thing)
            else:
                self._idle.append(thing)
            return True

    def drop(self) -> bool:
        """Removes what this thread holds for good; False, as in ``give``, if it was written off."""
        with self._lock:
            thread = threading.get_ident()
            if thread not in self._lent:
                return False
            self._lent.remove(thread)
            self._tell_collector()
            return True

    def add(self, thing: Thing) -> None:
        """Adds one more thing to lend."""
        with self._lock:
            self._offer(thing)

    def write_off(self, thread: int) -> bool:
        """Counts what this thread holds as lost; False if it holds nothing."""
        with self._lock:
            if thread not in self._lent:
                return False
            self._lent.remove(thread)
            self._written_off += 1
            self._tell_collector()
            return True

    def forget(self) -> None:
        """Notes that this thread no longer holds the thing that was written off."""
        with self._lock:
            self._written_off -= 1

    def collect(self, timeout_s: float) -> list[Thing]:
        """Withdraws everything and waits for what is lent; what is not returned in time is written off.

        Nobody is given anything until ``add``. One thread collects at a time, and it holds nothing.
        """
        all_back = threading.Lock()
        all_back.acquire()
        with self._lock:
            self._all_back = all_back
            self._tell_collector()
        all_back.acquire(timeout=timeout_s)
        with self._lock:
            self._all_back = None
            self._written_off += len(self._lent)
            self._lent.clear()
            collected = list(self._idle)
            self._idle.clear()
            return collected

    def _offer(self, thing: Thing) -> None:
        """To the longest waiting thread, or to the collector. Needs the lock."""
        if self._all_back is not None or not self._waiting:
            self._idle.append(thing)
            self._tell_collector()
            return
        waiter = self._waiting.popleft()
        self._lent.add(waiter.thread)
        # Given before it is woken, and counted as lent at once: a thread that times out in this
        # moment finds what it was given.
        waiter.given.append(thing)
        waiter.turn.release()

    def _tell_collector(self) -> None:
        if self._all_back is not None and not self._lent and self._all_back.locked():
            self._all_back.release()
