"""Callers take turns at work that only so many can have done at once."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sealcore.errors import VermilionError


class Turns:
    """So many at once, and of one caller so many; whoever waits is served in turn with the other callers, not after all of one's.

    Used from one event loop.
    """

    def __init__(self, at_once: int, of_one: int) -> None:
        self._free, self._of_one = at_once, of_one
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait, of all callers."""
        return sum(map(self.waiting_of, self._waiting))

    def waiting_of(self, caller: str) -> int:
        """How many of one caller wait."""
        return sum(not one.done() for one in self._waiting.get(caller, ()))

    def give_way(self, caller: str, fault: VermilionError) -> bool:
        """Somebody of whom fewer wait than of the caller with the most needs a place in the queue: that one's newest ends with ``fault``.

        False where ``caller`` has no fewer than anybody.
        """
        most = max(self._waiting, key=self.waiting_of, default=caller)
        if self.waiting_of(most) <= self.waiting_of(caller) + 1:
            return False
        newest = next(one for one in reversed(self._waiting[most]) if not one.done())
        self._waiting[most].remove(newest)
        newest.set_exception(fault)
        return True

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Waits for the caller's turn and keeps it for the block."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(mine)
        self._serve()
        try:
            await mine
            yield
        finally:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                self._running[caller] -= 1
                self._free += 1
            else:
                mine.cancel()
            self._serve()

    def _serve(self) -> None:
        """Gives free places to those who wait, each caller's oldest in turn."""
        for caller in list(self._waiting):
            if not self._free:
                return
            line = self._waiting.pop(caller)
            while line and line[0].cancelled():
                line.popleft()
            if line and self._running[caller] < self._of_one:
                line.popleft().set_result(None)
                self._running[caller] += 1
                self._free -= 1
            if line:
                self._waiting[caller] = line  # to the end: the others come first
        self._running += Counter()  # forgets callers that are not there
