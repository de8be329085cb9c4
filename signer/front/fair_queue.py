"""A queue in which clients take turns, however much each of them has sent."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from signer.front.group import Group
from signer.worker.channel import MOST_DESCRIPTORS


class FairQueue:
    """Groups that wait in one lane. Clients take turns; a turn is a client's oldest group."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[Group]] = OrderedDict()
        self._documents = 0

    @property
    def documents(self) -> int:
        """How many documents wait."""
        return self._documents

    def add(self, group: Group) -> None:
        """Appends a group to its client's queue."""
        self._clients.setdefault(group.sent.call.client, deque()).append(group)
        self._documents += group.open_count

    def put_back(self, group: Group) -> None:
        """Puts a group back at the very front: it was taken before, and its worker died."""
        self._clients.setdefault(group.sent.call.client, deque()).appendleft(group)
        # It had its turn; a death must not cost it another one.
        self._clients.move_to_end(group.sent.call.client, last=False)
        self._documents += group.open_count

    def take(self, most_documents: int, most_bytes: int) -> list[Group]:
        """The next batch: as many groups as fit, at least one when any waits."""
        batch: list[Group] = []
        documents = weight_bytes = 0
        for group in self._next():
            if batch and (group.alone or documents + group.open_count > most_documents or weight_bytes + group.weight_bytes > most_bytes):
                self.put_back(group)
                break
            batch.append(group)
            documents += group.open_count
            weight_bytes += group.weight_bytes
            if group.alone or documents >= most_documents or len(batch) >= MOST_DESCRIPTORS:  # a group has one at most
                break
        return batch

    def drain(self) -> list[Group]:
        """Everything, at the end."""
        return list(self._next())

    def _next(self) -> Iterator[Group]:
        while self._clients:
            client, queue = self._clients.popitem(last=False)
            group = queue.popleft()
            if queue:
                self._clients[client] = queue  # to the end: the others come first
            self._documents -= group.open_count
            yield group
