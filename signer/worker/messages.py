"""Protobuf messages of documents and results, as they are in a job, and the values that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeVar, cast

from google.protobuf.message import Message

from protos.vermilion.v1 import common_pb2, signer_pb2
from sealcore.errors import VermilionError
from sealcore.platform.rpc.error_messages import to_message
from sealcore.platform.rpc.placement_messages import placement_from_message
from sealcore.protocol.leaf import Placement
from signer.model import ItemRequest, Outcome, Packed, SealedUse

LARGEST_RESULTS_BYTES = 3 * 1024 * 1024  # of one message; gRPC's cap is 4 MiB
CHUNK_BYTES = 1024 * 1024
_RESULT_OVERHEAD_BYTES = 4096  # hashes, warnings, reasons
_PLACEMENTS_HELD = 256
_LARGEST_HELD_BYTES = 4096
_HEADS_HELD = 4096


_MessageT = TypeVar("_MessageT", bound=Message)


def parsed(kind: type[_MessageT], data: bytes | memoryview) -> _MessageT:
    """Parses a message from any kind of memory; DecodeError when it is invalid."""
    return kind.FromString(cast(bytes, data))  # the stubs know bytes alone


def request_of(item: signer_pb2.Item) -> ItemRequest:
    """The item as the gate takes it; raises INVALID_ARGUMENT for an invalid placement."""
    encoded = item.placement.SerializeToString()
    placement = _held_placement(encoded) if len(encoded) <= _LARGEST_HELD_BYTES else placement_from_message(item.placement)
    return ItemRequest(item.index, item.salt, tuple(item.proof), placement, item.size_bytes, item.document_sha256, item.document, item.name)


@lru_cache(maxsize=_PLACEMENTS_HELD)
def _held_placement(encoded: bytes) -> Placement:
    """Most documents of a batch have equal placements, which then share one value."""
    return placement_from_message(common_pb2.Placement.FromString(encoded))


def serialised(outcomes: Sequence[Outcome], *, packed: bool = False) -> list[bytes]:
    """Outcomes as serialised SealStreamResponse messages, as few as gRPC's cap allows; suffixes that are too large follow in chunks.

    ``packed``: whether the others may go out packed.
    """
    messages: list[bytes] = []
    one = _Results()
    for outcome in outcomes:
        result = outcome.result
        suffix = result.suffix if isinstance(result, SealedUse) else b""
        large = len(suffix) > LARGEST_RESULTS_BYTES
        weight_bytes = _RESULT_OVERHEAD_BYTES + (0 if large else len(suffix))
        if one.pieces and one.size_bytes + weight_bytes > LARGEST_RESULTS_BYTES:
            messages.append(one.serialised())
            one = _Results()
        one.size_bytes += weight_bytes
        if isinstance(result, VermilionError):
            one.pieces += _refused(outcome.index, result)
        elif packed and result.packed is not None and not large:
            one.pieces += _sealed_packed(result, result.packed)
            one.parts.update(result.packed.parts)
        else:
            one.pieces += _sealed(result, b"" if large else suffix)
        if large:
            messages.append(one.serialised())
            one = _Results()
            messages += _chunks(outcome.index, suffix)
    if one.pieces:
        messages.append(one.serialised())
    return messages


# Messages of results are encoded by hand: a suffix has kilobytes, and protobuf would copy it once for each enclosing message.
# Field numbers as in signer.proto: Sealed.suffix, Results.sealed, .refused and .parts, SealStreamResponse.results, Sealed.packed.
_SUFFIX: Final = 2 << 3 | 2
_SEALED: Final = 1 << 3 | 2
_REFUSED: Final = 2 << 3 | 2
_PART: Final = 3 << 3 | 2
_PACKED: Final = 9 << 3 | 2
_BEFORE, _STRETCH, _PART_NAME, _ZEROS, _AFTER = 1 << 3 | 2, 2 << 3 | 2, 3 << 3 | 2, 4 << 3, 5 << 3 | 2  # of PackedSuffix
_RESULTS: Final = 1 << 3 | 2


class _Results:
    """One message of results that grows: its encoded pieces, what packed suffixes in it refer to, and how large it is at most."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.parts: dict[bytes, bytes] = {}
        self.size_bytes = 0

    def serialised(self) -> bytes:
        """The whole message."""
        for content in self.parts.values():
            self.pieces += (_before(_PART, len(content)), content)
        return b"".join([_before(_RESULTS, sum(map(len, self.pieces))), *self.pieces])


def _sealed(sealed: SealedUse, suffix: bytes) -> list[bytes]:
    head = _sealed_head(sealed)
    if suffix:
        head += _before(_SUFFIX, len(suffix))
    return [_before(_SEALED, len(head) + len(suffix)), head, suffix]


def _sealed_packed(sealed: SealedUse, packed: Packed) -> list[bytes]:
    inner = [_before(_BEFORE, len(packed.before)), packed.before]
    for stretch in packed.stretches:
        inner += (_before(_STRETCH, len(stretch)), stretch)
    for part in packed.parts:
        inner += (_before(_PART_NAME, len(part.name)), part.name)
    inner += (_before(_ZEROS, packed.zeros), _before(_AFTER, len(packed.after)), packed.after)
    size_bytes = sum(map(len, inner))
    head = _sealed_head(sealed) + _before(_PACKED, size_bytes)
    return [_before(_SEALED, len(head) + size_bytes), head, *inner]


def _sealed_head(sealed: SealedUse) -> bytes:
    return signer_pb2.Sealed(
        index=sealed.index,
        ledger_index=sealed.ledger_index,
        ledger_leaf_hash=sealed.ledger_leaf_hash,
        sealed_sha256=sealed.sealed_sha256,
        attempts=sealed.attempts,
        warnings=sealed.warnings,
        repeated=sealed.repeated,
    ).SerializeToString()


def _refused(index: int, refusal: VermilionError) -> list[bytes]:
    message = signer_pb2.Refused(index=index, error=to_message(refusal)).SerializeToString()
    return [_before(_REFUSED, len(message)), message]


@lru_cache(maxsize=_HEADS_HELD)
def _before(tag: int, length: int) -> bytes:
    """Tag and length of a field that holds a message or bytes; or tag and value of one that holds a number."""
    head = bytearray((tag,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)


def joined(messages: Sequence[bytes]) -> bytes:
    """Several serialised messages of results as one: protobuf merges a message field that occurs several times."""
    return b"".join(messages)


def holds_results(message: bytes) -> bool:
    """Whether it is a message of results, not a chunk of a suffix."""
    return message[0] == _RESULTS


def _chunks(index: int, suffix: bytes) -> Iterator[bytes]:
    for offset in range(0, len(suffix), CHUNK_BYTES):
        chunk = signer_pb2.SealStreamResponse.SuffixChunk(
            index=index, offset=offset, data=suffix[offset : offset + CHUNK_BYTES], last=offset + CHUNK_BYTES >= len(suffix)
        )
        yield signer_pb2.SealStreamResponse(suffix=chunk).SerializeToString()


def refusals(indexes: Iterable[int], error: VermilionError) -> list[Outcome]:
    """The same refusal for each of the documents."""
    return [Outcome(index, error) for index in indexes]
