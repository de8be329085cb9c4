"""The latest genTime of a timestamp unit. It never decreases, whichever thread or process of the unit issues the next token."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import exhausted

_CELL_BYTES: Final = 8  # microseconds since 1970, UTC: one aligned word, so that a killed writer leaves the old or the new value

ReadClock = Callable[[], int]
"""Returns the current time in microseconds since 1970, UTC."""


class Latest:
    """The latest time of a unit that issues all its tokens from one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()  # held only while the clock is read, never during a call of the HSM
        self._time_us = 0

    def advance(self, read_clock: ReadClock, check: Callable[[int], None], most_back_us: int) -> int:
        """The time for the next token, in microseconds: now, or the latest time if the clock went back by at most ``most_back_us``.

        ``check`` may refuse the time before it is recorded. Raises TIMESTAMP_UNAVAILABLE if the clock went back further.
        """
        with self._lock:
            return self._advance(read_clock, check, most_back_us)

    def close(self) -> None:
        """Releases the file of a shared time; there is none here."""

    def _advance(self, read_clock: ReadClock, check: Callable[[int], None], most_back_us: int) -> int:
        now_us, latest_us = read_clock(), self._read()
        if now_us < latest_us:
            behind_us = latest_us - now_us
            if behind_us > most_back_us:  # one of the two readings is wrong, and there is no telling which
                reason = f"the clock went back by {behind_us / 1_000_000:.1f} s, more than the accuracy"
                raise VermilionError(Code.TIMESTAMP_UNAVAILABLE, reason)
            now_us = latest_us
        # Before it is recorded: a time that is refused must not push the unit's latest time
        # forward.
        check(now_us)
        self._write(now_us)
        return now_us

    def _read(self) -> int:
        return self._time_us

    def _write(self, time_us: int) -> None:
        self._time_us = time_us


class SharedLatest(Latest):
    """The latest time of a unit for which several processes issue tokens: a file of eight bytes, which each of them maps and which outlives them.

    The lock is the kernel's (flock), so it is released even if its holder is killed. Raises CONFIGURATION_INVALID if the file cannot be opened.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(
                self._descriptor, 0, _CELL_BYTES
            )  # never shrinks the file; on a full disk this fails at the start, not while a token is made
            self._cell = mmap.mmap(self._descriptor, _CELL_BYTES)
        except OSError as fault:
            if (short := exhausted(fault)) is not None:
                raise short from None
            raise VermilionError(
                Code.CONFIGURATION_INVALID, f"{file.name}, the unit's latest time, cannot be opened: {fault.strerror}"
            ) from None

    def close(self) -> None:
        self._cell.close()
        os.close(self._descriptor)

    def _advance(self, read_clock: ReadClock, check: Callable[[int], None], most_back_us: int) -> int:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            return super()._advance(read_clock, check, most_back_us)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _read(self) -> int:
        return int.from_bytes(self._cell[:], "little")

    def _write(self, time_us: int) -> None:
        self._cell[:] = time_us.to_bytes(_CELL_BYTES, "little")
