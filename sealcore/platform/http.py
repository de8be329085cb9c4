"""HTTP as our services speak it: problem+json (RFC 9457) for errors, and the client certificate of an mTLS connection.

Connections are bounded by ``sealcore.platform.front``, which also puts the peer's certificate into the ASGI scope.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from sealcore.errors import Code, Kind, VermilionError
from sealcore.exhaustion import typed as typed_fault
from sealcore.platform import log as logs
from sealcore.platform import tracing
from sealcore.platform.config import Listen, TlsSettings
from sealcore.platform.front.address import NOBODY, share_of
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.front.protocol import PEER_SCOPE_KEY
from sealcore.platform.front.refusal import PROBLEM_TYPE, as_problem
from sealcore.platform.front.server import BACKLOG, Server, config
from sealcore.platform.http_client import context_of
from sealcore.platform.identity import IdentityWatch
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics, HttpMetrics
from sealcore.platform.peer import Peer, Revocations, authorise
from sealcore.platform.throttle import Throttled

DRAIN_S = 5
FAULTS_S = 1.0  # between two lines about the same kind of fault: should a stranger find one of ours, it fills no disk
_START_POLL_S = 0.01
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_HTTP_STATUS = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.DOCUMENT: 422,
    Kind.BUSY: 429,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}


def problem(error: VermilionError, *, status: int | None = None) -> JSONResponse:
    """The error as application/problem+json, with the id of the request that it ended; the status of its kind unless one is given."""
    status = status or _HTTP_STATUS[error.kind]
    body = as_problem(error, status)
    if (request_id := logs.request_id()) is not None:
        body["request_id"] = request_id
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else None
    return JSONResponse(body, status_code=status, media_type=PROBLEM_TYPE, headers=headers)


def install_errors(app: Starlette) -> None:
    """Every fault leaves ``app`` as problem+json with a stable code."""
    log = Throttled(get_log("http"), FAULTS_S)

    async def typed(_request: Request, fault: VermilionError) -> JSONResponse:
        return problem(fault)

    async def http(_request: Request, fault: HTTPException) -> JSONResponse:
        code = Code.NOT_FOUND if fault.status_code == 404 else Code.INVALID_ARGUMENT
        response = problem(VermilionError(code, str(fault.detail)))
        response.status_code = fault.status_code
        response.headers.update(fault.headers or {})  # Allow, with 405
        return response

    async def gone(_request: Request, _fault: ClientDisconnect) -> JSONResponse:
        """Its sender left in the middle of a body: no fault of ours, and nobody reads this."""
        return problem(VermilionError(Code.CANCELLED, "the request did not come whole"))

    async def unforeseen(request: Request, fault: Exception) -> JSONResponse:
        log.error("fault", path=request.url.path, exc_info=fault)
        return problem(typed_fault(fault))

    handlers: dict[type[Exception], Any] = {VermilionError: typed, HTTPException: http, ClientDisconnect: gone, Exception: unforeseen}
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


class Followed:
    """ASGI: what happens inside carries the caller's X-Request-Id, or a new one; the answer names it. Counts, traces and logs.

    Only services that know their callers log each request: a stranger must not be able to fill a disk with lines.
    """

    def __init__(self, app: Any, *, metrics: CallMetrics | None = None, logged: bool = False) -> None:
        self._app, self._metrics, self._logged = app, metrics, logged
        self._log = get_log("http")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"x-request-id", b"traceparent")}
        with logs.request(logs.accepted(headers.get(b"x-request-id"))) as request_id:
            await self._follow(scope, receive, send, request_id, headers.get(b"traceparent"))

    async def _follow(self, scope: MutableMapping[str, Any], receive: Any, send: Any, request_id: str, parent: str | None) -> None:
        status, began_s = 499, time.perf_counter()  # as servers count a client that left before its answer

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode("ascii"))]
            await send(message)

        if self._metrics is not None:
            self._metrics.begin()
        try:
            with tracing.span(f"HTTP {scope['method']}", parent=parent) as span:
                await self._app(scope, receive, answer)
                span.set(route=_route(scope), status=status)
        finally:
            took_s = time.perf_counter() - began_s
            if self._metrics is not None:
                self._metrics.end(_route(scope), str(status), took_s)
            if self._logged:
                say = self._log.debug if scope["method"] in _SAFE_METHODS and status < 400 else self._log.info
                say("request", method=scope["method"], path=scope["path"], status=status, ms=round(took_s * 1000, 1))


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route's pattern: a stranger's paths must not become labels."""
    return f"{scope['method']} {path}" if (path := getattr(scope.get("route"), "path", None)) else "other"


