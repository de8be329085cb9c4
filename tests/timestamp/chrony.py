"""A real chronyd that follows another, for tests; neither touches the machine's clock."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOON_S = 30.0  # far more than anything here takes on an idle machine
UNPACKED = Path(__file__).parents[2] / ".venv" / "chrony" / "usr"  # by deploy/setup.sh


@dataclass
class Chrony:
    """Two chronyd, neither of which touches the machine's clock (-x): one follows the other."""

    folder: Path
    program: str
    port: int
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def address(self) -> str:
        return str(self.folder / "follower" / "chronyd.sock")

    def start(self, name: str, *settings: str) -> None:
        own = self.folder / name
        own.mkdir(mode=0o700, exist_ok=True)
        lines = [*settings, "cmdport 0", f"bindcmdaddress {own}/chronyd.sock", f"pidfile {own}/pid", f"driftfile {own}/drift"]
        (own / "conf").write_text("\n".join(lines) + "\n")
        with (own / "log").open("ab") as log:
            command: list[str | Path] = [self.program, "-x", "-d", "-u", "root", "-f", own / "conf"]
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def lead(self) -> None:
        self.start("leader", f"port {self.port}", "bindaddress 127.0.0.1", "allow 127.0.0.1", "local stratum 1")

    def follow(self) -> None:
        # Its bound grows by a tenth of a second a second while the leader is silent, so that a test need not wait for hours.
        self.start("follower", f"server 127.0.0.1 port {self.port} iburst minpoll 0 maxpoll 0", "port 0", "maxclockerror 100000")

    def end(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        process.wait(SOON_S)


@pytest.fixture
def chrony(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Chrony]:
    places = os.pathsep.join([os.environ["PATH"], "/usr/sbin", str(UNPACKED / "sbin"), str(UNPACKED / "bin")])
    monkeypatch.setenv("PATH", places)
    program = shutil.which("chronyd")
    assert program is not None, "chronyd is not there: `make setup-test` unpacks it"
    if os.geteuid() != 0:
        pytest.skip("chronyd runs as root alone")
    made = Chrony(tmp_path_factory.mktemp("c"), program, free_port(), {})
    yield made
    for name in list(made.processes):
        made.end(name)
