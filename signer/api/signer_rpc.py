"""The Signer service over gRPC, and who may call which method of the signer's three services."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any

import grpc

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import tracing
from sealcore.platform.log import request_id
from sealcore.platform.rpc.error_messages import from_message
from sealcore.platform.rpc.server import Rules, caller
from signer.api.examination import Examination
from signer.api.threads import in_thread
from signer.front.framing import Kind, framed, open_of
from signer.front.stream import Streams
from signer.gate import admit_token
from signer.model import Call
from signer.register.store import RegisterStore
from signer.uses.retention import Retention

_SIGNER, _REGISTER, _LEDGER = (f"/vermilion.v1.{service}/" for service in ("Signer", "Register", "Ledger"))
SIGNER = signer_pb2.DESCRIPTOR.services_by_name["Signer"].full_name
_READERS = frozenset({"client", "operator", "service:workflow"})
_GOVERNORS = frozenset({"operator", "service:workflow"})

RULES: Rules = {
    # An operator cannot use a seal (I8), and neither can the workflow.
    _SIGNER + "Seal": frozenset({"client"}),
    _SIGNER + "SealStream": frozenset({"client"}),
    _SIGNER + "Examine": frozenset({"client"}),
    _SIGNER + "Acknowledge": frozenset({"client"}),
    _SIGNER + "ListUses": frozenset({"client"}),
    _REGISTER + "ListSeals": _READERS | {"service:ca"},  # the CA judges acts by this register, and has no other
    _REGISTER + "GetSeal": _READERS,
    _REGISTER + "GetPicture": _READERS,
    _REGISTER + "ListPeople": _READERS | {"service:ca"},
    _REGISTER + "ListKeys": _READERS,
    _REGISTER + "ListGrants": _READERS,
    _REGISTER + "Stop": _GOVERNORS,
    _REGISTER + "Perform": _GOVERNORS,
    _REGISTER + "CheckAct": _GOVERNORS,
    _REGISTER + "RequestCertificate": frozenset({"operator"}),
    _REGISTER + "CertifyKey": frozenset({"operator"}),
    _LEDGER + "Append": frozenset({"service:workflow", "service:ca"}),
    _LEDGER + "Head": frozenset({"service:ledger", "service:verify", "operator"}),  # verification asks how far the log should reach
    _LEDGER + "Entries": frozenset({"service:ledger"}),
    _LEDGER + "Find": frozenset({"client", "operator", "service:workflow", "service:verify"}),
}


class TokenGate:
    """The gate's steps for a token, taken early: a refused token ends its stream at once. Workers judge it again, and theirs counts."""

    def __init__(self, register: RegisterStore, clock: Clock, *, audience: str) -> None:
        self._register = register
        self._clock = clock
        self._audience = audience

    def judge(self, jws: str, peer: str) -> None:
        """Raises the code of the first step that refuses."""
        admit_token(jws, peer=peer, register=self._register.current(), now=self._clock.now(), audience=self._audience)


class SignerService(signer_pb2_grpc.SignerServicer):
    """Seals for clients. Streams pass through as bytes; workers parse them."""

    def __init__(self, streams: Streams, gate: TokenGate, examination: Examination, retention: Retention, executor: Executor) -> None:
        self._streams = streams
        self._examination = examination
        self._gate = gate
        self._retention = retention
        self._executor = executor

    async def Seal(self, request: signer_pb2.SealRequest, context: Any) -> signer_pb2.SealResponse:
        """One document, whole in one message."""
        response = await self._streams.one(_call(request.token, context), request.item)
        for refused in response.results.refused:
            raise from_message(refused.error)
        (sealed,) = response.results.sealed
        # It was sealed and committed; this message cannot carry it. The same request through the
        # stream fetches the stored bytes.
        if not sealed.suffix:
            raise VermilionError(Code.INVALID_ARGUMENT, "the document is sealed, but too large for this call: fetch it through SealStream")
        return signer_pb2.SealResponse(sealed=sealed)

    async def SealStream(self, request_iterator: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Bulk: the token, then documents; one result for each, in any order. A refused token ends the stream at once."""
        opening = await anext(aiter(request_iterator), None)
        first = framed(opening) if opening is not None else None
        if first is None or first.kind is not Kind.OPEN:
            raise VermilionError(Code.TOKEN_MISSING, "a stream begins with its approval token")
        opened = open_of(first)
        call = _call(opened.token, context, packed=opened.packed)
        await in_thread(self._executor, self._gate.judge, call.jws, call.client)
        async for answer in self._streams.stream(call, request_iterator):
            yield answer

    async def Examine(
        self, request_iterator: AsyncIterator[signer_pb2.ExamineRequest], context: Any
    ) -> AsyncIterator[signer_pb2.ExamineResponse]:
        """What sealing would say of documents for their own sake."""
        async for answer in self._examination.answers(caller().uri, request_iterator):
            yield answer

    async def Acknowledge(self, request: signer_pb2.AcknowledgeRequest, context: Any) -> signer_pb2.AcknowledgeResponse:
        """The client holds these documents safely."""
        count = await in_thread(self._executor, self._retention.acknowledge, request.jti, list(request.indexes), caller().uri)
        return signer_pb2.AcknowledgeResponse(acknowledged=count)

    async def ListUses(self, request: signer_pb2.ListUsesRequest, context: Any) -> signer_pb2.ListUsesResponse:
        """The uses of one of the caller's tokens."""
        states = await in_thread(self._executor, self._retention.of_token, request.jti, caller().uri)
        uses = [
            signer_pb2.Use(index=one.index, state=one.state, attempts=one.attempts, ledger_index=one.ledger_index or 0) for one in states
        ]
        return signer_pb2.ListUsesResponse(uses=uses)


def _call(jws: str, context: Any, *, packed: bool = False) -> Call:
    remaining_s = context.time_remaining()
    # By the monotonic clock, which workers share: a wall clock that is set would move the
    # deadline.
    deadline_ns = None if remaining_s is None else time.monotonic_ns() + int(remaining_s * 1_000_000_000)
    return Call(jws, caller().uri, request_id() or "", tracing.traceparent(), deadline_ns, packed)


def add_signer_service(server: Any, service: SignerService) -> None:
    """Registers the service; the stream without protobuf's serialisers, so that the front copies no document."""
    unary = grpc.unary_unary_rpc_method_handler
    handlers: dict[str, Any] = {
        "Seal": unary(service.Seal, signer_pb2.SealRequest.FromString, signer_pb2.SealResponse.SerializeToString),
        "Acknowledge": unary(
            service.Acknowledge, signer_pb2.AcknowledgeRequest.FromString, signer_pb2.AcknowledgeResponse.SerializeToString
        ),
        "ListUses": unary(service.ListUses, signer_pb2.ListUsesRequest.FromString, signer_pb2.ListUsesResponse.SerializeToString),
    }
    handlers["Examine"] = grpc.stream_stream_rpc_method_handler(
        service.Examine, signer_pb2.ExamineRequest.FromString, signer_pb2.ExamineResponse.SerializeToString
    )
    handlers["SealStream"] = grpc.stream_stream_rpc_method_handler(service.SealStream)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SIGNER, handlers),))
