"""How much one request may carry, and one caller: the gate before the application."""

from __future__ import annotations

from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.platform.front.protocol import PEER_SCOPE_KEY
from sealcore.platform.http import problem
from sealcore.platform.peer import peer_of_pem
from workflow.web.quota import Call, Quotas

MOST_BODY_BYTES = 16 * 1024 * 1024  # ten thousand documents with long names and marks
FORMS_PATH = "/v1/forms"


class Admission:
    """ASGI middleware: reads a request's body up to the limits and no further, whatever its length header says; then callers take turns."""

    def __init__(self, app: Any, quotas: Quotas) -> None:
        self._app, self._quotas = app, quotas

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes the request on, its body whole, when it is the caller's turn; or answers INVALID_ARGUMENT, QUOTA_EXCEEDED, OVERLOADED."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def answer(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            with self._quotas.call(_caller(scope)) as call:
                if (body := await _body(scope, receive, call)) is not None:
                    async with call.worked_on():
                        await self._app(scope, _once(body, receive), answer)
        except VermilionError as refused:
            # The answer's head is out already; a second one would land inside its body.
            if begun:
                raise
            refusal = problem(refused)
            # The rest of the body was not read, and must not be taken for the next request.
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)


def _caller(scope: Any) -> str:
    """Whose share it is: the certificate's URI, in whatever standing; who may do what is judged by each route."""
    pem = scope.get(PEER_SCOPE_KEY)
    try:
        return peer_of_pem(pem).uri if pem is not None else ""
    except VermilionError:
        return ""


async def _body(scope: Any, receive: Any, call: Call) -> bytes | None:
    """The whole body; None when the caller went away."""
    if scope["method"] in ("GET", "HEAD"):
        return b""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        if len(body) + len(part) > MOST_BODY_BYTES:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the request is larger than {MOST_BODY_BYTES} bytes")
        call.take(len(part))
        body += part
        more = message.get("more_body", False)
    # Counted only now, when the form's size is known.
    if scope["method"] == "POST" and scope["path"] == FORMS_PATH:
        call.form()
    return bytes(body)


def _once(body: bytes, receive: Any) -> Any:
    given = False

    async def once() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
