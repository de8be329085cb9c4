"""Documents on their way in and those being checked: how many, and how many bytes of them, are held in all and of one address.

What counts is what has arrived, not what was announced. An address beyond its share waits for its own documents. Where all that may be
held is held, the address with the most gives way: the slowest of its documents that are still arriving ends. Either wait is short, and
then OVERLOADED.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sealcore.errors import Code, VermilionError
from verify.settings import Limits

_SLOW_RATES: Final = 16  # what comes at less than so many times the least rate is slow


class Arrival:
    """One document, from its first byte until its report is made."""

    def __init__(self, arrivals: Arrivals, address: str) -> None:
        self.address = address
        self.held_bytes = 0
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._waited_s = 0.0  # for us, which is no fault of the sender's
        self._timeout: asyncio.Timeout | None = None
        self.gave_way = False

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """Surrounds the receiving; DEADLINE_EXCEEDED when it takes too long, OVERLOADED when it had to give way."""
        try:
            async with asyncio.timeout_at(self._ends_s()) as self._timeout:
                yield
        except TimeoutError:
            if self.gave_way:
                raise overloaded() from None
            raise VermilionError(Code.DEADLINE_EXCEEDED, "the document took too long to arrive") from None
        finally:
            self._timeout = None

    async def take(self, count: int) -> None:
        """So many bytes more have arrived and are held from now on; OVERLOADED when there is no room for them."""
        waited_s = await self._arrivals.room(self, count)
        self.held_bytes += count
        if self._timeout is not None and not self.gave_way:
            self._waited_s += waited_s
            self._timeout.reschedule(self._ends_s())

    @property
    def rate(self) -> float | None:
        """Bytes a second so far; None once it is here."""
        if self._timeout is None or self.gave_way:
            return None
        return self.held_bytes / max(self._loop.time() - self._began_s - self._waited_s, 0.001)

    @property
    def is_slow(self) -> bool:
        """Whether it has had time to show its speed and showed little."""
        rate, age_s = self.rate, self._loop.time() - self._began_s - self._waited_s
        return rate is not None and age_s > self._arrivals.limits.grace_s / 4 and rate < _SLOW_RATES * self._arrivals.limits.upload_rate

    def give_way(self) -> None:
        """Ends it."""
        self.gave_way = True
        if self._timeout is not None:
            self._timeout.reschedule(self._loop.time())

    def _ends_s(self) -> float:
        limits = self._arrivals.limits
        slowest_s = limits.grace_s + self.held_bytes / limits.upload_rate
        return self._began_s + self._waited_s + min(limits.upload_s, slowest_s)


class Arrivals:
    """Used from one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._of: dict[str, list[Arrival]] = {}
        self._released = asyncio.Event()

    @property
    def held_bytes(self) -> int:
        """Of all documents."""
        return sum(map(self._bytes_of, self._of))

    @asynccontextmanager
    async def arrival(self, address: str) -> AsyncIterator[Arrival]:
        """A place for a document; OVERLOADED when its address has as many as it may, or all places are at work."""
        mine = self._of.get(address, [])
        if len(mine) >= self.limits.uploads_of_one:
            raise overloaded(f"too many documents from your address are on their way in ({self.limits.uploads_of_one} at once)")
        if sum(map(len, self._of.values())) >= self.limits.uploads:
            most = max(self._of.values(), key=len)
            if not _slowest_gives_way(most if len(most) > len(mine) + 1 else self._slow()):
                raise overloaded()
        arrival = Arrival(self, address)
        self._of.setdefault(address, []).append(arrival)
        try:
            yield arrival
        finally:
            self._of[address].remove(arrival)
            if not self._of[address]:
                del self._of[address]
            self._released.set()
            self._released = asyncio.Event()

    async def room(self, arrival: Arrival, count: int) -> float:
        """Waits until ``count`` bytes more of a document may be held, and says for how long; OVERLOADED after ``wait_s``."""
        if self._has_room(arrival.address, count):
            return 0.0
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.limits.wait_s):
                while not self._has_room(arrival.address, count):
                    self._make_room(arrival.address, count)
                    await self._released.wait()
        except TimeoutError:
            raise overloaded() from None
        return asyncio.get_running_loop().time() - began_s

    def _has_room(self, address: str, count: int) -> bool:
        return self._fits(address, count) and self.held_bytes + count <= self.limits.held_bytes

    def _fits(self, address: str, count: int) -> bool:
        return self._bytes_of(address) + count <= self.limits.held_bytes_of_one

    def _make_room(self, address: str, count: int) -> None:
        """Has somebody give way, unless it is the address's own share that is used up, or enough do so already."""
        leaving = sum(one.held_bytes for mine in self._of.values() for one in mine if one.gave_way)
        most = max(self._of, key=self._bytes_of)
        is_short = self.held_bytes - leaving + count > self.limits.held_bytes
        if self._fits(address, count) and is_short:
            _slowest_gives_way(self._of[most] if self._bytes_of(most) > self._bytes_of(address) + count else self._slow())

    def _slow(self) -> list[Arrival]:
        """Of all addresses: many of them with one slow document each keep nobody out."""
        return [one for mine in self._of.values() for one in mine if one.is_slow]

    def _bytes_of(self, address: str) -> int:
        return sum(one.held_bytes for one in self._of.get(address, ()))


def _slowest_gives_way(arrivals: list[Arrival]) -> bool:
    arriving = [(rate, number, one) for number, one in enumerate(arrivals) if (rate := one.rate) is not None]
    if not arriving:
        return False
    min(arriving)[2].give_way()
    return True


def overloaded(reason: str = "too many documents are on their way in") -> VermilionError:
    """The refusal of a document for which there is no room now."""
    fault = VermilionError(Code.OVERLOADED, reason)
    fault.retry_after_s = 2
    return fault
