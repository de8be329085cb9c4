"""Documents of one call that are worked on together, and their answers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import VermilionError
from signer.model import Outcome
from signer.worker.jobs import SentGroup, weight_bytes
from signer.worker.messages import parsed, refusals, serialised

Refusal = Callable[[signer_pb2.Item], VermilionError | None]
"""Why a document is not worked on; None when it is."""

MOST_DOCUMENTS = 16  # few enough that a batch has room for several clients


class Lane(StrEnum):
    """Interactive: a call for one document, whose caller waits. Bulk: a stream."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Group:
    """Some documents of one call. Used on the event loop only.

    sent        what a worker gets; kept until every answer has come, so that another worker can get it too
    indexes     of the documents, in order
    size_bytes  of the documents
    receive     called with serialised SealStreamResponse messages and the number of documents that they answer
    """

    def __init__(self, sent: SentGroup, indexes: Sequence[int], size_bytes: int, receive: Callable[[Sequence[bytes], int], None]) -> None:
        self.sent = sent
        self.size_bytes = size_bytes
        self.lane = Lane.BULK
        self.answered: Callable[[int], None] = _ignore  # set by the dispatcher
        self.given_up = False  # the caller is gone: not to be begun
        self.tries = 0
        self.alone = False  # a worker died over it: dispatched by itself, so that no other group is affected again
        self.submitted_s = 0.0  # monotonic
        self._receive = receive
        self._open = Counter(indexes)

    @property
    def open_count(self) -> int:
        """How many documents have no answer yet."""
        return self._open.total()

    @property
    def weight_bytes(self) -> int:
        """How much room it takes in a job."""
        return weight_bytes(self.sent.items, self.sent.call.jws)

    def take(self, parts: Sequence[bytes], indexes: Sequence[int]) -> None:
        """Answers of a worker; ignored when a document in them was answered before (a refusal may overtake the worker)."""
        # A worker that was given up may still answer. Its bytes are the committed ones, but each
        # document has one answer.
        counted = Counter(indexes)
        if dict.__eq__(counted, self._open):  # all of them, as nearly always
            self._open.clear()
        elif not (counted - self._open):
            self._open.subtract(counted)
        else:
            return
        self._pass_on(parts, len(indexes))

    def refuse(self, fault: VermilionError) -> None:
        """The same refusal for every document that has no answer yet."""
        indexes = sorted(self._open.elements())
        if indexes:
            self._open.clear()
            self._pass_on(serialised(refusals(indexes, fault)), len(indexes))

    def again(self, refusal: Refusal) -> Group:
        """The documents without an answer, for another worker; those that ``refusal`` refuses are answered here."""
        open_ = self._open.copy()
        items = signer_pb2.SealStreamRequest.Items()
        refused: list[Outcome] = []
        for item in parsed(signer_pb2.SealStreamRequest.Items, self.sent.items).items:
            if open_[item.index] > 0:
                open_[item.index] -= 1
                if (fault := refusal(item)) is not None:
                    refused.append(Outcome(item.index, fault))
                else:
                    items.items.append(item)
        self.sent = replace(self.sent, items=items.SerializeToString())
        if refused:
            self.take(serialised(refused), [one.index for one in refused])
        return self

    def _pass_on(self, parts: Sequence[bytes], count: int) -> None:
        if not self.open_count and self.sent.descriptor is not None:
            os.close(self.sent.descriptor)
        self._receive(parts, count)
        self.answered(count)
        if not self.open_count:  # ``receive`` refers to the group: a cycle would keep the documents in memory until the next collection
            self._receive = _answered_already


def _ignore(_count: int) -> None:
    pass


def _answered_already(_parts: Sequence[bytes], _count: int) -> None:
    raise AssertionError("a document has one answer")
