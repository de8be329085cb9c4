"""An error as problem+json (RFC 9457): the body, and a whole answer for requests that no application sees."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

from sealcore.errors import Code, VermilionError

PROBLEM_TYPE: Final = "application/problem+json"


def as_problem(error: VermilionError, status: int) -> dict[str, Any]:
    """The members of the document."""
    return {"type": f"urn:vermilion:error:{error.code}", "title": error.rule, "status": status, "detail": error.reason, **error.as_dict()}


def answer(status: int, error: VermilionError) -> bytes:
    """An HTTP/1.1 response after which the connection ends."""
    body = json.dumps(as_problem(error, status), ensure_ascii=False).encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {PROBLEM_TYPE}", f"content-length: {len(body)}"]
    if error.retry_after_s is not None:
        lines.append(f"retry-after: {error.retry_after_s}")
    return "\r\n".join([*lines, "connection: close", "", ""]).encode("ascii") + body


def _full() -> bytes:
    error = VermilionError(Code.OVERLOADED, "as many connections are open as are let in")
    error.retry_after_s = 1
    return answer(503, error)


FULL: Final = _full()
"""To a connection that is turned away."""
