"""gRPC over mTLS: servers with an allow-list per method, clients, and one mapping of errors to the wire and back.

A caller is its SAN URI. Chains are checked by TLS against the infrastructure CA alone; here the certificate's serial is
held against the CRL at every call, because a connection outlives a revocation (PROTOCOL "Keys and trust").
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, Protocol

import grpc
import structlog
from cryptography import x509

from protos.vermilion.v1 import common_pb2
from sealcore.config import TlsSettings
from sealcore.errors import REGISTRY, Code, Kind, VermilionError
from sealcore.ids import CLIENT_PREFIX, OPERATOR_PREFIX, SERVICE_PREFIX, uuid7
from sealcore.log import get as get_log

MESSAGE_LIMIT_BYTES = 4 * 1024 * 1024  # gRPC's own default; larger documents go in chunks
ERROR_METADATA = "vermilion-error-bin"
REQUEST_ID_METADATA = "x-request-id"

_STATUS: Mapping[Kind, grpc.StatusCode] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.DOCUMENT: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.BUSY: grpc.StatusCode.ABORTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}

_CALLER: ContextVar[Peer] = ContextVar("caller")

Rules = Mapping[str, frozenset[str]]
"""Full method name → who may call it: ``client``, ``operator``, ``service:NAME``, or ``any`` known caller."""


class Revocations(Protocol):
    """Answers whether a certificate of the infrastructure CA is revoked; raises REVOCATION_UNAVAILABLE when it cannot know."""

    def is_revoked(self, serial: int) -> bool: ...


@dataclass(frozen=True)
class Peer:
    """Who is at the other end: the SAN URI and serial of the certificate."""

    uri: str
    serial: int

    @property
    def roles(self) -> frozenset[str]:
        """What the allow-lists may call this peer."""
        if self.uri.startswith(CLIENT_PREFIX):
            return frozenset({"client", "any"})
        if self.uri.startswith(OPERATOR_PREFIX):
            return frozenset({"operator", "any"})
        if self.uri.startswith(SERVICE_PREFIX):
            return frozenset({"service:" + self.uri.removeprefix(SERVICE_PREFIX), "any"})
        return frozenset()


@lru_cache(maxsize=1024)
def peer_of_pem(pem: bytes) -> Peer:
    """The peer a certificate names; UNAUTHENTICATED unless it carries exactly one SAN URI."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        raise VermilionError(Code.UNAUTHENTICATED, "the client certificate does not name its holder by one SAN URI") from None
    return Peer(uri, certificate.serial_number)


def authorise(pem: bytes | None, allowed: frozenset[str], revocations: Revocations) -> Peer:
    """The peer, when it may do this; raises UNAUTHENTICATED, CERTIFICATE_REVOKED or PERMISSION_DENIED."""
    if pem is None:
        raise VermilionError(Code.UNAUTHENTICATED, "no client certificate was presented")
    peer = peer_of_pem(pem)
    if revocations.is_revoked(peer.serial):
        raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate of {peer.uri} is revoked")
    if not peer.roles & allowed:
        raise VermilionError(Code.PERMISSION_DENIED, f"{peer.uri} may not call this method")
    return peer


def to_message(error: VermilionError) -> common_pb2.Error:
    """The wire form of an error."""
    return common_pb2.Error(
        code=str(error.code), reason=error.reason, rule=error.rule, document=error.document or "", way_out=error.way_out
    )


def status_of(error: VermilionError) -> grpc.StatusCode:
    """The gRPC status that goes with an error."""
    return _STATUS[error.kind]


def from_message(message: common_pb2.Error) -> VermilionError:
    """The error a message stands for; a code we do not know becomes INTERNAL, its text kept."""
    code = Code(message.code) if message.code in Code.__members__ else Code.INTERNAL
    return VermilionError(code, message.reason, document=message.document or None, rule=message.rule or None)


