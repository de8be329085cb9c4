"""What a client asks of the signer and what it gets back: plain values that api, front, worker and pipeline share."""

from __future__ import annotations

import binascii
import fcntl
import hashlib
import mmap
from dataclasses import dataclass
from typing import Final, NamedTuple

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
    packed       whether it takes suffixes packed
    """

    jws: str
    client: str
    request_id: str
    traceparent: str
    deadline_ns: int | None
    packed: bool = False

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


class Part(NamedTuple):
    """Bytes that many signatures have in common. ``name`` is their SHA-256."""

    name: bytes
    content: bytes

    @classmethod
    def of(cls, content: bytes) -> Part:
        """With its name."""
        return cls(hashlib.sha256(content).digest(), content)


class Packed(NamedTuple):
    """A suffix: ``before``, the digits of the signature, so many ``zeros``, ``after``.

    The signature is stretches[0] ‖ parts[0] ‖ stretches[1] ‖ parts[1] ‖ … ‖ stretches[-1]; there is one stretch more than parts.
    """

    before: bytes
    stretches: tuple[bytes, ...]
    parts: tuple[Part, ...]
    zeros: int
    after: bytes

    def whole(self) -> bytes:
        """The suffix."""
        return b"".join((self.before, binascii.hexlify(self.signature()), b"0" * self.zeros, self.after))

    def signature(self) -> bytes:
        """The signature alone."""
        pieces = [self.stretches[0]]
        for part, stretch in zip(self.parts, self.stretches[1:], strict=True):
            pieces += (part.content, stretch)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class SealedUse:
    """A use that is sealed, with the bytes to append, also ``packed``. ``repeated`` when they were committed by an earlier request."""

    index: int
    suffix: bytes
    ledger_index: int
    ledger_leaf_hash: bytes
    sealed_sha256: bytes
    attempts: int
    warnings: tuple[str, ...]
    repeated: bool
    packed: Packed | None = None


Result = SealedUse | VermilionError
"""A sealed use, or why the document was refused."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one document."""

    index: int
    result: Result
