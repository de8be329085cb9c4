"""What processes cost: CPU seconds and memory, of a service with all that it started."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

SAMPLE_S = 0.02
KIBIBYTE = 1024


def cpu_seconds(pid: int) -> dict[str, float]:
    """CPU seconds of a process and its descendants, by their part: ``front``, ``workers``, ``sandboxes``. Reaped ones count for their parent."""
    spent: dict[str, float] = {}
    for process in _family(pid):
        with suppress(psutil.Error):
            times = process.cpu_times()
            part = _part(process, pid)
            total = times.user + times.system + times.children_user + times.children_system
            spent[part] = spent.get(part, 0.0) + total
    return spent


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """``after`` minus ``before``, name by name."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def memory_bytes(*pids: int) -> int:
    """What processes and their descendants hold: their proportional share of mapped memory, and every memfd of theirs once.

    A memfd's pages count by its size on its own and not by who has it mapped, because one that nobody maps would be missed.
    """
    private, files = 0, dict[int, int]()
    for process in (each for pid in pids for each in _family(pid)):
        with suppress(OSError, psutil.Error):
            private += _private_bytes(process.pid)
            files.update(_memfds(process.pid))
    return private + sum(files.values())


def count(pid: int) -> int:
    """How many processes: this one and its descendants."""
    return len(_family(pid))


def _family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _part(process: psutil.Process, front: int) -> str:
    if process.pid == front:
        return "front"
    is_worker = process.name() == "signer-worker" or "signer.worker" in process.cmdline()  # forked, or spawned to replace one
    return "workers" if is_worker else "sandboxes"


def _private_bytes(pid: int) -> int:
    """PSS without shared memory (proc(5), smaps_rollup)."""
    values = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]:
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * KIBIBYTE
    return values["Pss"] - values.get("Pss_Shmem", 0)


def _memfds(pid: int) -> dict[int, int]:
    """Bytes in memory of each memfd that is open, by its inode."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if str(entry.readlink()).startswith("/memfd:"):
                state = entry.stat()
                found[state.st_ino] = state.st_blocks * 512
    return found


class MemoryPeak:
    """Watches the memory of process families while the ``with`` block runs; ``peak_bytes`` is the most that was seen."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before_bytes = self.peak_bytes = memory_bytes(*pids)

    def __enter__(self) -> MemoryPeak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, memory_bytes(*self._pids))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
