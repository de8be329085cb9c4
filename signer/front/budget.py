"""How many bytes of documents all calls may hold together, and each client of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError


@dataclass(frozen=True, eq=False)
class _Waiter:
    client: str
    size_bytes: int
    granted: asyncio.Future[None]


class ByteBudget:
    """Bounds the bytes of documents in memory. A call that finds nothing left waits its turn, and gRPC's flow control makes the client wait.

    A client holds ``share_bytes`` at most. Beyond that it waits for its own documents to be answered, and others overtake it: bytes that a
    client has announced and does not send keep nobody else waiting. A document larger than a share counts as one share. ``held`` is called
    with the number of bytes after each change. Used from one event loop, so it needs no lock.
    """

    def __init__(self, most_bytes: int, share_bytes: int, held: Callable[[float], None]) -> None:
        self.most_bytes = self._free = most_bytes
        self._share_bytes = share_bytes
        self._of: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []
        self._held = held

    async def take(self, client: str, size_bytes: int, *, wait: bool) -> None:
        """Reserves ``size_bytes``; OVERLOADED when they are not free and the caller must not wait.

        A stream that holds part of a document must not wait: two of them could wait for each other for ever.
        """
        # Enqueued first, even where there is room: whoever waits already has the older claim.
        waiter = _Waiter(client, self._weight_bytes(size_bytes), asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._grant_all()
        if waiter.granted.done():
            return
        if not wait:
            self._waiting.remove(waiter)
            raise VermilionError(Code.OVERLOADED, "too many large documents are being received at this moment")
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._grant_all()
            else:  # granted at the very moment of the cancellation
                self.give_back(client, size_bytes)
            raise

    def give_back(self, client: str, size_bytes: int) -> None:
        """Returns reserved bytes; those that wait get them."""
        self._free += self._weight_bytes(size_bytes)
        self._of[client] -= self._weight_bytes(size_bytes)
        if not self._of[client]:
            del self._of[client]
        self._held(self.most_bytes - self._free)
        self._grant_all()

    def _weight_bytes(self, size_bytes: int) -> int:
        return min(size_bytes, self._share_bytes)

    def _grant_all(self) -> None:
        """In order, skipping those whose client has its share; one that would fit never overtakes one that does not fit yet."""
        for waiter in list(self._waiting):
            if self._of[waiter.client] + waiter.size_bytes > self._share_bytes:
                continue
            if self._free < waiter.size_bytes:
                return
            self._waiting.remove(waiter)
            self._free -= waiter.size_bytes
            self._of[waiter.client] += waiter.size_bytes
            self._held(self.most_bytes - self._free)
            waiter.granted.set_result(None)
