"""Whose documents are next: one-document calls before bulk, and clients in turn, whatever each of them has sent."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from signer.front.parcel import Parcel
from signer.worker.channel import MOST_DESCRIPTORS


class Turns:
    """Parcels that wait in one lane. Each client in turn gives one parcel, its oldest."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[Parcel]] = OrderedDict()
        self._documents = 0

    @property
    def documents(self) -> int:
        """How many documents wait."""
        return self._documents

    def add(self, parcel: Parcel) -> None:
        """At the end of its client's line."""
        self._clients.setdefault(parcel.sent.call.client, deque()).append(parcel)
        self._documents += parcel.left

    def put_back(self, parcel: Parcel) -> None:
        """At the head: it was taken before, and the worker that had it died."""
        self._clients.setdefault(parcel.sent.call.client, deque()).appendleft(parcel)
        self._clients.move_to_end(parcel.sent.call.client, last=False)
        self._documents += parcel.left

    def take(self, most_documents: int, most_bytes: int) -> list[Parcel]:
        """The next batch: as many parcels as fit, at least one when any waits."""
        batch: list[Parcel] = []
        documents = weight_bytes = 0
        for parcel in self._next():
            if batch and (parcel.alone or documents + parcel.left > most_documents or weight_bytes + parcel.weight_bytes > most_bytes):
                self.put_back(parcel)
                break
            batch.append(parcel)
            documents += parcel.left
            weight_bytes += parcel.weight_bytes
            if parcel.alone or documents >= most_documents or len(batch) >= MOST_DESCRIPTORS:  # a parcel has one at most
                break
        return batch

    def drain(self) -> list[Parcel]:
        """Everything, at the end."""
        return list(self._next())

    def _next(self) -> Iterator[Parcel]:
        while self._clients:
            client, line = self._clients.popitem(last=False)
            parcel = line.popleft()
            if line:
                self._clients[client] = line  # to the end: the others come first
            self._documents -= parcel.left
            yield parcel
