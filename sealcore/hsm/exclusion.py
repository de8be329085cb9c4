"""Makes sure that nobody reads a token's content while somebody changes it. Signing does not need this.

SoftHSM lets processes that share a folder see each other's half-written files: with keys being made and destroyed, one
opening in ten failed and listings came back short or nameless, while 125,000 signatures beside it were undisturbed. Even a
login writes (the flags of the token). So opening, making and destroying happen one at a time over all processes; listing and
finding go on side by side, but not beside those. Other HSMs order their calls themselves: there only our own threads make and
destroy one at a time, and our processes log in one at a time, so that each sees whether the PIN was refused to another.

The order is always: first a session (or, for a recovery, all of them), then this lock. So whoever waits for it cannot block its holder.
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
from sealcore.platform.config import TokenSettings

_LOCK_FILE: Final = "token.lock"
_LOOK_AGAIN_S: Final = 0.005  # flock has no timeout, so it is polled; this is short compared with the milliseconds for which it is held


class Exclusion:
    """One token's lock: a file beside softhsm2.conf; for other HSMs the PIN file, for logins alone. Its methods must not be nested.

    HSM_TIMEOUT if it does not become free, HSM_UNAVAILABLE if the file's folder is away.
    """

    def __init__(self, settings: TokenSettings, wait_s: float) -> None:
        self._softhsm = None if settings.softhsm_conf is None else settings.softhsm_conf.parent / _LOCK_FILE
        self._pin_file = settings.pin_file
        self._threads: Final = threading.Lock()
        self._wait_s = wait_s

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While keys are made or destroyed."""
        deadline_s = time.monotonic() + self._wait_s
        # Threads first: flock belongs to the open file, and a process would let its own threads
        # through one by one only by luck.
        if not self._threads.acquire(timeout=self._wait_s):
            raise _busy()
        try:
            with _locked(self._softhsm, fcntl.LOCK_EX, deadline_s):
                yield
        finally:
            self._threads.release()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While keys are looked for."""
        with _locked(self._softhsm, fcntl.LOCK_SH, time.monotonic() + self._wait_s):
            yield

    @contextmanager
    def opening(self) -> Iterator[None]:
        """While the module is started or logged in to."""
        with _locked(self._softhsm or self._pin_file, fcntl.LOCK_EX, time.monotonic() + self._wait_s):
            yield


@contextmanager
def _locked(file: Path | None, how: int, deadline_s: float) -> Iterator[None]:
    if file is None:
        yield
        return
    descriptor = _open(file)
    try:
        _lock(descriptor, how, deadline_s)
        yield
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    try:
        if file.name == _LOCK_FILE:
            # Never deleted: whoever waits for the lock of a deleted file would hold a lock that
            # nobody else sees.
            return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise VermilionError(Code.HSM_UNAVAILABLE, f"the folder of {file.name} is not there, or it cannot be opened") from None


def _lock(descriptor: int, how: int, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise _busy() from None
        time.sleep(_LOOK_AGAIN_S)


def _busy() -> VermilionError:
    return VermilionError(Code.HSM_TIMEOUT, "another process or thread keeps the token to itself")
