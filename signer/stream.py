"""What a stream of documents holds: the bytes that all streams may hold together, and documents that arrive in chunks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from sealcore.errors import Code, VermilionError
from signer.gate import ItemRequest


class ByteBudget:
    """How many bytes of documents are held at once. Who finds it spent waits in line, and gRPC makes the client wait.

    Used from one event loop, so nothing here needs a lock. ``held`` is told the number of bytes after each change.
    """

    def __init__(self, most_bytes: int, held: Callable[[float], None]) -> None:
        self._most = self._free = most_bytes
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
        self._held(self._most - self._free)


class Assembly:
    """Documents of one stream that are arriving in chunks, each in order from offset 0."""

    def __init__(self) -> None:
        self._arriving: dict[int, tuple[ItemRequest, bytearray]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no document is incomplete."""
        return not self._arriving

    def holds(self, index: int) -> bool:
        """Whether this document is arriving."""
        return index in self._arriving

    def begin(self, request: ItemRequest) -> None:
        """A document whose bytes follow in chunks."""
        self._arriving[request.index] = (request, bytearray())

    def add(self, index: int, offset: int, data: bytes) -> ItemRequest | None:
        """The whole document once its last byte is there; INVALID_ARGUMENT for a gap, a repetition or too many bytes."""
        request, buffer = self._arriving[index]
        if offset != len(buffer) or not data or len(buffer) + len(data) > request.size_bytes:
            raise VermilionError(Code.INVALID_ARGUMENT, f"a chunk at {offset} does not follow the {len(buffer)} bytes that are here")
        buffer += data
        if len(buffer) < request.size_bytes:
            return None
        del self._arriving[index]
        return replace(request, document=bytes(buffer))

    def drop(self, index: int) -> ItemRequest:
        """Gives an incomplete document up."""
        return self._arriving.pop(index)[0]

    def drop_all(self) -> list[ItemRequest]:
        """Gives all incomplete documents up: the client has gone or does not go on."""
        dropped = [request for request, _ in self._arriving.values()]
        self._arriving.clear()
        return dropped
