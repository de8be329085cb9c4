"""Large documents that arrive in chunks: each in anonymous memory of its own, which a worker then maps instead of copying it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError


@dataclass
class _Arriving:
    item: signer_pb2.Item
    descriptor: int
    here_bytes: int = 0


class Arriving:
    """The documents of one stream that are not complete, each in order from offset 0."""

    def __init__(self) -> None:
        self._documents: dict[int, _Arriving] = {}

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

    def begin(self, item: signer_pb2.Item) -> None:
        """A document whose bytes follow in chunks."""
        self._documents[item.index] = _Arriving(item, os.memfd_create("vermilion-document", os.MFD_CLOEXEC))

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

    def drop_all(self) -> list[signer_pb2.Item]:
        """Gives all of them up: the client has gone or does not go on."""
        return [self.drop(index) for index in list(self._documents)]
