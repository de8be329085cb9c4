"""Small file systems that a test fills. Mounting takes root; what needs none stands beside each test that is skipped without."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEBIBYTE = 1024 * 1024


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of that size on ``folder``; gone at the end, whoever still has files open there."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("a small file system is mounted by root alone")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in the folder can be changed, as on a file system whose kernel has found a fault."""
    if os.geteuid() != 0:
        pytest.skip("a folder is made read-only by root alone")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class Hog:
    """A file that takes all the room there is on a disk."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "hog"

    def fill(self) -> None:
        """Nobody can write another byte, until somebody gives up some."""
        with self._file.open("ab", buffering=0) as file:
            for size_bytes in (MEBIBYTE, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size_bytes))
                except OSError as full:
                    assert full.errno == errno.ENOSPC, full

    def leave(self, size_bytes: int) -> None:
        """Gives up so much again."""
        os.truncate(self._file, max(0, self._file.stat().st_size - size_bytes))

    def go(self) -> None:
        """Gives up everything."""
        self._file.unlink()