def from_rpc_error(fault: grpc.RpcError) -> VermilionError:
    """The typed error behind a failed call, whether the server named it or the transport failed."""
    trailers: Any = fault.trailing_metadata() or () if hasattr(fault, "trailing_metadata") else ()
    for key, value in trailers:
        if key == ERROR_METADATA:
            return from_message(common_pb2.Error.FromString(value))
    status = fault.code() if hasattr(fault, "code") else grpc.StatusCode.UNKNOWN
    detail = (fault.details() or "") if hasattr(fault, "details") else ""
    match status:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return VermilionError(Code.DEADLINE_EXCEEDED, "the service did not answer in time")
        case grpc.StatusCode.CANCELLED:
            return VermilionError(Code.CANCELLED, "the call was cancelled")
        case grpc.StatusCode.UNAVAILABLE:
            return VermilionError(Code.SERVICE_UNAVAILABLE, f"the service cannot be reached: {detail}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return VermilionError(Code.INVALID_ARGUMENT, f"the service does not know this method: {detail}")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return VermilionError(Code.OVERLOADED, f"a message is too large or the service too busy: {detail}")
        case _:
            return VermilionError(Code.INTERNAL, f"the call failed: {status.name}: {detail}")


class _Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic only in its stubs
    """Stands before every method: who calls, may they, and which error leaves."""

    def __init__(self, rules: Rules, revocations: Revocations) -> None:
        self._rules = rules
        self._revocations = revocations
        self._log = get_log("rpc")

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        method: str = details.method
        metadata = dict(details.invocation_metadata or ())
        request_id = str(metadata.get(REQUEST_ID_METADATA) or uuid7())
        allowed = self._rules.get(method, frozenset())

        def enter(context: Any) -> Peer:
            structlog.contextvars.bind_contextvars(request_id=request_id)
            pem = context.auth_context().get("x509_pem_cert", [None])[0]
            peer = authorise(pem, allowed, self._revocations)
            _CALLER.set(peer)
            return peer

        async def refuse(context: Any, fault: Exception) -> NoReturn:
            error = self._typed(fault, method)
            context.set_trailing_metadata(((ERROR_METADATA, to_message(error).SerializeToString()), (REQUEST_ID_METADATA, request_id)))
            await context.abort(_STATUS[error.kind], str(error))
            raise AssertionError("abort returned")

        async def unary(request: Any, context: Any) -> Any:
            try:
                enter(context)
                return await handler_function(request, context)
            except grpc.aio.AbortError:
                raise
            except Exception as fault:  # noqa: BLE001  (the one border where every fault becomes typed)
                await refuse(context, fault)

        async def streaming(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                enter(context)
                async for answer in handler_function(request, context):
                    yield answer
            except grpc.aio.AbortError:
                raise
            except Exception as fault:  # noqa: BLE001  (as above)
                await refuse(context, fault)

        handler_function, wrap = _pick(handler)
        body: Any = streaming if handler.response_streaming else unary
        return wrap(body, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer)

    def _typed(self, fault: Exception, method: str) -> VermilionError:
        if isinstance(fault, VermilionError):
            self._log.info("refused", method=method, code=str(fault.code), reason=fault.reason)
            return fault
        self._log.error("fault", method=method, exc_info=fault)
        return VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})")


def _pick(handler: Any) -> tuple[Any, Callable[..., Any]]:
    if handler.request_streaming and handler.response_streaming:
        return handler.stream_stream, grpc.stream_stream_rpc_method_handler
    if handler.request_streaming:
        return handler.stream_unary, grpc.stream_unary_rpc_method_handler
    if handler.response_streaming:
        return handler.unary_stream, grpc.unary_stream_rpc_method_handler
    return handler.unary_unary, grpc.unary_unary_rpc_method_handler


def caller() -> Peer:
    """The authorised peer of the call in progress; every call runs in a task, hence a context, of its own."""
    return _CALLER.get()


HEALTH_AND_REFLECTION: Rules = {
    "/grpc.health.v1.Health/Check": frozenset({"any"}),
    "/grpc.health.v1.Health/List": frozenset({"any"}),
    "/grpc.health.v1.Health/Watch": frozenset({"any"}),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": frozenset({"any"}),
}


def server(tls: TlsSettings, rules: Rules, revocations: Revocations, *, target: str, options: tuple[tuple[str, Any], ...] = ()) -> Any:
    """An aio server that demands client certificates and lets nobody past ``rules``; the caller adds servicers and starts it."""
    result = grpc.aio.server(
        interceptors=(_Guard({**HEALTH_AND_REFLECTION, **rules}, revocations),),
        options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES), *options),
    )
    credentials = grpc.ssl_server_credentials(
        [(tls.key_file.read_bytes(), tls.certificate_file.read_bytes())],
        root_certificates=tls.trust_file.read_bytes(),
        require_client_auth=True,
    )
    try:
        bound = result.add_secure_port(target, credentials)
    except RuntimeError:  # how gRPC says it since 1.60; before, it returned 0
        bound = 0
    if bound == 0:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {target}; the port is taken")
    return result


def channel(target: str, tls: TlsSettings, *, message_limit_bytes: int = MESSAGE_LIMIT_BYTES) -> grpc.Channel:
    """A client channel with our identity; trusts the infrastructure CA alone."""
    credentials = grpc.ssl_channel_credentials(tls.trust_file.read_bytes(), tls.key_file.read_bytes(), tls.certificate_file.read_bytes())
    return grpc.secure_channel(
        target,
        credentials,
        options=(
            ("grpc.max_receive_message_length", message_limit_bytes),
            ("grpc.enable_retries", 0),
            # a service that comes back is found at once; gRPC's own pause grows to two minutes
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ),
    )


assert set(_STATUS) == set(Kind) and set(REGISTRY) == set(Code), "a kind or code without its row"
