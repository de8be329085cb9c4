"""Large documents that arrive in chunks: each in anonymous memory of its own, which a worker then maps instead of copying it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError

STALLED_S: Final = 60.0  # a client that stops in the middle of a document does not hold memory for longer
LEAST_BYTES_A_SECOND: Final = 256 * 1024  # nor one that goes on with a byte now and then


@dataclass
class _Arriving:
    item: signer_pb2.Item
    descriptor: int
    ends_s: float
    here_bytes: int = 0


class Arriving:
    """The documents of one stream that are not complete, each in order from offset 0.

    Time is what we waited for the client, in seconds, and not what the client waited for us. A document has as long as it and those that
    came before it take at ``LEAST_BYTES_A_SECOND``, and a little longer.
    """

    def __init__(self) -> None:
        self._documents: dict[int, _Arriving] = {}
        self._waited_s = 0.0

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._documents)

    @property
    def is_empty(self) -> bool:
        """Whether no document is incomplete."""
        return not self._documents

    def holds(self, index: int) -> bool:
        """Whether this document is arriving."""
        return index in self._documents

    @property
    def patience_s(self) -> float | None:
        """How long to wait for the next message; None: for ever."""
        if not self._documents:
            return None
        return max(0.0, min(STALLED_S, *(one.ends_s - self._waited_s for one in self._documents.values())))

    def waited(self, seconds: float) -> None:
        """Notes for how long the client sent nothing."""
        self._waited_s += seconds

    def begin(self, item: signer_pb2.Item) -> None:
        """A document whose bytes follow in chunks."""
        to_come_bytes = item.size_bytes + sum(one.item.size_bytes - one.here_bytes for one in self._documents.values())
        ends_s = self._waited_s + STALLED_S + to_come_bytes / LEAST_BYTES_A_SECOND
        self._documents[item.index] = _Arriving(item, os.memfd_create("vermilion-document", os.MFD_CLOEXEC), ends_s)

    def add(self, chunk: signer_pb2.SealStreamRequest.Chunk) -> tuple[signer_pb2.Item, int] | None:
        """Item and descriptor of the whole document once its last byte is there; the descriptor is the caller's to close.

        INVALID_ARGUMENT for a gap, a repetition or too many bytes.
        """
        one = self._documents[chunk.index]
        end = one.here_bytes + len(chunk.data)
        if chunk.offset != one.here_bytes or not chunk.data or end > one.item.size_bytes:
            raise VermilionError(
                Code.INVALID_ARGUMENT, f"a chunk at {chunk.offset} does not follow the {one.here_bytes} bytes that are here"
            )
        view = memoryview(chunk.data)
        while view:
            view = view[os.pwrite(one.descriptor, view, end - len(view)) :]
        one.here_bytes = end
        if end < one.item.size_bytes:
            return None
        del self._documents[chunk.index]
        return one.item, one.descriptor

    def drop(self, index: int) -> signer_pb2.Item:
        """Gives an incomplete document up."""
        one = self._documents.pop(index)
        os.close(one.descriptor)
        return one.item

    def drop_late(self) -> list[signer_pb2.Item]:
        """Gives up those whose time is over."""
        return [self.drop(index) for index, one in list(self._documents.items()) if one.ends_s < self._waited_s]

    def drop_all(self) -> list[signer_pb2.Item]:
        """Gives all of them up: the client has gone or does not go on."""
        return [self.drop(index) for index in list(self._documents)]
