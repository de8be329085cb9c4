"""The messages between the parent of the timestamp service and a worker, over a socket pair: one JSON object a line.

The parent first sends the worker's settings. The worker reports once whether it is ready; after that the parent asks and the worker answers,
matched by number. When one end closes the socket, the other ends too.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Final

from sealcore.errors import Code, VermilionError

LINE_LIMIT_BYTES: Final = 4 * 1024 * 1024  # the metrics of a worker take about 20 kB

# The questions: a snapshot of the metrics; whether a token can be made; whether it still does anything; please end.
METRICS, TOKEN, ALIVE, STOP = "metrics", "token", "alive", "stop"


def encode(message: dict[str, Any]) -> bytes:
    """The bytes of a message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def receive_one(channel: socket.socket) -> dict[str, Any] | None:
    """The first message, blocking; None if the other end is closed. Leaves all that follows it unread, for asyncio to read."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (byte := channel.recv(1)):
            return None
        line += byte
    return dict(json.loads(line))


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None if the other end is closed."""
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):
        return None
    return dict(json.loads(line)) if line.endswith(b"\n") else None


def fault_as_dict(fault: VermilionError) -> dict[str, str]:
    """An error, as a message carries it."""
    return {"code": str(fault.code), "reason": fault.reason}


def fault_from(message: dict[str, str]) -> VermilionError:
    """The error that a message carries."""
    return VermilionError(Code(message["code"]), message["reason"])
