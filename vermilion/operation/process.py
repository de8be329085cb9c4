"""One life of one service: a process with its pid file, what it said, and why it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sealcore.platform.service import READY_LINE, REPEAT_DOES_HARM, SHORT_OF_SOMETHING
from vermilion.operation import endings
from vermilion.operation.programs import environment
from vermilion.services import ServiceSpec
from vermilion.state.layout import Layout

STOP_TIMEOUT_S: Final = 15.0  # longer than any service's own grace
POLL_S: Final = 0.02
_READY: Final = f"{READY_LINE}\n".encode()
_MOST_SAID: Final = 64 * 1024  # bytes: all that a pipe holds


@dataclass(frozen=True)
class Running:
    """A process as its pid file knows it."""

    service: str
    pid: int
    started_ticks: int

    @property
    def alive(self) -> bool:
        """Whether that very process is still there."""
        return start_ticks(self.pid) == self.started_ticks


def start_ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks; None when it is gone or has ended unreaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def forget(file: Path) -> None:
    """Removes what is true no longer. Where that cannot be done (a file system that went read-only), what is left does no harm: a pid file
    holds the start of its process, and the next life of a service begins with files of its own."""
    with suppress(OSError):
        file.unlink(missing_ok=True)


def serves(layout: Layout, service: str) -> bool:
    """Whether the launcher has heard from the present life of a service that it serves."""
    try:
        return layout.run(f"{service}.ready").exists()
    except OSError:
        return False


def record_of(layout: Layout, service: str) -> Running | None:
    """What the pid file of a service says; None without one. Releases before this one wrote a file, not a link."""
    file = layout.run(f"{service}.pid")
    try:
        return Running(service, **json.loads(str(file.readlink()) if file.is_symlink() else file.read_text("ascii")))
    except (OSError, ValueError, TypeError):
        return None


class ServiceProcess:
    """A process of a service, in a session of its own, so that Ctrl-C reaches the launcher alone. OSError where none can be started.

    It says that it serves through a pipe, and its number stands in a symbolic link: neither takes room on a disk, which may be full.
    """

    def __init__(self, layout: Layout, service: ServiceSpec) -> None:
        self._layout, self._service = layout, service
        self._killed_for_memory = endings.killed_for_memory()
        self._said, self._serves = b"", False
        forget(self._ready_mark)
        reading, telling = os.pipe()
        os.set_blocking(reading, False)
        self._hearing = os.fdopen(reading, "rb", buffering=0)
        try:
            with layout.log(service.name).open("ab") as log:
                self._begun = log.seek(0, os.SEEK_END)
                self._process = subprocess.Popen(
                    [sys.executable, "-m", service.module, "--config", layout.config(service.name)],
                    stdin=subprocess.DEVNULL,
                    stdout=telling,
                    stderr=log,
                    start_new_session=True,
                    env=environment(),
                    cwd=layout.state,
                )
        except BaseException:
            self._hearing.close()
            raise
        finally:
            os.close(telling)
        try:
            self._note()
        except BaseException:
            self.stop(within_s=0)
            raise

    @property
    def _ready_mark(self) -> Path:
        return self._layout.run(f"{self._service.name}.ready")

    @property
    def _pid_file(self) -> Path:
        return self._layout.run(f"{self._service.name}.pid")

    def _note(self) -> None:
        """Whole or not at all: a launcher killed meanwhile must leave no pid file that the next one cannot read."""
        record = asdict(Running(self._service.name, self._process.pid, start_ticks(self._process.pid) or 0))
        del record["service"]
        new = self._pid_file.with_suffix(".pid-new")
        forget(new)
        try:
            new.symlink_to(json.dumps(record))
        except OSError as fault:
            raise OSError(fault.errno, fault.strerror, str(self._pid_file)) from None
        new.replace(self._pid_file)

    @property
    def is_ready(self) -> bool:
        """Whether it has said so. What else it says there is thrown away, so that it never waits for a reader."""
        heard = b"" if self._hearing.closed else self._hearing.read(_MOST_SAID) or b""
        if not self._serves:
            self._said = (self._said + heard)[-_MOST_SAID:]
            self._serves = _READY in self._said
            if self._serves:
                self._said = b""
                with suppress(OSError):  # an empty file, for commands that wait for it
                    self._ready_mark.touch()
        return self._serves

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself. What it had started is ended with it: the next life needs its ports and its token."""
        if self._process.returncode is not None:
            return True
        with suppress(ChildProcessError):  # an interrupt came just as it was waited for
            if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return False
            self._reap()
        self._process.wait()
        return True

    @property
    def cause(self) -> str:
        """Why it has ended, as a predicate (``endings.cause``)."""
        assert self._process.returncode is not None, "it has not ended"
        out_of_memory = endings.killed_for_memory() > self._killed_for_memory
        return endings.cause(self._process.returncode, self._layout.log(self._service.name), self._begun, out_of_memory=out_of_memory)

    @property
    def repeat_does_harm(self) -> bool:
        """Whether it has ended saying that nobody should start it again before somebody mends what it says."""
        return self._process.returncode == REPEAT_DOES_HARM

    @property
    def was_short(self) -> bool:
        """Whether it has ended for want of disk, memory, processes or descriptors: not for any fault of its own."""
        return self._process.returncode == SHORT_OF_SOMETHING

    def stop(self, *, within_s: float = STOP_TIMEOUT_S) -> None:
        """SIGTERM, and after its time SIGKILL; then nothing of it is left."""
        if self.has_ended:
            return
        os.kill(self._process.pid, signal.SIGTERM)
        until_s = time.monotonic() + within_s
        while not self.has_ended:
            if time.monotonic() > until_s:
                os.kill(self._process.pid, signal.SIGKILL)
                self._reap()
            time.sleep(POLL_S)

    def _reap(self) -> None:
        """Its number, and so its group's, is nobody else's until it is waited for; only till then may the group be ended by number."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._hearing.close()
        for file in (self._pid_file, self._ready_mark):
            forget(file)