def peer(request: Request, allowed: frozenset[str], revocations: Revocations) -> Peer:
    """The authorised caller of an mTLS request."""
    return authorise(request.scope.get(PEER_SCOPE_KEY), allowed, revocations)


def http_server(
    app: ASGIApp, tls: TlsSettings | None = None, *, limits: HttpLimits | None = None, metrics: HttpMetrics | None = None
) -> Server:
    """A server for ``app``: plain HTTP for what strangers read, mTLS when ``tls`` is given. The caller runs ``serve(sockets=…)``."""
    followed = Followed(app, metrics=metrics, logged=tls is not None)
    connections = metrics.connections if metrics is not None else None
    if tls is None:
        return Server(config(followed, drain_s=DRAIN_S), limits or HttpLimits(), connections)
    watch = IdentityWatch(tls)
    identity = watch.current
    options = {
        "ssl_keyfile": str(identity.key_file),
        "ssl_certfile": str(identity.certificate_file),
        "ssl_ca_certs": str(tls.trust_file),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }
    secured = config(followed, drain_s=DRAIN_S, tls=options)
    assert secured.ssl is not None
    secured.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # chains end at the issuing CA in the trust file, not at the root
    _follow(secured.ssl, watch)
    return Server(secured, limits or HttpLimits(), connections)


def address_of(request: Request) -> str:
    """Whose share the request counts against (``sealcore.platform.front.address``): the address that the connection comes from."""
    return share_of(request.client.host) if request.client is not None else NOBODY


class HttpEndpoint:
    """An HTTP server that other code starts and stops; several may run in one process."""

    def __init__(
        self,
        app: ASGIApp,
        listen: Listen,
        tls: TlsSettings | None = None,
        *,
        limits: HttpLimits | None = None,
        metrics: HttpMetrics | None = None,
    ) -> None:
        self._listen = listen
        self._server = http_server(app, tls, limits=limits, metrics=metrics)
        # It ends when its service says so, not by a signal of its own: whoever watches wants to see the service drain.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens; CONFIGURATION_INVALID when the port is taken."""
        listening = listening_socket(self._listen)
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise VermilionError(Code.SERVICE_UNAVAILABLE, "the HTTP server ended at its start")
            await asyncio.sleep(_START_POLL_S)

    async def stop(self) -> None:
        """Ends after the running requests."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task


def listening_socket(listen: Listen, *, shared: bool = False) -> socket.socket:
    """Listens; CONFIGURATION_INVALID when the port is taken.

    ``shared``: with other processes that say so too (SO_REUSEPORT); the kernel spreads connections over them.
    """
    try:
        return socket.create_server((listen.host, listen.port), backlog=BACKLOG, reuse_port=shared)
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {listen.target}: {fault.strerror}") from None


def _follow(context: ssl.SSLContext, watch: IdentityWatch) -> None:
    """From now on each handshake is made with the identity and the trust that the files hold then."""
    served, newest = watch.current, context

    def at_handshake(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal served, newest
        identity = watch.current
        if identity is not served:
            served, newest = identity, context_of(ssl.PROTOCOL_TLS_SERVER, identity)
        if newest is not context:
            connection.context = newest

    context.sni_callback = at_handshake  # called for every handshake, with a name or without
