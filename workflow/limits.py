"""How much one request may carry."""

from __future__ import annotations

from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.http import problem

MOST_BODY_BYTES = 16 * 1024 * 1024  # ten thousand documents with long names and marks


class BodyLimit:
    """ASGI middleware: reads a request's body up to the limit and no further, whatever its length header says."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes the request on, its body whole, or answers INVALID_ARGUMENT."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MOST_BODY_BYTES:
                refusal = problem(VermilionError(Code.INVALID_ARGUMENT, f"the request is larger than {MOST_BODY_BYTES} bytes"))
                refusal.headers["Connection"] = "close"
                await refusal(scope, receive, send)
                return
        given = False

        async def once() -> Any:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, once, send)
