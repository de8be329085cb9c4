"""A disk that does not keep its word: fsync and fdatasync fail on demand for files below a folder, in processes started with it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("faulty_sync.c")


class FaultySync:
    """The shim, built into ``work``. It acts on processes that start with ``environment`` and on files below ``folder``."""

    def __init__(self, work: Path, folder: Path) -> None:
        self._library = work / "faulty_sync.so"
        self._control = work / "faulty_sync"
        self._folder = folder.resolve()
        command: list[str | Path] = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", self._library, SOURCE, "-ldl"]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's environment, and what loads the shim."""
        return {
            **os.environ,
            "LD_PRELOAD": str(self._library),
            "FAULTY_SYNC_FOLDER": str(self._folder),
            "FAULTY_SYNC_CONTROL": str(self._control),
        }

    @contextmanager
    def failing(self, error: int = errno.EIO) -> Iterator[None]:
        """Within, every sync of a file there fails with ``error``."""
        beside = self._control.with_suffix(".new")
        beside.write_text(str(error), "ascii")
        beside.replace(self._control)
        try:
            yield
        finally:
            self._control.unlink()

    @property
    def failures(self) -> int:
        """How many calls have failed so far."""
        failed = self._control.with_name(self._control.name + ".failed")
        return failed.stat().st_size if failed.exists() else 0
