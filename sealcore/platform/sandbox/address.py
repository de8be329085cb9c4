"""The socket of a sandbox service in the file system. Its path may be longer than the kernel's 107 bytes for such an address."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def dial(path: Path) -> socket.socket | None:
    """A line to whoever listens there; None where nobody does."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.settimeout(0)  # a full queue is an answer: whoever has to wait looks again
    try:
        with _short(path) as name:
            line.connect(name)
    except OSError:
        line.close()
        return None
    return line


def listen(path: Path) -> socket.socket:
    """Listens there, in the place of an earlier process; who may connect is for the listener to say, by who they are. OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        with _short(path) as name:
            listener.bind(name)
        path.chmod(0o666)
        listener.listen()
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
