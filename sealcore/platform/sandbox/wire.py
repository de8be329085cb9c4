"""What goes through the socket between a caller and the child that works for it: a few single bytes, and parts with their lengths ahead."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Final

PARTS_LIMIT: Final = 64
_CHUNK_BYTES: Final = 1024 * 1024
STARTED, ANSWER, REFUSED, LIMIT, FAULT, BUSY = b"S", b"A", b"R", b"L", b"F", b"B"


class TooLongError(ValueError):
    """The parts are longer than allowed."""


def send(peer: socket.socket, parts: Sequence[bytes]) -> None:
    """OSError when the other end is gone."""
    peer.sendall(struct.pack(">I", len(parts)) + b"".join(struct.pack(">Q", len(part)) for part in parts))
    for part in parts:
        if part:  # who has all it was promised may have answered and gone; even nothing cannot be sent to it then
            peer.sendall(part)


def receive(peer: socket.socket, limit_bytes: int) -> list[bytes]:
    """ValueError for what is no sequence of parts, or cut short."""
    (count,) = struct.unpack(">I", _whole(peer, 4))
    if count > PARTS_LIMIT:
        raise ValueError("too many parts")
    sizes = [size for (size,) in struct.iter_unpack(">Q", _whole(peer, 8 * count))]
    if sum(sizes) > limit_bytes:
        raise TooLongError("the parts are larger than allowed")
    return [_whole(peer, size) for size in sizes]


def _whole(peer: socket.socket, size: int) -> bytes:
    received = receive_exactly(peer, size)
    if len(received) < size:
        raise ValueError("the parts are cut short")
    return received


def receive_exactly(peer: socket.socket, size: int) -> bytes:
    """``size`` bytes, or fewer when the other end is gone. Takes no memory for what is only announced."""
    chunks: list[bytes] = []
    while size:
        try:
            chunk = peer.recv(min(size, _CHUNK_BYTES))
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
