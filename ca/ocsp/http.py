"""OCSP over HTTP (RFC 6960 appendix A, RFC 5019 §5–6): POST a request, or GET it in base64. Open to everyone.

Whatever comes, what leaves is an OCSPResponse with HTTP status 200: clients of this protocol understand nothing else. (A CONNECT, which
none of them sends, gets 405.)
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from ca.names import IssuerName
from ca.ocsp import answer, question
from ca.ocsp.metrics import OcspMetrics
from ca.ocsp.question import REQUEST_LIMIT_BYTES, Refusal, RefusedError
from ca.ocsp.responder import Reply, Responder
from sealcore.clock import Clock
from sealcore.platform.log import get as get_log
from sealcore.platform.throttle import Throttled

REQUEST_TYPE: Final = "application/ocsp-request"
RESPONSE_TYPE: Final = "application/ocsp-response"
PATH: Final = "/ocsp"
BODY_TIMEOUT_S: Final = 10.0
FAULTS_S: Final = 1.0  # between two lines about the same kind of fault
DISCARDED_BYTES: Final = 1024 * 1024  # of a body that is too long is still taken, so that its sender reads our answer
_NOT_CACHED: Final = {"cache-control": "no-store"}


class _GoneError(Exception):
    """The client left before its request was whole."""


class OcspApp:
    """The HTTP interface, as an ASGI application.

    ``/ocsp`` answers for every CA, ``/ocsp/NAME`` for that one; a GET appends ``/BASE64``.
    """

    def __init__(self, responder: Responder, metrics: OcspMetrics, *, threads: int, clock: Clock) -> None:
        self._responder = responder
        self._metrics = metrics
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ocsp")
        self._log = Throttled(get_log("ocsp"), FAULTS_S)

    def close(self) -> None:
        """Takes nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except _GoneError:
            return
        self._metrics.answers[reply.outcome].inc()
        status, headers, body = self._framed(scope, reply)
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: MutableMapping[str, Any], receive: Any) -> Reply:
        try:
            only, rest = self._route(scope["path"])
            if scope["method"] == "POST":
                der = await _body(scope, receive, rest)
            elif scope["method"] in ("GET", "HEAD"):
                der = question.from_path(rest)
            else:
                raise RefusedError(Refusal.MALFORMED_REQUEST, "requests come by GET or POST")
            asked = question.read(der)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: self._responder.answer(asked, only=only))
        except RefusedError as refused:
            return Reply(answer.refusal(refused.refusal), refused.refusal.name.lower())
        except _GoneError:
            raise
        except Exception as fault:  # noqa: BLE001  (the border)
            self._log.error("fault", exc_info=fault)
            return Reply(answer.refusal(Refusal.INTERNAL_ERROR), Refusal.INTERNAL_ERROR.name.lower())

    def _route(self, path: str) -> tuple[IssuerName | None, str]:
        """The CA that the path names, if any, and what follows. A request in base64 begins with M, as no name does."""
        rest = path.removeprefix(PATH)
        name, slash, tail = rest.removeprefix("/").partition("/")
        return (name, slash + tail) if name in self._responder.names else (None, rest)

    def _framed(self, scope: MutableMapping[str, Any], reply: Reply) -> tuple[int, dict[str, str], bytes]:
        headers = {"content-type": RESPONSE_TYPE, "content-length": str(len(reply.body))}
        if scope["method"] == "CONNECT":  # a 2xx would turn the connection into a tunnel (RFC 9110 §9.3.6)
            return 405, {**headers, "allow": "GET, HEAD, POST"}, reply.body
        if reply.kept is None or scope["method"] == "POST":
            return 200, {**headers, **_NOT_CACHED}, reply.body
        etag = f'"{hashlib.sha256(reply.body).hexdigest()}"'
        left_s = max(0, int((reply.kept.next_update - self._clock.now()).total_seconds()))
        cached = {  # RFC 5019 §6.2
            "cache-control": f"max-age={left_s}, public, no-transform, must-revalidate",
            "etag": etag,
            "last-modified": _http_date(reply.kept.this_update),
            "expires": _http_date(reply.kept.next_update),
        }
        known = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"]
        if etag in (tag.strip() for value in known for tag in value.split(",")):
            return 304, cached, b""
        return 200, {**headers, **cached}, reply.body


async def _body(scope: MutableMapping[str, Any], receive: Any, rest: str) -> bytes:
    """The body of a POST, bounded in length and time."""
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"").decode("latin-1")
    received, taken = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _GoneError
                chunk = message.get("body", b"")
                taken += len(chunk)
                if taken <= REQUEST_LIMIT_BYTES:
                    received += chunk
                if not message.get("more_body") or taken > DISCARDED_BYTES:
                    break
    except TimeoutError:
        raise RefusedError(Refusal.MALFORMED_REQUEST, "the body did not come in time") from None
    if taken > REQUEST_LIMIT_BYTES:
        raise RefusedError(Refusal.MALFORMED_REQUEST, "the request is too long")
    if kind.partition(";")[0].strip().lower() != REQUEST_TYPE or rest.strip("/"):
        raise RefusedError(Refusal.MALFORMED_REQUEST, f"a POST to {PATH} has the content type {REQUEST_TYPE}")
    return bytes(received)


def _http_date(instant: datetime) -> str:
    return format_datetime(instant, usegmt=True)
