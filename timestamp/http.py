"""RFC 3161 over HTTP (§3.4): POST a TimeStampReq, get a TimeStampResp. Open to everyone, hence every input is bounded.

Requests for timestamps are answered here, straight from ASGI, or from the front where they come as programs send them (``direct``); all else
goes to a small Starlette application.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.front.direct import Direct, Tell
from sealcore.platform.http import install_errors
from sealcore.platform.log import get as get_log
from sealcore.platform.throttle import Throttled
from timestamp.metrics import GRANTED, WorkerMetrics
from timestamp.request import REQUEST_LIMIT_BYTES, Failure, RefusedError, granted, parse, rejection
from timestamp.stamping import Stamping
from timestamp.template import HASHES
from timestamp.unit import TimestampUnit

QUERY_TYPE: Final = "application/timestamp-query"
REPLY_TYPE: Final = "application/timestamp-reply"
FAULTS_S: Final = 1.0  # between two lines about the same kind of fault
BODY_TIMEOUT_S: Final = 10.0  # for a body that did not arrive together with its headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_QUERY_TYPE: Final = QUERY_TYPE.encode("ascii")
_REPLY_HEADER: Final = (b"content-type", REPLY_TYPE.encode("ascii"))

_EXPLANATION = """\
This is a time-stamping authority (RFC 3161, RFC 5816).

Send a TimeStampReq by POST with the content type {query_type}.
Imprints: {hashes}. Policy: {policy}. Accuracy: {accuracy_ms} ms.

  openssl ts -query -data FILE -sha256 -cert -out request.tsq
  curl -H 'Content-Type: {query_type}' --data-binary @request.tsq {url} -o reply.tsr
  openssl ts -reply -in reply.tsr -text

Unit: {subject}
Serial: {serial:x}, valid until {until:%Y-%m-%dT%H:%M:%SZ}
"""


class _HttpMisusedError(RefusedError):
    """The HTTP request is wrong, whatever its body says."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(Failure.BAD_REQUEST, reason)
        self.status = status


class _GoneError(Exception):
    """The client left before its request was complete."""


class TimestampApp:
    """The HTTP interface of one unit, as an ASGI application."""

    def __init__(self, unit: TimestampUnit, stamping: Stamping, metrics: WorkerMetrics) -> None:
        self._policy_oid = unit.policy_oid
        self._stamping = stamping
        self._metrics = metrics
        self._log = get_log("timestamp")
        self._faults = Throttled(self._log, FAULTS_S)
        self._others = _explaining(unit)
        self._silent_until_s = 0.0
        self.direct = Direct(b"/", _QUERY_TYPE, REQUEST_LIMIT_BYTES, self._take)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/":
            await self._others(scope, receive, send)
            return
        try:
            status, body = await self._answer(scope, receive)
        except _GoneError:
            return
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [_REPLY_HEADER, length]})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Status and TimeStampResp. A rejection is a well-formed answer of the protocol, hence 200, unless HTTP itself was misused."""
        try:
            _require_query_type(scope)
            wanted = parse(await _bounded_body(receive), policy_oid=self._policy_oid)
            began_s = time.perf_counter()
            token = await self._stamping.stamp(wanted)
            self._metrics.seconds.observe(time.perf_counter() - began_s)
        except RefusedError as refusal:
            self._log.debug("refused", failure=refusal.failure.name, reason=refusal.reason)  # strangers must not be able to fill the disk
            return self._refused(refusal, refusal.status if isinstance(refusal, _HttpMisusedError) else 200)
        except VermilionError as fault:
            return self._without_token(fault)
        except _GoneError:
            raise
        except Exception as fault:  # noqa: BLE001  (the border: clients of this protocol understand a PKIFailureInfo, not problem+json)
            self._faults.error("fault", exc_info=fault)
            return self._refused(RefusedError(Failure.SYSTEM_FAILURE, f"{(told := typed(fault)).code}: {told.rule}"), 200)
        return self._granted(token)

    def _take(self, body: bytes, tell: Tell) -> bool:
        """``Direct.take``; what gets no token for its own sake is answered by the usual way, which says why."""
        try:
            wanted = parse(body, policy_oid=self._policy_oid)
            self._stamping.ask(wanted, partial(self._tell, tell, time.perf_counter()))
        except (RefusedError, VermilionError):
            return False
        return True

    def _tell(self, tell: Tell, began_s: float, outcome: bytes | VermilionError) -> None:
        if isinstance(outcome, VermilionError):
            status, answer = self._without_token(outcome)
        else:
            self._metrics.seconds.observe(time.perf_counter() - began_s)
            status, answer = self._granted(outcome)
        tell(status, (_REPLY_HEADER,), answer)

    def _granted(self, token: bytes) -> tuple[int, bytes]:
        self._metrics.requests[GRANTED].inc()
        return 200, granted(token)

    def _without_token(self, fault: VermilionError) -> tuple[int, bytes]:
        self._say_no_timestamp(fault)
        failure = Failure.TIME_NOT_AVAILABLE if fault.code is Code.TIMESTAMP_UNAVAILABLE else Failure.SYSTEM_FAILURE
        return self._refused(RefusedError(failure, f"{fault.code}: {fault.rule}"), 200)

    def _say_no_timestamp(self, fault: VermilionError) -> None:
        """Logs it, at most once a second: strangers decide how often it happens."""
        if (now_s := time.monotonic()) >= self._silent_until_s:
            self._silent_until_s = now_s + 1
            self._log.error("no timestamp", code=str(fault.code), reason=fault.reason)

    def _refused(self, refusal: RefusedError, status: int) -> tuple[int, bytes]:
        self._metrics.requests[refusal.failure.name.lower()].inc()
        return status, rejection(refusal)


def _explaining(unit: TimestampUnit) -> Starlette:
    """Answers whatever is not a request for a timestamp."""

    async def explain(request: Request) -> Response:
        certificate = unit.certificate
        text = _EXPLANATION.format(
            query_type=QUERY_TYPE,
            hashes=", ".join(HASHES),
            policy=unit.policy_oid,
            accuracy_ms=unit.accuracy_ms,
            url=request.url.replace(query=None),
            subject=certificate.subject.rfc4514_string(),
            serial=certificate.serial_number,
            until=certificate.not_valid_after_utc,
        )
        return PlainTextResponse(text)

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    at_root = Route("/", explain, methods=["GET", "POST"])  # POST is answered before, but a 405 has to list it
    app = Starlette(routes=[at_root, Route("/healthz", healthy)])
    install_errors(app)
    return app


def _require_query_type(scope: Scope) -> None:
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if given != _QUERY_TYPE and given.partition(b";")[0].strip().lower() != _QUERY_TYPE:
        raise _HttpMisusedError(415, f"the content type must be {QUERY_TYPE}")


async def _bounded_body(receive: Receive) -> bytes:
    """The body of the request; never holds more than the limit in memory."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                while message.get("more_body") and len(body) <= REQUEST_LIMIT_BYTES:
                    message = await receive()
                    body += message.get("body", b"")
        except TimeoutError:
            raise _HttpMisusedError(408, f"a request is whole within {BODY_TIMEOUT_S:.0f} s") from None
    if message["type"] == "http.disconnect":
        raise _GoneError
    if len(body) > REQUEST_LIMIT_BYTES:
        raise _HttpMisusedError(413, f"a request has at most {REQUEST_LIMIT_BYTES} bytes")
    return body
