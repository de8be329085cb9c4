"""Our programs in a tenth of a second: forked from the run's nursery (``nursery.py``), which has imported what they import.

Each is a process of its own all the same, with its own arguments, standard streams, signals and exit status; its environment and folder
are the nursery's, so those of the first process that asked for it had at its start. The process that a test holds is a stub: to look into the
program's own entry in ``/proc``, start Python itself.

There is one nursery for all workers of a run. It starts with the first program and ends with the run.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.nursery import Nursery, started

_ENVIRONMENT: Final = dict(os.environ)  # before any test changes it
_RUN: Final = "SUITE_RUN"  # PID FOLDER, in the environment of all processes of a run
_STARTED: Final[list[subprocess.Popen[str]]] = []  # by this process, which collects it in the end


def lead() -> None:
    """This process is the one with which the run ends. Others that start with its environment belong to the run."""
    os.environ[_RUN] = f"{os.getpid()} /tmp/vmn-{secrets.token_hex(6)}"


def program(module: str, *arguments: str | Path) -> list[str]:
    """The command that stands for ``python -m MODULE ARGUMENT …``."""
    return [sys.executable, *_nursery().program(module, *map(str, arguments))]


def signer(*arguments: str | Path) -> list[str]:
    """The same for ``python -m signer``, whose workers come from there too."""
    worker = _nursery().program("signer.worker")
    return program("signer with workers", *worker, "--", *arguments)


def vermilion(*arguments: str | Path, folder: Path, environment: dict[str, str]) -> list[str]:
    """The same for the ``vermilion`` command, in a folder and an environment."""
    return program("vermilion", json.dumps([str(folder), environment]), *arguments)


def _nursery() -> Nursery:
    if _RUN not in os.environ:
        lead()
    owner, _, name = os.environ[_RUN].partition(" ")
    folder = Path(name)
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "nursery").exists():
            _STARTED.append(started(folder, "tests.support.nursed", owner=int(owner), environment=_ENVIRONMENT, session=True))
    return Nursery(folder)
