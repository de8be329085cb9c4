"""The Signer service over gRPC, and who may call which method of the signer's three services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.rpc import Rules, caller
from signer.bulk import BulkStream, Sealing, in_thread
from signer.kept import KeptUses
from signer.messages import LARGEST_RESULTS_BYTES, request_of, responses, sealed_message

_SIGNER, _REGISTER, _LEDGER = (f"/vermilion.v1.{service}/" for service in ("Signer", "Register", "Ledger"))
_READERS = frozenset({"client", "operator", "service:workflow"})
_GOVERNORS = frozenset({"operator", "service:workflow"})

RULES: Rules = {
    # An operator cannot use a seal (I8), and neither can the workflow.
    _SIGNER + "Seal": frozenset({"client"}),
    _SIGNER + "SealStream": frozenset({"client"}),
    _SIGNER + "Acknowledge": frozenset({"client"}),
    _SIGNER + "ListUses": frozenset({"client"}),
    _REGISTER + "ListSeals": _READERS,
    _REGISTER + "GetSeal": _READERS,
    _REGISTER + "GetPicture": _READERS,
    _REGISTER + "ListPeople": _READERS,
    _REGISTER + "ListKeys": _READERS,
    _REGISTER + "ListGrants": _READERS,
    _REGISTER + "Stop": _GOVERNORS,
    _REGISTER + "Perform": _GOVERNORS,
    _LEDGER + "Append": frozenset({"service:workflow", "service:ca"}),
    _LEDGER + "Head": frozenset({"service:ledger", "service:verify", "operator"}),  # verification asks how far the log should reach
    _LEDGER + "Entries": frozenset({"service:ledger"}),
    _LEDGER + "Find": frozenset({"client", "operator", "service:workflow", "service:verify"}),
}


class SignerService(signer_pb2_grpc.SignerServicer):
    """Seals for clients."""

    def __init__(self, sealing: Sealing, kept: KeptUses, executor: Executor) -> None:
        self._sealing = sealing
        self._kept = kept
        self._executor = executor

    async def Seal(self, request: signer_pb2.SealRequest, context: Any) -> signer_pb2.SealResponse:
        """One document, whole in one message."""
        sealing = self._sealing
        admission = await in_thread(self._executor, sealing.engine.admit, request.token, caller().uri)
        item = request_of(request.item)
        await sealing.budget.take(len(item.document), wait=True)
        (outcome,) = await sealing.seal(admission, [item])
        if isinstance(outcome.result, VermilionError):
            raise outcome.result
        if len(outcome.result.suffix) > LARGEST_RESULTS_BYTES:
            raise VermilionError(Code.INVALID_ARGUMENT, "the document is sealed, but too large for this call: fetch it through SealStream")
        return signer_pb2.SealResponse(sealed=sealed_message(outcome.result, suffix=outcome.result.suffix))

    async def SealStream(
        self, request_iterator: AsyncIterator[signer_pb2.SealStreamRequest], context: Any
    ) -> AsyncIterator[signer_pb2.SealStreamResponse]:
        """Bulk: the token, then documents; one result for each, in any order. A refused token ends the stream at once."""
        opening = await anext(aiter(request_iterator), None)
        if opening is None or opening.WhichOneof("kind") != "open":
            raise VermilionError(Code.TOKEN_MISSING, "a stream begins with its approval token")
        sealing = self._sealing
        admission = await in_thread(self._executor, sealing.engine.admit, opening.open.token, caller().uri)
        async for outcomes in BulkStream(sealing, admission).outcomes(request_iterator):
            for response in responses(outcomes):
                yield response

    async def Acknowledge(self, request: signer_pb2.AcknowledgeRequest, context: Any) -> signer_pb2.AcknowledgeResponse:
        """The client holds these documents safely."""
        count = await in_thread(self._executor, self._kept.acknowledge, request.jti, list(request.indexes), caller().uri)
        return signer_pb2.AcknowledgeResponse(acknowledged=count)

    async def ListUses(self, request: signer_pb2.ListUsesRequest, context: Any) -> signer_pb2.ListUsesResponse:
        """The uses of one of the caller's tokens."""
        states = await in_thread(self._executor, self._kept.of_token, request.jti, caller().uri)
        uses = [
            signer_pb2.Use(index=one.index, state=one.state, attempts=one.attempts, ledger_index=one.ledger_index or 0) for one in states
        ]
        return signer_pb2.ListUsesResponse(uses=uses)
