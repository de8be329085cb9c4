"""Room on the disk that a service keeps its state on: new work stops while some is left, and the last of it is kept for stops.

Two lines of defence. Below the *mark* no new work is begun (``require_room``), so that what is under way can still be committed. And since
others write to the same disk (logs, other programs), a *reserve* is held in files of our own: a stop that finds the disk full gives one of
them up and goes on (``for_a_stop``). Once there is room again the reserve is filled up by itself; nothing has to be started anew.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Gauge
from pydantic import Field
from sqlalchemy import make_url

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.config import Block, DatabaseSettings
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import disk_metrics
from sealcore.platform.periodic import NOW, Periodic

MEBIBYTE: Final = 1024 * 1024
PARTS: Final = 4  # of the reserve: so many stops find a disk that somebody else fills again and again
FILL_UP_S: Final = 2.0
_MARK_SHARE, _RESERVE_SHARE = 8, 16  # of a small disk, mark and reserve are this part at most
_FOR_A_STOP_BYTES: Final = MEBIBYTE  # less than this is gone as soon as a stop comes
_PROBE_BYTES: Final = 64 * 1024
_BLOCK_BYTES: Final = 64 * 1024
_T = TypeVar("_T")


class StorageSettings(Block):
    """How much of the disk is not for new work.

    mark_bytes     with less than this free, nothing new is begun: STORAGE_FULL; an eighth of the disk where that is less
    reserve_bytes  held in files for stops, beside the database; a sixteenth of the disk where that is less
    """

    mark_bytes: int = Field(default=64 * MEBIBYTE, ge=0)
    reserve_bytes: int = Field(default=4 * MEBIBYTE, ge=0)


class Storage:
    """The disk of one folder. Thread-safe; ``None`` for a folder stands for a database server, whose disk is watched elsewhere."""

    def __init__(self, folder: Path | None, settings: StorageSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._lock = threading.Lock()
        self._task = Periodic("storage-reserve", self.fill_up, FILL_UP_S, first_s=NOW, failing="the reserve for stops cannot be filled up")
        self._log = get_log("storage")

    @classmethod
    def of(cls, database: DatabaseSettings, settings: StorageSettings) -> Storage:
        """The disk that an SQLite database lies on."""
        url = make_url(database.url)
        return cls(Path(url.database).absolute().parent if url.get_backend_name() == "sqlite" and url.database else None, settings)

    def start(self) -> None:
        """Fills the reserve, and from now on again whenever there is room for it."""
        if self._folder is not None:
            self._task.start()

    def stop(self) -> None:
        """The reserve stays as it is."""
        self._task.stop()

    def require_room(self) -> None:
        """STORAGE_FULL while less is free than new work may count on. Costs one system call."""
        if self._folder is None:
            return
        found = os.statvfs(self._folder)
        free, mark = found.f_bavail * found.f_frsize, self._mark_bytes(found)
        if free < mark:
            raise VermilionError(Code.STORAGE_FULL, self._short(free, mark))

    def check(self) -> None:
        """For readiness: STORAGE_FULL below the mark, or when a file cannot be written (a quota is not seen otherwise)."""
        if self._folder is None:
            return
        self.require_room()
        try:
            with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
                _fill(file.fileno(), _PROBE_BYTES)
        except OSError as fault:
            raise durable.unusable(fault, self._folder) from None

    def for_a_stop(self, work: Callable[[], _T]) -> _T:
        """Does ``work``, which ends in one transaction; while it finds the disk full, a part of the reserve is given up for it."""
        while True:
            try:
                return work()
            except VermilionError as fault:
                if fault.code is not Code.STORAGE_FULL or not self._give_up_a_part():
                    raise

    def fill_up(self) -> None:
        """Makes what is missing of the reserve, as far as the mark leaves room for it."""
        if self._folder is None:
            return
        with self._lock:
            found = os.statvfs(self._folder)
            part_bytes = min(self._settings.reserve_bytes, found.f_blocks * found.f_frsize // _RESERVE_SHARE) // PARTS
            free, mark = found.f_bavail * found.f_frsize, self._mark_bytes(found)
            for part in self._parts():
                if _held_bytes(part) >= part_bytes or free - part_bytes < mark:
                    continue
                self._make(part, part_bytes)
                free -= part_bytes

    def measure(self, registry: CollectorRegistry) -> None:
        """Metrics: free bytes of the disk, the mark, and what is there of the reserve."""
        if self._folder is None:
            return
        folder = self._folder
        disk_metrics(registry, folder)
        mark = Gauge("vermilion_storage_mark_bytes", "Free bytes below which no new work is begun", registry=registry)
        mark.set_function(lambda: self._mark_bytes(os.statvfs(folder)))
        reserve = Gauge("vermilion_storage_reserve_bytes", "Bytes held back for stops, given up when the disk is full", registry=registry)
        reserve.set_function(lambda: sum(map(_held_bytes, self._parts())))

    def _short(self, free: int, mark: int) -> str:
        """What is short, and whether a stop finds room all the same."""
        if free < _FOR_A_STOP_BYTES and not any(map(_held_bytes, self._parts())):
            return f"{_mib(free)} are free and the reserve for stops is used up: a stop may be refused; free space now, or end the service"
        return f"{_mib(free)} are free on the disk, {_mib(mark)} are kept back: stops go on, nothing new is begun"

    def _mark_bytes(self, found: os.statvfs_result) -> int:
        return min(self._settings.mark_bytes, found.f_blocks * found.f_frsize // _MARK_SHARE)

    def _parts(self) -> list[Path]:
        assert self._folder is not None
        return [self._folder / f".reserve-for-stops.{number}" for number in range(PARTS)]

    def _make(self, part: Path, size_bytes: int) -> None:
        """Random bytes: what a file system compresses, or keeps as a hole, reserves nothing."""
        draft = part.with_suffix(".draft")
        try:
            draft.unlink(missing_ok=True)  # never written through a link that lies there
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _fill(descriptor, size_bytes)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.rename(part)
        except OSError as fault:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise durable.unusable(fault, part) from None

    def _give_up_a_part(self) -> bool:
        if self._folder is None:
            return False
        with self._lock:
            given_up = any(map(_given_up, self._parts()))  # the first that can be
        if given_up:
            self._log.error("the disk is full: a part of the reserve is given up for a stop", way_out="Free disk space.")
        return given_up


def _held_bytes(part: Path) -> int:
    """What removing it would free: nothing of a file that was shrunk, has another name too (a copy by hard links), or was replaced."""
    try:
        found = part.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0


def _given_up(part: Path) -> bool:
    """Whether removing it has freed something."""
    if not _held_bytes(part):
        return False
    try:
        part.unlink()
    except OSError:  # the file system went read-only: the work's own fault says more
        return False
    return True


def _fill(descriptor: int, size_bytes: int) -> None:
    left = size_bytes
    while left > 0:
        left -= os.write(descriptor, os.urandom(min(left, _BLOCK_BYTES)))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MEBIBYTE:.1f} MiB"


NOT_WATCHED: Final = Storage(None, StorageSettings())  # of a ceremony, which runs once and is watched by a person
