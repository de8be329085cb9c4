"""The latest time that a unit has put into a token: genTime never decreases, whichever thread or process of the unit makes the token."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError

_CELL_BYTES: Final = 8  # microseconds since 1970, UTC: one aligned word, so that a killed writer leaves the old or the new value

ReadClock = Callable[[], int]
"""Gives the present in microseconds since 1970, UTC."""


class Latest:
    """Of a unit whose tokens are all made in one process. Threads may share it."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()  # held for the reading of the clock alone, never while the HSM works
        self._time_us = 0

    def advance(self, read_clock: ReadClock, check: Callable[[int], None], most_back_us: int) -> int:
        """The time for the next token, in microseconds: the present, or the latest time where the clock went back by no more than that.

        ``check`` is called with it before it is kept. TIMESTAMP_UNAVAILABLE when the clock went back further.
        """
        with self._lock:
            return self._advance(read_clock, check, most_back_us)

    def close(self) -> None:
        """Gives back what is held."""

    def _advance(self, read_clock: ReadClock, check: Callable[[int], None], most_back_us: int) -> int:
        now_us, latest_us = read_clock(), self._read()
        if now_us < latest_us:
            behind_us = latest_us - now_us
            if behind_us > most_back_us:  # one of the two readings is wrong, and nobody can say which
                reason = f"the clock went back by {behind_us / 1_000_000:.1f} s, more than the accuracy"
                raise VermilionError(Code.TIMESTAMP_UNAVAILABLE, reason)
            now_us = latest_us
        check(now_us)
        self._write(now_us)
        return now_us

    def _read(self) -> int:
        return self._time_us

    def _write(self, time_us: int) -> None:
        self._time_us = time_us


class SharedLatest(Latest):
    """Of a unit that several processes work for: a file of eight bytes, mapped by each; it also outlives them.

    The lock is the kernel's (flock) and ends with the process that holds it. CONFIGURATION_INVALID when the file cannot be had.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._descriptor, 0, _CELL_BYTES)  # never shrinks, and fails here rather than in a token if the disk is full
            self._cell = mmap.mmap(self._descriptor, _CELL_BYTES)
        except OSError as fault:
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
