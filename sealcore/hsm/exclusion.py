"""Keeps others out while a token's content is read or changed. Signing needs none of it.

SoftHSM lets processes that share a folder see each other's half-written files: with keys being made and destroyed, one
opening in ten failed and listings came back short or nameless, while 125,000 signatures beside it were undisturbed. Even a
login writes (the flags of the token). So opening, listing, finding, making and destroying happen one at a time over all
processes.

The order is always: first a session (or, for a recovery, all of them), then this; whoever waits here holds up nobody who has it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError

_LOCK_FILE: Final = "token.lock"
_LOOK_AGAIN_S: Final = 0.005  # flock has no timeout; short beside the milliseconds for which it is held


class Exclusion:
    """One token's lock: a file beside softhsm2.conf; for other HSMs, which order their calls themselves, only among our threads."""

    def __init__(self, softhsm_conf: Path | None, wait_s: float) -> None:
        self._file = None if softhsm_conf is None else softhsm_conf.parent / _LOCK_FILE
        self._threads: Final = threading.Lock()
        self._wait_s = wait_s

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the lock; not to be nested. HSM_TIMEOUT if it does not become free, HSM_UNAVAILABLE if the folder is away."""
        deadline_s = time.monotonic() + self._wait_s
        if not self._threads.acquire(timeout=self._wait_s):
            raise _busy()
        try:
            if self._file is None:
                yield
                return
            descriptor = _open(self._file)
            try:
                _lock(descriptor, deadline_s)
                yield
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        raise VermilionError(Code.HSM_UNAVAILABLE, "the SoftHSM folder of the token is not there, or cannot be written") from None


def _lock(descriptor: int, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise _busy() from None
        time.sleep(_LOOK_AGAIN_S)


def _busy() -> VermilionError:
    return VermilionError(Code.HSM_TIMEOUT, "another process or thread keeps the token to itself")
