"""A real office in a folder of the test session, made and started once for all test workers, stopped by the last of them."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import programs
from vermilion.operation.launcher import running
from vermilion.planning.examples import DEMO
from vermilion.state.layout import Layout
from vermilion.state.office import Office

ONE_AT_A_TIME = pytest.mark.xdist_group("ceremonies of the shared office")  # a second one beside it would be refused: CONFLICT
OFFICIAL_SEAL = pytest.mark.xdist_group("official seal")  # some of them suspend it or change it
APPROVERS = pytest.mark.xdist_group("approvers")  # one of them adds one for a while
READY_S = 240.0
STOP_S = 90.0
COMMAND_S = 280.0


def vermilion(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a person does, in a process of its own; a nursery has its imports ready."""
    told = {**os.environ, "COLUMNS": "140", "PYTHONSAFEPATH": "1", **environment}
    return subprocess.run(
        programs.vermilion(*arguments, folder=cwd or Path.cwd(), environment=told),
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


@dataclass(frozen=True)
class RunningOffice:
    """The office; its state may be changed by tests only in ways that the others do not notice."""

    layout: Layout
    office: Office

    def run(self, *arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command on this office."""
        return vermilion(*arguments, "--state", self.layout.state, cwd=cwd, **environment)

    def json(self, *arguments: str | Path) -> Any:
        """What a command prints for programs; it must have ended well."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def shared_office(folder: Path, plan: Path = DEMO) -> Iterator[RunningOffice]:
    """The office in ``folder``: whoever comes first makes it, unless it is there, and starts it; whoever leaves last stops it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _counted(folder) as users:
        if users == 0:
            _start(folder, plan)
    try:
        layout = Layout.at(folder / "var")
        yield RunningOffice(layout, Office.load(layout))
    finally:
        with _counted(folder, leaving=True) as users:
            if users == 0:
                _stop(folder)


@contextmanager
def _counted(folder: Path, *, leaving: bool = False) -> Iterator[int]:
    """Under a lock: the number of other users. A start that fails is not counted."""
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        users = int(lock.read() or 0) - leaving
        yield users
        lock.truncate(0)
        lock.write(str(users if leaving else users + 1))
        lock.flush()


def _start(folder: Path, plan: Path) -> None:
    first_port = random.randrange(20_000, 31_000, 20)
    new = () if Layout.at(folder / "var").office_file.exists() else ("--plan", plan)
    made = vermilion("init", *new, "--state", folder / "var", "--ports-from", str(first_port))
    assert made.returncode == 0, made.stderr
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from vermilion.cli import main; main()",
                "up",
                "--state",
                folder / "var",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"},
        )
    (folder / "up.pid").write_text(str(process.pid))
    deadline = time.monotonic() + READY_S
    while "Ctrl-C" not in (folder / "up.log").read_text("utf-8"):
        assert process.poll() is None, (folder / "up.log").read_text("utf-8")
        assert time.monotonic() < deadline, (folder / "up.log").read_text("utf-8")
        time.sleep(0.1)


def _stop(folder: Path) -> None:
    pid = int((folder / "up.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while _alive(pid):
        assert time.monotonic() < deadline, "the office does not stop"
        time.sleep(0.1)
    assert running(Layout.at(folder / "var")) == [], "the office left processes behind"


def _alive(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    if fields[0] == "Z":  # ended; only the worker that started it can collect it
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return False
    return True
