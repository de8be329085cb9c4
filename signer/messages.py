"""Between the signer's messages and its values; protobuf goes no further than here and the ``…rpc`` modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from protos.vermilion.v1 import signer_pb2
from sealcore.approvals.wire import placement_from_message
from sealcore.errors import VermilionError
from sealcore.rpc import to_message
from signer.engine import Outcome
from signer.gate import ItemRequest
from signer.uses import SealedUse

LARGEST_RESULTS_BYTES = 3 * 1024 * 1024  # of one message; gRPC's cap is 4 MiB
CHUNK_BYTES = 1024 * 1024
_RESULT_OVERHEAD_BYTES = 4096  # hashes, warnings, reasons


def request_of(item: signer_pb2.Item) -> ItemRequest:
    """The item as the gate takes it; raises INVALID_ARGUMENT for a placement that is none."""
    return ItemRequest(
        index=item.index,
        salt=item.salt,
        proof=tuple(item.proof),
        placement=placement_from_message(item.placement),
        size_bytes=item.size_bytes,
        document_sha256=item.document_sha256,
        document=item.document,
        name=item.name,
    )


def sealed_message(sealed: SealedUse, *, suffix: bytes) -> signer_pb2.Sealed:
    """The message of a sealed use, with this suffix (empty when it follows in chunks)."""
    return signer_pb2.Sealed(
        index=sealed.index,
        suffix=suffix,
        ledger_index=sealed.ledger_index,
        ledger_leaf_hash=sealed.ledger_leaf_hash,
        sealed_sha256=sealed.sealed_sha256,
        attempts=sealed.attempts,
        warnings=sealed.warnings,
        repeated=sealed.repeated,
    )


def responses(outcomes: Sequence[Outcome]) -> Iterator[signer_pb2.SealStreamResponse]:
    """Outcomes in as few messages as fit the cap; suffixes that do not fit follow in chunks."""
    results, size_bytes = signer_pb2.SealStreamResponse.Results(), 0
    for outcome in outcomes:
        result = outcome.result
        large = isinstance(result, SealedUse) and len(result.suffix) > LARGEST_RESULTS_BYTES
        weight_bytes = _RESULT_OVERHEAD_BYTES + (len(result.suffix) if isinstance(result, SealedUse) and not large else 0)
        if size_bytes and size_bytes + weight_bytes > LARGEST_RESULTS_BYTES:
            yield signer_pb2.SealStreamResponse(results=results)
            results, size_bytes = signer_pb2.SealStreamResponse.Results(), 0
        size_bytes += weight_bytes
        if isinstance(result, VermilionError):
            results.refused.append(signer_pb2.Refused(index=outcome.index, error=to_message(result)))
            continue
        results.sealed.append(sealed_message(result, suffix=b"" if large else result.suffix))
        if large:
            yield signer_pb2.SealStreamResponse(results=results)
            results, size_bytes = signer_pb2.SealStreamResponse.Results(), 0
            yield from _chunks(result)
    if size_bytes:
        yield signer_pb2.SealStreamResponse(results=results)


def _chunks(sealed: SealedUse) -> Iterator[signer_pb2.SealStreamResponse]:
    for offset in range(0, len(sealed.suffix), CHUNK_BYTES):
        chunk = signer_pb2.SealStreamResponse.SuffixChunk(
            index=sealed.index,
            offset=offset,
            data=sealed.suffix[offset : offset + CHUNK_BYTES],
            last=offset + CHUNK_BYTES >= len(sealed.suffix),
        )
        yield signer_pb2.SealStreamResponse(suffix=chunk)


def refusals(requests: Iterable[ItemRequest], error: VermilionError) -> list[Outcome]:
    """The same refusal for each of ``requests``."""
    return [Outcome(request.index, error) for request in requests]
