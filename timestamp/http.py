"""RFC 3161 over HTTP (§3.4): POST a TimeStampReq, get a TimeStampResp. Open to everyone, hence every input is bounded."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from sealcore.errors import Code, VermilionError
from sealcore.http import install_errors
from sealcore.log import get as get_log
from timestamp.request import REQUEST_LIMIT_BYTES, Failure, RefusedError, granted, parse, rejection
from timestamp.template import HASHES
from timestamp.unit import TimestampUnit

QUERY_TYPE: Final = "application/timestamp-query"
REPLY_TYPE: Final = "application/timestamp-reply"

_EXPLANATION = """\
This is a time-stamping authority (RFC 3161, RFC 5816).

Send a TimeStampReq by POST with the content type {query_type}.
Imprints: {hashes}. Policy: {policy}.

  openssl ts -query -data FILE -sha256 -cert -out request.tsq
  curl -H 'Content-Type: {query_type}' --data-binary @request.tsq {url} -o reply.tsr
  openssl ts -reply -in reply.tsr -text

Unit: {subject}
Serial: {serial:x}, valid until {until:%Y-%m-%dT%H:%M:%SZ}
"""


def create(unit: TimestampUnit) -> FastAPI:
    """The HTTP interface of one unit."""
    app = FastAPI(title="Vermilion timestamp authority", docs_url=None, redoc_url=None, openapi_url=None)
    install_errors(app)
    log = get_log("timestamp")

    @app.post("/")
    async def stamp(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != QUERY_TYPE:
            return _refused(RefusedError(Failure.BAD_REQUEST, f"the content type must be {QUERY_TYPE}"), status=415)
        body = await _bounded_body(request)
        if body is None:
            return _refused(RefusedError(Failure.BAD_REQUEST, f"a request has at most {REQUEST_LIMIT_BYTES} bytes"), status=413)
        try:
            wanted = parse(body, policy_oid=unit.policy_oid)
            token = await run_in_threadpool(unit.stamp_imprint, wanted.message_imprint, nonce=wanted.nonce, cert_req=wanted.cert_req)
        except RefusedError as refusal:
            log.info("refused", failure=refusal.failure.name, reason=refusal.reason)
            return _refused(refusal)
        except VermilionError as fault:
            log.error("no timestamp", code=str(fault.code), reason=fault.reason)
            failure = Failure.TIME_NOT_AVAILABLE if fault.code is Code.TIMESTAMP_UNAVAILABLE else Failure.SYSTEM_FAILURE
            return _refused(RefusedError(failure, f"{fault.code}: {fault.rule}"))
        except Exception as fault:  # the border: clients of this protocol understand a PKIFailureInfo, not problem+json
            log.error("fault", exc_info=fault)
            return _refused(RefusedError(Failure.SYSTEM_FAILURE, f"{Code.INTERNAL}: an unforeseen fault"))
        return Response(granted(token), media_type=REPLY_TYPE)

    @app.get("/")
    async def explain(request: Request) -> Response:
        certificate = unit.certificate
        text = _EXPLANATION.format(
            query_type=QUERY_TYPE,
            hashes=", ".join(HASHES),
            policy=unit.policy_oid,
            url=request.url.replace(query=None),
            subject=certificate.subject.rfc4514_string(),
            serial=certificate.serial_number,
            until=certificate.not_valid_after_utc,
        )
        return PlainTextResponse(text)

    @app.get("/healthz")
    async def healthy() -> Response:
        return PlainTextResponse("ok\n")

    return app


def _refused(refusal: RefusedError, *, status: int = 200) -> Response:
    """A rejection is a well-formed answer of the protocol, hence 200, unless HTTP itself was misused."""
    return Response(rejection(refusal), status_code=status, media_type=REPLY_TYPE)


async def _bounded_body(request: Request) -> bytes | None:
    """The body, or None when it is larger than any request; never holds more than the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > REQUEST_LIMIT_BYTES:
            return None
    return bytes(body)
