"""gRPC over mTLS, the client's side: channels with our identity, calls that wait for a service that is coming back.

A call carries the request id that is bound where it is made (``sealcore.platform.log.request``) and the present span.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import grpc

from sealcore.platform import log as logs
from sealcore.platform import tracing
from sealcore.platform.config import TlsSettings
from sealcore.platform.identity import Identity, IdentityWatch
from sealcore.platform.rpc import ERROR_METADATA, MESSAGE_LIMIT_BYTES, REQUEST_ID_METADATA
from sealcore.platform.rpc.errors import from_rpc_error
from sealcore.platform.rpc.renewed_channel import RenewedChannel

READY_S: Final = 2.0  # how long a call waits for a service that is coming back; longer than the pause between two attempts to connect


class _Call(NamedTuple):
    """``grpc.ClientCallDetails`` with other metadata."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Carrying(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic only in their stubs
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Sends the bound request id and the present span along with every call."""

    def _carry(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ())]
        if (request_id := logs.request_id()) is not None:
            metadata.append((REQUEST_ID_METADATA, request_id))
        if traceparent := tracing.traceparent():
            metadata.append((tracing.TRACEPARENT, traceparent))
        call = _Call(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
        return continuation(call, request)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._carry(continuation, client_call_details, request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._carry(continuation, client_call_details, request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._carry(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._carry(continuation, client_call_details, request_iterator)


def channel(target: str, tls: TlsSettings, *, message_limit_bytes: int = MESSAGE_LIMIT_BYTES) -> grpc.Channel:
    """A client channel with our identity; trusts the infrastructure CAs alone. Calls carry the bound request id.

    It takes up renewed files by itself. Raises CONFIGURATION_INVALID or CERTIFICATE_EXPIRED, as its calls may.
    """
    return RenewedChannel(IdentityWatch(tls), lambda identity: _line(target, identity, message_limit_bytes))


def _line(target: str, identity: Identity, message_limit_bytes: int) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(identity.trust, identity.key, identity.chain)
    connection = grpc.secure_channel(
        target,
        credentials,
        options=(
            ("grpc.max_receive_message_length", message_limit_bytes),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),  # the environment has no say in where a call goes
            # finds a restarted service at once; gRPC's default pause grows to two minutes
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 5_000),  # how long one attempt may take: TLS handshakes are slow on a busy machine
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ),
    )
    return grpc.intercept_channel(connection, _Carrying())


def call(connection: grpc.Channel, method: Any, request: Any, *, timeout_s: float, repeatable: bool = True) -> Any:
    """A unary call's answer; raises the typed error.

    While the service is starting again, and its channel pauses between two attempts to connect, the call waits for it up to
    ``READY_S``; then SERVICE_UNAVAILABLE. One that is not ``repeatable`` is sent once at most; others are sent again when the
    connection broke before an answer came.
    """
    try:
        # With ``wait_for_ready`` gRPC sends it once a connection stands, and never a second time.
        return method(request, timeout=timeout_s, wait_for_ready=not repeatable)
    except grpc.RpcError as fault:
        if not repeatable or fault.code() is not grpc.StatusCode.UNAVAILABLE or _answered(fault) or not _connected(connection):
            raise from_rpc_error(fault) from fault
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as fault:
        raise from_rpc_error(fault) from fault


def _answered(fault: grpc.RpcError) -> bool:
    """Whether the service itself said so."""
    trailers: Any = fault.trailing_metadata() or ()
    return any(key == ERROR_METADATA for key, _ in trailers)


def _connected(connection: grpc.Channel) -> bool:
    ready = grpc.channel_ready_future(connection)
    try:
        ready.result(READY_S)
    except grpc.FutureTimeoutError:
        return False
    finally:
        ready.cancel()
    return True
