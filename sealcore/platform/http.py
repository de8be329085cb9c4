"""HTTP as our services speak it: problem+json (RFC 9457) for errors, and the client certificate of an mTLS connection.

uvicorn does not hand the peer certificate to the application; ``PeerCertificateProtocol`` puts it into the ASGI scope.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import MutableMapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sealcore.errors import Code, Kind, VermilionError
from sealcore.platform import log as logs
from sealcore.platform import tracing
from sealcore.platform.config import Listen, TlsSettings
from sealcore.platform.http_client import context_of
from sealcore.platform.identity import IdentityWatch
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics
from sealcore.platform.peer import Peer, Revocations, authorise

DATE_S = 1.0
PEER_SCOPE_KEY = "vermilion.peer_pem"
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
    body = {"type": f"urn:vermilion:error:{error.code}", "title": error.rule, "status": status, "detail": error.reason, **error.as_dict()}
    if (request_id := logs.request_id()) is not None:
        body["request_id"] = request_id
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else None
    return JSONResponse(body, status_code=status, media_type="application/problem+json", headers=headers)


def install_errors(app: Starlette) -> None:
    """Every fault leaves ``app`` as problem+json with a stable code."""
    log = get_log("http")

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
        return problem(VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})"))

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


class PeerCertificateProtocol(H11Protocol):
    """uvicorn's h11 protocol, with the peer's certificate (PEM) in ``scope["vermilion.peer_pem"]``."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        pem = ssl.DER_cert_to_PEM_cert(der).encode() if der else None
        inner: Any = self.app

        async def with_peer(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, PEER_SCOPE_KEY: pem}, receive, send)

        self.app = with_peer


def peer(request: Request, allowed: frozenset[str], revocations: Revocations) -> Peer:
    """The authorised caller of an mTLS request."""
    return authorise(request.scope.get(PEER_SCOPE_KEY), allowed, revocations)


class Server(uvicorn.Server):
    """uvicorn's server, told when to end instead of looking ten times a second: a service at rest that has two of them does little else.

    ``should_exit`` may be set by any thread or signal handler, as uvicorn's own.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._exit = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._should_exit = False
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        """Whether the server ends once the running requests are answered."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._exit.set)

    async def main_loop(self) -> None:
        """Until ``should_exit``; each second the ``Date`` of answers is made anew (RFC 9110 §6.6.1)."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit.wait(), DATE_S)


def uvicorn_server(app: ASGIApp, listen: Listen, tls: TlsSettings | None = None, *, metrics: CallMetrics | None = None) -> Server:
    """A server for ``app``: plain HTTP for what strangers read, mTLS when ``tls`` is given. The caller runs ``serve()``."""
    options: dict[str, Any] = {"http": "h11"}  # bounds a request's head by itself; httptools does not
    if tls is not None:
        watch = IdentityWatch(tls)
        identity = watch.current
        options = {
            "http": PeerCertificateProtocol,
            "ssl_keyfile": str(identity.key_file),
            "ssl_certfile": str(identity.certificate_file),
            "ssl_ca_certs": str(tls.trust_file),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    config = uvicorn.Config(
        Followed(app, metrics=metrics, logged=tls is not None),
        host=listen.host,
        port=listen.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        **options,
    )
    config.load()
    if config.ssl is not None and tls is not None:
        config.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # chains end at the issuing CA in the trust file, not at the root
        _follow(config.ssl, watch)
    return Server(config)


class HttpEndpoint:
    """An HTTP server that other code starts and stops; several may run in one process."""

    def __init__(self, app: ASGIApp, listen: Listen, tls: TlsSettings | None = None, *, metrics: CallMetrics | None = None) -> None:
        self._listen = listen
        self._server = uvicorn_server(app, listen, tls, metrics=metrics)
        # It ends when its service says so, not by a signal of its own: whoever watches wants to see the service drain.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens; CONFIGURATION_INVALID when the port is taken."""
        try:
            listening = socket.create_server((self._listen.host, self._listen.port), backlog=2048)
        except OSError as fault:
            raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {self._listen.target}: {fault.strerror}") from None
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
