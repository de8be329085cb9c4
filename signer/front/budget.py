"""The bytes of documents that all calls may hold together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from sealcore.errors import Code, VermilionError


class ByteBudget:
    """How many bytes of documents are held at once. Who finds it spent waits in line, and gRPC makes the client wait.

    Used from one event loop, so nothing here needs a lock. ``held`` is told the number of bytes after each change.
    """

    def __init__(self, most_bytes: int, held: Callable[[float], None]) -> None:
        self.most_bytes = self._free = most_bytes
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._held = held

    async def take(self, size_bytes: int, *, wait: bool) -> None:
        """Takes ``size_bytes``; OVERLOADED when they are not free and the caller must not wait.

        Who holds part of a document must not wait: two such streams could wait for each other for ever.
        """
        if not self._line and self._free >= size_bytes:
            self._grant(size_bytes)
            return
        if not wait:
            raise VermilionError(Code.OVERLOADED, "too many large documents are being received at this moment")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # granted in the moment in which we were cancelled
                self.give_back(size_bytes)
            raise

    def give_back(self, size_bytes: int) -> None:
        """Returns bytes that were taken; the next in line gets them."""
        self._grant(-size_bytes)
        while self._line and (self._line[0][1].done() or self._free >= self._line[0][0]):
            wanted, turn = self._line.popleft()
            if not turn.done():
                self._grant(wanted)
                turn.set_result(None)

    def _grant(self, size_bytes: int) -> None:
        self._free -= size_bytes
        self._held(self.most_bytes - self._free)
