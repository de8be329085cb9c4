"""The bytes of documents that all calls may hold together, and each client of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError


@dataclass(frozen=True, eq=False)
class _Turn:
    client: str
    size_bytes: int
    granted: asyncio.Future[None]


class ByteBudget:
    """How many bytes of documents are held at once. Who finds it spent waits in line, and gRPC makes the client wait.

    A client holds ``share_bytes`` at most; beyond that it waits for its own documents to end, and others pass it by: what a client has
    announced and does not send keeps nobody else out. What weighs more than a share counts as one. Used from one event loop, so nothing here needs a lock. ``held`` is told the number
    of bytes after each change.
    """

    def __init__(self, most_bytes: int, share_bytes: int, held: Callable[[float], None]) -> None:
        self.most_bytes = self._free = most_bytes
        self._share_bytes = share_bytes
        self._of: Counter[str] = Counter()
        self._line: list[_Turn] = []
        self._held = held

    async def take(self, client: str, size_bytes: int, *, wait: bool) -> None:
        """Takes ``size_bytes``; OVERLOADED when they are not free and the caller must not wait.

        Who holds part of a document must not wait: two such streams could wait for each other for ever.
        """
        turn = _Turn(client, self._weight_bytes(size_bytes), asyncio.get_running_loop().create_future())
        self._line.append(turn)
        self._grant_all()
        if turn.granted.done():
            return
        if not wait:
            self._line.remove(turn)
            raise VermilionError(Code.OVERLOADED, "too many large documents are being received at this moment")
        try:
            await turn.granted
        except asyncio.CancelledError:
            if turn in self._line:
                self._line.remove(turn)
                self._grant_all()
            else:  # granted in the moment in which we were cancelled
                self.give_back(client, size_bytes)
            raise

    def give_back(self, client: str, size_bytes: int) -> None:
        """Returns bytes that were taken; the next in line get them."""
        self._free += self._weight_bytes(size_bytes)
        self._of[client] -= self._weight_bytes(size_bytes)
        if not self._of[client]:
            del self._of[client]
        self._held(self.most_bytes - self._free)
        self._grant_all()

    def _weight_bytes(self, size_bytes: int) -> int:
        return min(size_bytes, self._share_bytes)

    def _grant_all(self) -> None:
        """In order, but for those whose client has its share; nobody who fits overtakes one who does not yet."""
        for turn in list(self._line):
            if self._of[turn.client] + turn.size_bytes > self._share_bytes:
                continue
            if self._free < turn.size_bytes:
                return
            self._line.remove(turn)
            self._free -= turn.size_bytes
            self._of[turn.client] += turn.size_bytes
            self._held(self.most_bytes - self._free)
            turn.granted.set_result(None)
