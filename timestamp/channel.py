"""What the parent and a worker of the timestamp service say to each other over a socket pair: one JSON object a line.

The parent begins with the worker's order. The worker answers once whether it is ready; then the parent asks and the worker answers, by
number. Either end's close is the other's sign to end.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Final

from sealcore.errors import Code, VermilionError

LINE_LIMIT_BYTES: Final = 4 * 1024 * 1024  # metrics of a worker: some 20 kB

METRICS, TOKEN, STOP = "metrics", "token", "stop"  # what may be asked: for a snapshot; whether a token can be made; to end


def encode(message: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def receive_one(channel: socket.socket) -> dict[str, Any] | None:
    """The first message, blocking; None when the other end is closed. Reads not a byte more."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (byte := channel.recv(1)):
            return None
        line += byte
    return dict(json.loads(line))


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None when the other end is closed."""
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):
        return None
    return dict(json.loads(line)) if line.endswith(b"\n") else None


def fault_as_dict(fault: VermilionError) -> dict[str, str]:
    """A fault that crosses."""
    return {"code": str(fault.code), "reason": fault.reason}


def fault_from(message: dict[str, str]) -> VermilionError:
    """The fault that crossed."""
    return VermilionError(Code(message["code"]), message["reason"])
