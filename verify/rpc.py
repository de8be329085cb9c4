"""The ``Verifier`` service for strangers: server TLS or loopback, no client certificates, no reflection, bounded everywhere."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from protos.vermilion.v1 import verify_pb2, verify_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform import log as logs
from sealcore.platform.config import Listen
from sealcore.platform.front.address import share_of_rpc
from sealcore.platform.log import get as get_log
from sealcore.platform.rpc import ERROR_METADATA, MESSAGE_LIMIT_BYTES, REQUEST_ID_METADATA
from sealcore.platform.rpc.error_messages import to_message
from sealcore.platform.rpc.errors import status_of
from sealcore.platform.rpc.server import server_credentials
from sealcore.platform.throttle import Throttled
from sealcore.platform.tracing import TRACEPARENT, span
from verify import catalogue
from verify.arrivals import Arrival
from verify.service import Verification
from verify.settings import ServerTls

FAULTS_S = 1.0  # between two lines about the same kind of fault
NAME_LIMIT = 1024  # characters of a document's name
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_concurrent_streams", 32),
    ("grpc.max_connection_idle_ms", 60_000),
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
            raise VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})") from None
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
    server = grpc.aio.server(options=_OPTIONS)
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
