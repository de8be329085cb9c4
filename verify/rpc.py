"""The ``Verifier`` service for strangers: server TLS or loopback, no client certificates, no reflection, bounded everywhere."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from protos.vermilion.v1 import verify_pb2, verify_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import log as logs
from sealcore.platform.config import Listen
from sealcore.platform.front.address import share_of_rpc
from sealcore.platform.log import get as get_log
from sealcore.platform.rpc import ERROR_METADATA, REQUEST_ID_METADATA
from sealcore.platform.rpc.error_messages import to_message
from sealcore.platform.rpc.errors import status_of
from sealcore.platform.rpc.server import bounded, server_credentials
from sealcore.platform.throttle import Throttled
from sealcore.platform.tracing import TRACEPARENT, span
from verify import catalogue
from verify.arrivals import Arrival
from verify.service import Verification
from verify.settings import ServerTls

FAULTS_S = 1.0  # between two lines about the same kind of fault
NAME_LIMIT = 1024  # characters of a document's name
HANDSHAKE_S = 5.0  # strangers' connections are not told apart by address here, so that those with nothing to say must not stay
STREAMS = 16  # of a connection; no more of an address are let in (``limits.uploads_of_one``)
MOST_CALLS = 256  # of all connections: each holds a message before its document has a place
_OPTIONS = (
    ("grpc.max_connection_idle_ms", 30_000),
    # What a sender may send ahead of our reading, a stream. gRPC would let it grow with the connection's speed.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
)


class VerifierServicer(verify_pb2_grpc.VerifierServicer):
    """Takes a document in chunks and answers with one report."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification
        self._log = Throttled(get_log("rpc"), FAULTS_S)

    async def Verify(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:
        """Metadata ``accept-language`` chooses the language of the sentences."""
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        metrics, code, began_s = self._verification.metrics.rpc, "OK", time.perf_counter()
        metrics.begin()
        try:
            with (
                logs.request(logs.accepted(metadata.get(REQUEST_ID_METADATA))) as request_id,
                span("Verifier/Verify", parent=metadata.get(TRACEPARENT)),
            ):
                context.set_trailing_metadata(((REQUEST_ID_METADATA, request_id),))
                return await self._answer(request_iterator, metadata.get("accept-language", ""), share_of_rpc(context.peer()))
        except VermilionError as fault:
            code = str(fault.code)
            fault.request_id = request_id
            await self._refuse(context, fault)
        finally:
            metrics.end("Verifier/Verify", code, time.perf_counter() - began_s)

    async def _answer(self, request_iterator: AsyncIterator[Any], language: str, address: str) -> Any:
        try:
            async with self._verification.document(address) as arrival:
                name, document = await self._receive(request_iterator, arrival)
                report = await self._verification.check(document, name, catalogue.chosen(None, language), address)
        except VermilionError:
            raise
        except DecodeError:
            raise VermilionError(Code.INVALID_ARGUMENT, "the bytes are no message of this method") from None
        except Exception as fault:  # noqa: BLE001  (the border where every fault becomes typed)
            self._log.error("fault", exc_info=fault)
            raise typed(fault) from None
        return verify_pb2.VerifyResponse(verdict=report.verdict, report_json=report.as_json())

    async def _receive(self, request_iterator: AsyncIterator[Any], arrival: Arrival) -> tuple[str, bytes]:
        name, document = "", bytearray()
        async with arrival.arriving():
            async for request in request_iterator:
                name = name or request.name[:NAME_LIMIT]
                # Counted as it comes: the sender announces no size.
                if len(document) + len(request.data) > self._verification.limits.document_bytes:
                    raise self._verification.too_large()
                await arrival.take(len(request.data))
                document += request.data
        return name, bytes(document)

    @staticmethod
    async def _refuse(context: Any, fault: VermilionError) -> None:
        told = ((ERROR_METADATA, to_message(fault).SerializeToString()), (REQUEST_ID_METADATA, fault.request_id or ""))
        context.set_trailing_metadata(told)
        await context.abort(status_of(fault), str(fault))


def create_server(verification: Verification, listen: Listen, tls: ServerTls | None) -> Any:
    """An aio server that is not started yet; CONFIGURATION_INVALID when it cannot listen."""
    server = grpc.aio.server(
        options=bounded(streams=STREAMS, handshake_s=HANDSHAKE_S, options=_OPTIONS), maximum_concurrent_rpcs=MOST_CALLS
    )
    verify_pb2_grpc.add_VerifierServicer_to_server(VerifierServicer(verification), server)  # type: ignore[no-untyped-call]
    try:
        if tls is None:
            port = server.add_insecure_port(listen.target)  # settings allow this on loopback alone
        else:
            port = server.add_secure_port(listen.target, server_credentials(tls, clients=False))
    except RuntimeError:
        port = 0
    if port == 0:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {listen.target}; the port is taken")
    return server
