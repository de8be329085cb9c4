"""gRPC over mTLS, the server's side: an allow-list for each method, and every refusal as a typed error on the wire.

Each call is judged anew (``sealcore.platform.peer``). It carries the request id that is bound where it is made; the server binds
it, too, and answers with it.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NoReturn, cast

import grpc
from google.protobuf.message import DecodeError

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import log as logs
from sealcore.platform import tracing
from sealcore.platform.config import TlsSettings
from sealcore.platform.identity import Files, Identity, IdentityWatch, require_current
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics
from sealcore.platform.peer import Peer, Revocations, authorise, require_in_force
from sealcore.platform.rpc import ERROR_METADATA, MESSAGE_LIMIT_BYTES, REQUEST_ID_METADATA
from sealcore.platform.rpc.error_messages import to_message
from sealcore.platform.rpc.errors import status_of

MOST_CALLS: Final = 128  # of one caller at a time
MOST_CONNECTIONS: Final = 4096
HANDSHAKE_S: Final = 10.0  # until TLS and HTTP/2 have begun; gRPC's own limit is two minutes
PING_S: Final = 120.0  # a connection on which nothing comes is asked whether its other side is there
PONG_S: Final = 20.0
METADATA_BYTES: Final = 16 * 1024  # of a call
_DESCRIPTORS_SHARE: Final = 4  # of the files that this process may open, a quarter at most are connections
LONGEST_DETAIL: Final = 200  # characters of the status message, each up to 12 bytes of metadata; the error itself says all


_CALLER: ContextVar[Peer] = ContextVar("caller")
_ENDED: ContextVar[str | None] = ContextVar("ended", default=None)  # the code of the refusal that ended the call in progress

Rules = Mapping[str, frozenset[str]]
"""Full method name → who may call it: ``client``, ``operator``, ``service:NAME``, or ``any`` known caller."""


class _Admitted:
    """The messages of a stream. Once the caller's certificate is no longer in force, the stream accepts no more of them."""

    def __init__(self, messages: Any, peer: Peer, revocations: Revocations, read: Callable[[bytes], Any]) -> None:
        self._next = aiter(messages).__anext__
        self._peer, self._revocations, self._read = peer, revocations, read

    def __aiter__(self) -> _Admitted:
        return self

    async def __anext__(self) -> Any:
        message = await self._next()
        # At each message, not once a stream: a bulk stream lasts for hours, and a revocation must
        # reach it.
        require_in_force(self._peer, self._revocations)
        return self._read(message)


