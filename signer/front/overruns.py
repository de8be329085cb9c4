"""Documents that exceeded the sandbox's limits: the same document with the same marks is not prepared again and again.

When the reader itself finds a document too complex, it will do so every time. A child that ended without an answer proves nothing, since a
busy machine may have ended it: the document is tried once more.

Remembered by this process only, and by document *and* marks. Unlike the death of a worker (``signer.front.fatal``), that of a child harms no
other client, so a document need not be refused whatever the approval; a client that placed a thousand marks on somebody else's document could
have it refused to its owner.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.model import unsalted_binding
from signer.worker.messages import request_of

MOST_UNANSWERED: Final = 2  # children that may end without an answer over one document
MOST_REMEMBERED: Final = 10_000  # the newest, some 4 MB; each costs its client an approval


@dataclass(frozen=True)
class Overrun:
    """A document that exceeded a limit.

    binding  names its bytes and marks (``signer.model.unsalted_binding``)
    proven   whether the reader said so; otherwise its process ended without an answer
    """

    document_sha256: bytes
    binding: bytes
    reason: str
    proven: bool


class Overruns:
    """Used on the event loop only."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()
        self._reasons: dict[tuple[bytes, bytes], str] = {}
        self._documents: Counter[bytes] = Counter()  # so that other documents cost one look-up

    def note(self, overrun: Overrun) -> None:
        """Counts it."""
        key = (overrun.document_sha256, overrun.binding)
        if key not in self._times:
            self._documents[overrun.document_sha256] += 1
        # The reader's own word counts at once; a death without an answer counts half, since the
        # kernel may have wanted the memory.
        self._times[key] = self._times.get(key, 0) + (MOST_UNANSWERED if overrun.proven else 1)
        self._reasons[key] = overrun.reason
        if len(self._times) > MOST_REMEMBERED:
            self._forget(next(iter(self._times)))

    def refusal(self, document_sha256: bytes, item: signer_pb2.Item) -> VermilionError | None:
        """Why the document is not prepared with these marks; None for all but these few."""
        if document_sha256 not in self._documents:
            return None
        try:
            key = (document_sha256, unsalted_binding(request_of(item), document_sha256))
        except VermilionError:  # an invalid item; the worker refuses it
            return None
        if self._times.get(key, 0) < MOST_UNANSWERED:
            return None
        return VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"{self._reasons[key]}; it is not tried again", document=item.name or None)

    def __bool__(self) -> bool:
        return bool(self._documents)

    def _forget(self, key: tuple[bytes, bytes]) -> None:
        del self._times[key], self._reasons[key]
        self._documents[key[0]] -= 1
        if not self._documents[key[0]]:
            del self._documents[key[0]]
