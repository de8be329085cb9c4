"""Where a process is to end: one small table in shared memory that every process of the office looks at after each of its steps.

    points = Failpoints.create(folder / "failpoints")
    points.arm("signer", "worker", "commit: uses ended", times=3)    # whoever takes this step for the third time from now is killed
    points.fired("signer")                                           # the pid, once it has happened

In a process: ``build(…, reached=Failpoints(path).of("worker"))``. The table is also the office's wall clock (``sealcore.clock.Clock``).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

SLOTS: Final = ("signer", "ledger")  # what may be armed at the same time
_NAME_BYTES: Final = 64
_LOOK_S: Final = 0.005


class Act(IntEnum):
    """What happens to the process that comes to its failpoint. No handler runs and nothing is flushed."""

    KILL = 1  # itself alone
    KILL_ALL = 2  # the signer whole: front, workers, sandboxes, as by a power failure
    FREEZE = 3  # SIGSTOP: it may wake long after others have gone on
    HOLD = 4  # only the thread that took the step, until ``disarm``: the process still answers


class _Slot(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("armed", "left", "act", "pid")),
        ("role", ctypes.c_char * _NAME_BYTES),
        ("step", ctypes.c_char * _NAME_BYTES),
    )


class _State(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("front", "log", "clock_ahead_us", "stillborn")),
        ("slots", _Slot * len(SLOTS)),
    )


class Failpoints:
    """The table, as every process sees it. Armed by the controller alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), ctypes.sizeof(_State))
        self._state = _State.from_buffer(self._memory)
        self._threads = threading.Lock()

    @classmethod
    def create(cls, path: Path) -> Failpoints:
        """A new one with nothing armed."""
        path.write_bytes(bytes(ctypes.sizeof(_State)))
        return cls(path)

    # --- the controller

    def arm(self, slot: str, role: str, step: str, *, times: int = 1, act: Act = Act.KILL) -> None:
        """From now on; in the place of what was armed in this slot before."""
        row = self._row(slot)
        row.armed = 0
        row.left, row.act, row.pid = times, act, 0
        row.role, row.step = role.encode(), step.encode()
        row.armed = 1

    def disarm(self, slot: str) -> None:
        """Nothing happens any more, and who is held goes on."""
        self._row(slot).armed = self._row(slot).act = 0

    def fired(self, slot: str) -> int | None:
        """The process that came to its failpoint since ``arm``; None as long as none did."""
        return int(self._row(slot).pid) or None

    @property
    def front(self) -> int:
        """The front that started last, which leads the signer's process group."""
        return int(self._state.front)

    @property
    def log(self) -> int:
        """The log process that started last."""
        return int(self._state.log)

    def set_clock(self, ahead_s: float) -> None:
        """From now on the wall clock of front and workers shows so many seconds more (or less) than the machine's."""
        self._state.clock_ahead_us = round(ahead_s * 1_000_000)

    def let_die_at_start(self, count: int) -> None:
        """So many workers will be killed at their start."""
        self._state.stillborn = count

    # --- the processes

    def now(self) -> datetime:
        """The wall clock of this office."""
        return datetime.now(UTC) + timedelta(microseconds=int(self._state.clock_ahead_us))

    def monotonic_s(self) -> float:
        """As the machine's: no jump moves it."""
        return time.monotonic()

    def be_born(self) -> None:
        """A worker's first step."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        dies = self._state.stillborn > 0
        self._state.stillborn -= dies
        fcntl.flock(self._file, fcntl.LOCK_UN)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    def lead(self) -> None:
        """This process is the front: it leads a group of its own, which its workers join."""
        os.setpgid(0, 0)
        self._state.front = os.getpid()

    def keep_log(self) -> None:
        """This process is the log's."""
        self._state.log = os.getpid()

    def follow(self) -> None:
        """This process belongs to the front's group."""
        os.setpgid(0, self.front)

    def of(self, role: str) -> Callable[[str], None]:
        """The hook for a process of this role."""
        here = role.encode()

        def reached(step: str) -> None:
            for row in self._state.slots:
                if row.armed and row.role == here and row.step == step.encode():
                    self._count(row)

        return reached

    def _count(self, row: Any) -> None:
        with self._threads, self._alone():  # flock keeps processes apart, not threads
            if not row.armed:
                return
            row.left -= 1
            if row.left > 0:
                return
            row.armed, row.pid = 0, os.getpid()
        if row.act == Act.KILL_ALL:
            os.killpg(self.front, signal.SIGKILL)
        if row.act == Act.FREEZE:
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # to this thread: sent to the process, it would run on for a moment
        elif row.act == Act.HOLD:
            while not row.armed and row.act == Act.HOLD:
                time.sleep(_LOOK_S)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process counts meanwhile; a document's has no descriptor left to keep others away with, and there is one at a time."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _row(self, slot: str) -> Any:
        return self._state.slots[SLOTS.index(slot)]
