"""What is dear to make and many tests need: made once a run, by whichever worker comes first; each takes a copy of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

_NAMES_ITS_FOLDER = ("softhsm2.conf", "token.toml")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name that ``make`` has filled, for all workers of the run. Nobody changes it afterwards."""
    base = factory.getbasetemp()
    kept = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    kept.mkdir(exist_ok=True)
    folder, whole = kept / name, kept / f"{name}.whole"
    with (kept / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # a worker ended in the middle
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


def copied(original: Path, folder: Path) -> Path:
    """The same in another folder, SoftHSM tokens in it as if they had been made there."""
    shutil.copytree(original, folder, dirs_exist_ok=True)
    for path in folder.rglob("*"):
        if path.name in _NAMES_ITS_FOLDER:
            path.write_text(path.read_text("utf-8").replace(str(original), str(folder)), "utf-8")
    return folder
