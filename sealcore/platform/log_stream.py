"""Where log lines go. Writing one never raises and never waits: a log that is full, closed, broken or slow costs its lines, not the work.

A line that cannot be written at once is dropped and counted; readiness and metrics tell how many, and why (``sealcore.platform.observability``).
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from dataclasses import dataclass
from typing import Final

_ATOMIC_BYTES: Final = select.PIPE_BUF  # what poll() says there is room for in a pipe
_LINE_END: Final = b"\n"


@dataclass(frozen=True)
class Lost:
    """What was dropped since the process began: how many lines, why the last one was, and whether lines are being dropped now."""

    lines: int
    why: str
    still: bool

    def __str__(self) -> str:
        now = "log lines are being lost" if self.still else "the log can be written again"
        return f"{now}; {self.lines} lost since the start, the last because: {self.why}"


class LogStream:
    """A text stream over a descriptor, for structlog and ``logging``: each ``write`` is one line, or some. Thread-safe.

    A regular file is written directly. A pipe or a terminal is opened anew without blocking, because the flag on the given descriptor
    would be everyone's who shares it; where that is not permitted, a line is written only while poll() says that there is room.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._given = descriptor
        self._lock = threading.RLock()  # a finaliser may log while a line is being written
        self._opened: tuple[int, int] | None = None  # device and inode of what ``_descriptor`` and ``_socket`` lead to
        self._descriptor = -1
        self._socket: socket.socket | None = None
        self._polled = False
        self._torn = False  # the last line went out in part
        self._lines, self._why, self._failing = 0, "", False

    @property
    def lost(self) -> Lost | None:
        """What was dropped, if anything."""
        return Lost(self._lines, self._why, self._failing) if self._lines else None

    def write(self, text: str) -> int:
        """Writes ``text`` now, or drops it."""
        with self._lock:
            try:
                data = text.encode("utf-8", "backslashreplace")
                self._open()
                self._send(_LINE_END + data if self._torn else data)
                self._failing = False
            except Exception as fault:  # noqa: BLE001  (whatever it is: a log is not worth the work that it tells of)
                self.drop(fault)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def drop(self, fault: BaseException) -> None:
        """Counts a line that could not be made or written."""
        self._lines += 1
        self._why = (isinstance(fault, OSError) and fault.strerror) or type(fault).__name__
        self._failing = True

    def _open(self) -> None:
        """Sees where the descriptor leads now: it may have been pointed elsewhere."""
        there = os.fstat(self._given)
        if self._opened == (there.st_dev, there.st_ino):
            return
        self._close()
        if stat.S_ISSOCK(there.st_mode):
            self._socket = socket.socket(fileno=os.dup(self._given))
        elif not stat.S_ISREG(there.st_mode):
            try:
                how = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._descriptor = os.open(f"/proc/self/fd/{self._given}", how)
            except OSError:  # another account's, or no descriptor left
                self._polled = True
        self._opened = (there.st_dev, there.st_ino)

    def _close(self) -> None:
        self._opened, self._polled, self._torn = None, False, False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                if self._socket is not None:
                    sent = self._socket.send(left, socket.MSG_DONTWAIT)
                elif self._polled:
                    sent = os.write(self._given, left[: self._room()])
                else:
                    sent = os.write(self._descriptor if self._descriptor >= 0 else self._given, left)
                left = left[sent:]
        finally:
            if len(left) != len(data):  # also when only the beginning went out
                self._torn = bool(left)

    def _room(self) -> int:
        poll = select.poll()
        poll.register(self._given, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(None, "whoever reads the log is too slow")
        return _ATOMIC_BYTES
