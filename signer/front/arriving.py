"""Large documents that arrive in chunks, each in anonymous memory of its own, which a worker maps instead of copying it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import Final

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.model import UNCHANGEABLE

STALLED_S: Final = 60.0  # a client that stops in the middle of a document is given up after so long
LEAST_BYTES_A_SECOND: Final = 256 * 1024  # and so is one that sends more slowly


@dataclass
class _Arriving:
    item: signer_pb2.Item
    descriptor: int
    ends_s: float
    here_bytes: int = 0


class Arriving:
    """The documents of one stream that are not complete. Each arrives in order, from offset 0.

    Only time that we spent waiting for the client counts, not the time that it spent waiting for us. A document may take as long as it and
    those begun before it need at ``LEAST_BYTES_A_SECOND``, plus ``STALLED_S``.
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
        """How long to wait for the next message; None for no limit."""
        if not self._documents:
            return None
        return max(0.0, min(STALLED_S, *(one.ends_s - self._waited_s for one in self._documents.values())))

    def waited(self, seconds: float) -> None:
        """Adds time in which the client sent nothing."""
        self._waited_s += seconds

    def begin(self, item: signer_pb2.Item) -> None:
        """A document whose bytes follow in chunks."""
        # What was begun before shares the client's bandwidth, so a document gets the time that
        # these need as well.
        to_come_bytes = item.size_bytes + sum(one.item.size_bytes - one.here_bytes for one in self._documents.values())
        ends_s = self._waited_s + STALLED_S + to_come_bytes / LEAST_BYTES_A_SECOND
        # Anonymous memory, no file: a document must not be left on a disk, and a descriptor passes
        # to the worker without a copy.
        self._documents[item.index] = _Arriving(item, os.memfd_create("vermilion-document", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), ends_s)

    def add(self, chunk: signer_pb2.SealStreamRequest.Chunk) -> tuple[signer_pb2.Item, int] | None:
        """Once its last byte is there, the document's item and descriptor, which the caller closes; None before.

        INVALID_ARGUMENT for a gap, a repetition or too many bytes.
        """
        one = self._documents[chunk.index]
        end = one.here_bytes + len(chunk.data)
        # An empty chunk would be progress without bytes: a client could hold its memory with them
        # for ever.
        if chunk.offset != one.here_bytes or not chunk.data or end > one.item.size_bytes:
            raise VermilionError(
                Code.INVALID_ARGUMENT, f"a chunk at {chunk.offset} does not follow the {one.here_bytes} bytes received so far"
            )
        view = memoryview(chunk.data)
        # ``pwrite`` may write less than it is given.
        while view:
            view = view[os.pwrite(one.descriptor, view, end - len(view)) :]
        one.here_bytes = end
        if end < one.item.size_bytes:
            return None
        # From here on nobody can change or shorten it, this process included: a worker maps it, and what it hashed is what it reads.
        fcntl.fcntl(one.descriptor, fcntl.F_ADD_SEALS, UNCHANGEABLE)
        del self._documents[chunk.index]
        return one.item, one.descriptor

    def drop(self, index: int) -> signer_pb2.Item:
        """Gives up an incomplete document."""
        one = self._documents.pop(index)
        os.close(one.descriptor)
        return one.item

    def drop_late(self) -> list[signer_pb2.Item]:
        """Gives up those that took too long."""
        return [self.drop(index) for index, one in list(self._documents.items()) if one.ends_s < self._waited_s]

    def drop_all(self) -> list[signer_pb2.Item]:
        """Gives up all of them: the client is gone or sends nothing more."""
        return [self.drop(index) for index in list(self._documents)]
