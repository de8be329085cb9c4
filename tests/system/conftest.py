"""The whole office, made and run by the commands that a newcomer uses; once for all tests of the group ``office``, on one worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLES, REPOSITORY
from vermilion.operation.launcher import running
from vermilion.state.layout import Layout

PORTS_FROM = 21_000 + os.getpid() % 200 * 40  # apart from other runs on this machine
DEMO_TIMEOUT_S = 600


@dataclass
class Demo:
    """What ``vermilion demo`` left: its folders, what it printed, and every command line seen while it ran."""

    folder: Path
    printed: str = ""
    command_lines: set[str] = field(default_factory=set)

    @property
    def state(self) -> Path:
        return self.folder / "var"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def report(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.out / "demo" / "report.json").read_text("utf-8"))
        return loaded

    @property
    def sealed(self) -> list[Path]:
        """The sealed files."""
        return [self.out / "demo" / one["file"] for one in self.report["results"] if one["outcome"] == "sealed"]


def vermilion(*arguments: str | Path, cwd: Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does."""
    program = Path(sys.executable).parent / "vermilion"
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160"}
    return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False, env=environment)


def run_demo(demo: Demo) -> None:
    """Runs the demo and watches the process list meanwhile."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(demo.command_lines, ended))
    watcher.start()
    arguments = ("demo", "--state", "var", "--out", "out", "--documents", EXAMPLES, "--ports-from", str(PORTS_FROM))
    try:
        done = vermilion(*arguments, cwd=demo.folder, timeout_s=DEMO_TIMEOUT_S)
    finally:
        ended.set()
        watcher.join()
    demo.printed = done.stdout + done.stderr
    assert done.returncode == 0, demo.printed[-4000:]


def _watch(seen: set[str], ended: threading.Event) -> None:
    """Looks 20 times a second at processes younger than half a second, whose program may still change; once a second at all."""
    ages: dict[str, int] = {}
    look = 0
    while not ended.wait(0.05):
        look += 1
        ages = {pid: ages.get(pid, 0) + 1 for pid in os.listdir("/proc") if pid.isdecimal()}  # noqa: PTH208  (a Path for each costs more)
        for pid, age in ages.items():
            if age <= 10 or look % 20 == 0:
                try:
                    seen.add(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
                except OSError:
                    continue


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A finished demo over the project's own examples; its services have ended, its state and results are there."""
    result = Demo(tmp_path_factory.mktemp("office"))
    run_demo(result)
    return result


@dataclass(frozen=True)
class Up:
    """A running office."""

    demo: Demo
    pids: dict[str, int]
    ports: dict[str, int]


@pytest.fixture(scope="session")
def up(demo: Demo) -> Iterator[Up]:
    """The demo's office, started with ``vermilion up``; ended with SIGINT, as Ctrl-C does."""
    program = Path(sys.executable).parent / "vermilion"
    process = subprocess.Popen(
        [program, "up", "--state", "var"], cwd=demo.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:  # it says when to press Ctrl-C once all services are ready
            printed.append(line)
            if "Ctrl-C" in line:
                break
        else:
            raise AssertionError("".join(printed))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        pids = {one.service: one.pid for one in running(Layout.at(demo.state))}
        yield Up(demo, pids, _ports(demo.state))
    finally:  # also where it could not be made: nothing is left running
        process.send_signal(2)
        ended = process.wait(60)
    assert ended == 0
    assert not [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()], "a service outlived `vermilion up`"


def _ports(state: Path) -> dict[str, int]:
    import tomllib

    office = tomllib.loads((state / "vermilion.toml").read_text("utf-8"))
    return {name: int(port) for name, port in office["ports"].items()}


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
