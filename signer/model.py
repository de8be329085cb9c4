"""What a client asks of the signer and what it gets back: plain values that api, front, worker and pipeline share."""

from __future__ import annotations

import fcntl
import mmap
from dataclasses import dataclass
from typing import Final

from sealcore.errors import VermilionError
from sealcore.protocol.leaf import Leaf, Placement, leaf_hash

UNCHANGEABLE: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""What the memory of a mapped document may no longer do (memfd_create(2)): what was hashed is what is read, and never ends early."""
Document = bytes | mmap.mmap
"""A document: in memory, or mapped when it is large. Slices of both are bytes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client, and the approval token that it came with.

    jws          the token as it was sent
    client       URI in the caller's certificate
    request_id   for logs
    traceparent  W3C trace context; empty when the call is not traced
    deadline_ns  by CLOCK_MONOTONIC, which all processes of a machine share; None when the caller set none
    """

    jws: str
    client: str
    request_id: str
    traceparent: str
    deadline_ns: int | None

    def is_late(self, now_ns: int) -> bool:
        """Whether the deadline has passed."""
        return self.deadline_ns is not None and self.deadline_ns <= now_ns


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """A document with its place in what was approved. ``name`` is shown in errors and logs; never trusted, never hashed."""

    index: int
    salt: bytes
    proof: tuple[bytes, ...]
    placement: Placement
    size_bytes: int
    document_sha256: bytes
    document: Document
    name: str


def unsalted_binding(request: ItemRequest, document_sha256: bytes) -> bytes:
    """Names a document's bytes and marks, whatever approval it comes under."""
    return leaf_hash(Leaf(bytes(16), 0, 1, document_sha256, request.size_bytes, request.placement))


@dataclass(frozen=True, slots=True)
class SealedUse:
    """A use that is sealed, with the bytes to append. ``repeated`` when they were committed by an earlier request."""

    index: int
    suffix: bytes
    ledger_index: int
    ledger_leaf_hash: bytes
    sealed_sha256: bytes
    attempts: int
    warnings: tuple[str, ...]
    repeated: bool


Result = SealedUse | VermilionError
"""A sealed use, or why the document was refused."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one document."""

    index: int
    result: Result