def _reader(deserialise: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Decodes a message after its sender was authorised; INVALID_ARGUMENT when it cannot be decoded.

    gRPC itself would decode first, and answer UNKNOWN.
    """
    if deserialise is None:
        return lambda data: data

    def read(data: bytes) -> Any:
        try:
            return deserialise(data)
        except DecodeError:
            raise VermilionError(Code.INVALID_ARGUMENT, "the message cannot be read") from None

    return read


class _Places:
    """How many calls each caller has open. A call holds a message in memory, of 4 MiB at most, before it does anything."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def taken(self, uri: str) -> Iterator[None]:
        """A place among ``MOST_CALLS``; OVERLOADED when there is none."""
        if self._open[uri] >= MOST_CALLS:
            raise VermilionError(Code.OVERLOADED, f"{uri} has {MOST_CALLS} calls open, as many as one caller may")
        self._open[uri] += 1
        try:
            yield
        finally:
            self._open[uri] -= 1
            if not self._open[uri]:
                del self._open[uri]


class _Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic only in its stubs
    """Wraps every method: identifies the caller, checks the allow-list, and turns faults into typed errors."""

    def __init__(self, rules: Rules, revocations: Revocations, metrics: CallMetrics | None = None) -> None:
        self._rules = rules
        self._revocations = revocations
        self._metrics = metrics
        self._places = _Places()
        self._log = get_log("rpc")

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        method: str = details.method
        metadata = dict(details.invocation_metadata or ())
        request_id = logs.accepted(str(metadata.get(REQUEST_ID_METADATA) or ""))
        parent = str(metadata.get(tracing.TRACEPARENT) or "") or None
        # A method without a rule is allowed to nobody.
        allowed, read = self._rules.get(method, frozenset()), _reader(handler.request_deserializer)

        @contextmanager
        def entered(request: Any, context: Any) -> Iterator[Any]:
            """The request, once its sender may make it; for as long as it lasts it is one of so many."""
            context.set_trailing_metadata(((REQUEST_ID_METADATA, request_id),))
            pem = context.auth_context().get("x509_pem_cert", [None])[0]
            # Before the message is decoded: a stranger's bytes reach no parser.
            peer = authorise(pem, allowed, self._revocations)
            _CALLER.set(peer)
            with self._places.taken(peer.uri):
                yield _Admitted(request, peer, self._revocations, read) if handler.request_streaming else read(request)

        async def refuse(context: Any, fault: Exception) -> NoReturn:
            error = self._typed(fault, method)
            context.set_trailing_metadata(((ERROR_METADATA, to_message(error).SerializeToString()), (REQUEST_ID_METADATA, request_id)))
            await context.abort(status_of(error), str(error)[:LONGEST_DETAIL])
            raise AssertionError("abort returned")

        async def unary(request: Any, context: Any) -> Any:
            logs.bind(request_id)
            with self._followed(method, parent):
                try:
                    with entered(request, context) as asked:
                        return await handler_function(asked, context)
                except grpc.aio.AbortError:
                    raise
                except Exception as fault:  # noqa: BLE001  (the one border where every fault becomes typed)
                    await refuse(context, fault)

        async def streaming(request: Any, context: Any) -> AsyncIterator[Any]:
            logs.bind(request_id)
            with self._followed(method, parent):
                try:
                    with entered(request, context) as asked:
                        async for answer in handler_function(asked, context):
                            yield answer
                except grpc.aio.AbortError:
                    raise
                except Exception as fault:  # noqa: BLE001  (as above)
                    await refuse(context, fault)

        handler_function, wrap = _pick(handler)
        body: Any = streaming if handler.response_streaming else unary
        return wrap(body, request_deserializer=None, response_serializer=handler.response_serializer)

    @contextmanager
    def _followed(self, method: str, parent: str | None) -> Iterator[None]:
        """Counts, traces and logs a call, however it ends."""
        name, code, began_s = method.removeprefix("/vermilion.v1."), "OK", time.perf_counter()
        if self._metrics is not None:
            self._metrics.begin()
        _ENDED.set(None)
        try:
            with tracing.span(name, parent=parent) as span:
                try:
                    yield
                except BaseException as fault:
                    gone = isinstance(fault, asyncio.CancelledError | GeneratorExit)
                    code = str(Code.CANCELLED) if gone else _ENDED.get() or str(Code.INTERNAL)
                    span.set(code=code)
                    raise
        finally:
            took_s = time.perf_counter() - began_s
            if self._metrics is not None:
                # Names that callers invent must not become labels: each would be a series of its
                # own.
                self._metrics.end(name if method in self._rules else "other", code, took_s)
            if code in ("OK", Code.CANCELLED):
                say = self._log.debug if method in _POLLED else self._log.info
                peer = _CALLER.get(None)
                say("call", method=name, code=code, caller=peer.uri if peer else None, ms=round(took_s * 1000, 1))

    def _typed(self, fault: Exception, method: str) -> VermilionError:
        if isinstance(fault, VermilionError):
            _ENDED.set(str(fault.code))
            self._log.info("refused", method=method, code=str(fault.code), reason=fault.reason)
            return fault
        self._log.error("fault", method=method, exc_info=fault)
        return typed(fault)


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


_POLLED = frozenset({*HEALTH_AND_REFLECTION, "/vermilion.v1.Ledger/Head"})  # asked several times a second: logged as DEBUG


def server(
    tls: TlsSettings,
    rules: Rules,
    revocations: Revocations,
    *,
    target: str,
    options: tuple[tuple[str, Any], ...] = (),
    metrics: CallMetrics | None = None,
) -> Any:
    """An aio server that demands client certificates and enforces ``rules``; whoever makes it adds servicers and starts it.

    Raises CONFIGURATION_INVALID, or CERTIFICATE_EXPIRED when its own certificate has ended.
    """
    result = grpc.aio.server(
        interceptors=(_Guard({**HEALTH_AND_REFLECTION, **rules}, revocations, metrics),),
        options=bounded(streams=2 * MOST_CALLS, options=options),  # so that who has too many open is told so,
    )
    credentials = server_credentials(tls, clients=True)
    try:
        bound = result.add_secure_port(target, credentials)
    except RuntimeError:  # how gRPC says it since 1.60; before, it returned 0
        bound = 0
    if bound == 0:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {target}; the port is taken")
    return result


def bounded(*, streams: int, handshake_s: float = HANDSHAKE_S, options: tuple[tuple[str, Any], ...] = ()) -> tuple[tuple[str, Any], ...]:
    """The options of every gRPC server: what peers may take before they are known, or while they are silent. ``streams`` of a connection."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.max_concurrent_streams", streams),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES),
        # A connection costs a descriptor before it shows a certificate: most are left for files, workers and other servers.
        ("grpc.max_allowed_incoming_connections", min(MOST_CONNECTIONS, descriptors // _DESCRIPTORS_SHARE)),
        ("grpc.server_handshake_timeout_ms", int(1000 * handshake_s)),
        ("grpc.keepalive_time_ms", int(1000 * PING_S)),
        ("grpc.keepalive_timeout_ms", int(1000 * PONG_S)),
        *options,
    )


def server_credentials(files: Files, *, clients: bool) -> grpc.ServerCredentials:
    """TLS for a server; each new connection gets the identity and the trust that the files hold then.

    ``clients``: whether clients must show a certificate that we trust. Raises CONFIGURATION_INVALID or CERTIFICATE_EXPIRED.
    """
    watch = IdentityWatch(files)
    served = watch.current
    require_current(served)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Asked at each handshake; None: as before."""
        nonlocal served
        identity = watch.current
        if identity is served:
            return None
        served = identity
        return _server_configuration(identity)

    return grpc.dynamic_ssl_server_credentials(_server_configuration(served), cast(Any, fetch), require_client_authentication=clients)


def _server_configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(identity.key, identity.chain)], root_certificates=identity.trust or None)
