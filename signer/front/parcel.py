"""Documents of one call that travel together, and their answers on the way back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import VermilionError
from signer.model import Outcome
from signer.worker.jobs import Sent, weight_bytes
from signer.worker.messages import parsed, refusals, serialised

Refusal = Callable[[signer_pb2.Item], VermilionError | None]
"""Why a document is not worked on, if there is a reason."""

MOST_DOCUMENTS = 16  # small enough that many clients share one batch


class Lane(StrEnum):
    """Interactive: somebody waits for this one document. Bulk: a stream."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Parcel:
    """Some documents of one call. Used on the event loop only.

    sent        what a worker gets; its ``items`` stay here until every answer has come, so that another worker can have them
    indexes     of the documents, in order
    size_bytes  of the documents
    receive     is told serialised SealStreamResponse messages, and for how many documents they are the answers
    """

    def __init__(self, sent: Sent, indexes: Sequence[int], size_bytes: int, receive: Callable[[Sequence[bytes], int], None]) -> None:
        self.sent = sent
        self.size_bytes = size_bytes
        self.lane = Lane.BULK
        self.answered: Callable[[int], None] = _nobody  # the desk, once it has the parcel
        self.given_up = False  # by its caller: not to be begun
        self.tries = 0
        self.alone = False  # a worker ended over it: it is given out by itself, so that nobody else suffers with it
        self.came_s = 0.0  # to the desk; monotonic
        self._receive = receive
        self._open = Counter(indexes)

    @property
    def left(self) -> int:
        """How many documents have no answer yet."""
        return self._open.total()

    @property
    def weight_bytes(self) -> int:
        """Room that it takes in a job."""
        return weight_bytes(self.sent.items, self.sent.call.jws)

    def take(self, parts: Sequence[bytes], indexes: Sequence[int]) -> None:
        """Answers of a worker. Those for documents that have theirs already (work went on after a refusal) are thrown away."""
        if not (Counter(indexes) - self._open):
            self._open.subtract(indexes)
            self._pass_on(parts, len(indexes))

    def refuse(self, fault: VermilionError) -> None:
        """The same refusal for everything that has no answer yet."""
        indexes = sorted(self._open.elements())
        if indexes:
            self._open.clear()
            self._pass_on(serialised(refusals(indexes, fault)), len(indexes))

    def again(self, refusal: Refusal) -> Parcel:
        """What has no answer yet, for another worker, but for the documents that are refused."""
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
        if not self.left and self.sent.descriptor is not None:
            os.close(self.sent.descriptor)
        self._receive(parts, count)
        self.answered(count)
        if not self.left:  # who receives knows the parcel: a circle that would keep the documents until the collector comes by
            self._receive = _nothing_more


def _nobody(_count: int) -> None:
    pass


def _nothing_more(_parts: Sequence[bytes], _count: int) -> None:
    raise AssertionError("a document has one answer")
