"""Starts each service as a process of its own and stops them again in reverse; touches no process that it did not start.

A service is known by its pid file, which holds the process's start time too: a number used again by a stranger is not ours.
Services get their own session, so that Ctrl-C reaches the launcher alone and the end is in order.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from vermilion.operation.ports import port_is_free
from vermilion.operation.programs import environment, last_words
from vermilion.services import SERVICES, ServiceSpec, start_waves
from vermilion.state.layout import Layout
from vermilion.state.office import Office

READY_TIMEOUT_S = 90.0  # a cold start on two busy cores, with room
STOP_TIMEOUT_S = 15.0  # longer than any service's own grace
POLL_S = 0.02


@dataclass(frozen=True)
class Running:
    """A process as its pid file knows it."""

    service: str
    pid: int
    started_ticks: int

    @property
    def alive(self) -> bool:
        """Whether that very process is still there."""
        return _start_ticks(self.pid) == self.started_ticks


def _start_ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks; None when it is gone or has ended unreaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def require_ports(office: Office, services: Sequence[ServiceSpec] = SERVICES) -> None:
    """CONFIGURATION_INVALID naming the first port of ours that another program holds."""
    for service in chain.from_iterable(start_waves(services)):
        for port in service.ports_in(office):
            if not port_is_free(port):
                reason = f"port {port} of the service {service.name} is taken by another program; see `vermilion doctor`"
                raise VermilionError(Code.CONFIGURATION_INVALID, reason)


def running(layout: Layout, services: Sequence[ServiceSpec] = SERVICES) -> list[Running]:
    """Which services of this office run now."""
    found = []
    for service in services:
        try:
            record = Running(service.name, **json.loads(layout.run(f"{service.name}.pid").read_text("ascii")))
        except (OSError, ValueError, TypeError):
            continue
        if record.alive:
            found.append(record)
    return found


class Launcher:
    """Starts an office and stops what it started; use it as a context manager.

    Holds a lock on the state folder for as long as it lives, so that two launchers never serve one state.
    """

    def __init__(self, layout: Layout, services: Sequence[ServiceSpec] = SERVICES, *, clock: Clock | None = None) -> None:
        self._layout = layout
        self._services = services
        self._clock = clock or SystemClock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._begun: dict[str, int] = {}  # where in its log a service's present life begins
        self._lock: IO[str] | None = None

    def __enter__(self) -> Launcher:
        self.acquire()
        return self

    def __exit__(self, *_fault: object) -> None:
        self.stop()

    def acquire(self) -> None:
        """Takes the state folder's lock; CONFLICT when another launcher has it. Ends leftovers of a launcher that was killed."""
        lock = self._layout.run("launcher.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise VermilionError(Code.CONFLICT, "this office is already running, started by another `vermilion up` or `demo`") from None
        self._lock = lock
        for leftover in reversed(running(self._layout, self._services)):
            _end(leftover, self._clock)

    def start(self, report: Callable[[str], None] = lambda _name: None) -> None:
        """Starts all services, wave by wave; ``report`` gets the name of each that is ready. Stops all again when one fails."""
        try:
            for wave in start_waves(self._services):
                for service in wave:
                    self._spawn(service)
                for service in wave:
                    self._await_ready(service)
                    report(service.name)
        except BaseException:
            self.stop()
            raise

    def died(self) -> str | None:
        """The name of a service that has ended by itself, if any."""
        return next((name for name, process in self._processes.items() if process.poll() is not None), None)

    def wait(self, stop: Callable[[], bool]) -> None:
        """Returns when ``stop()`` says so; raises SERVICE_UNAVAILABLE when a service ends by itself."""
        while not stop():
            if (name := self.died()) is not None:
                raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the service {name} ended by itself: {self._last_words(name)}")
            time.sleep(0.2)

    def restart(self, name: str) -> None:
        """Ends one service and starts it again."""
        self._stop_one(name)
        service = next(service for service in self._services if service.name == name)
        self._spawn(service)
        self._await_ready(service)

    def stop(self) -> None:
        """SIGTERM in reverse order, each given its time; then nothing of ours is left. A further Ctrl-C does not cut it short."""
        with _undisturbed():
            for name in reversed(list(self._processes)):
                self._stop_one(name)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _spawn(self, service: ServiceSpec) -> None:
        configuration = self._layout.config(service.name)
        said = self._layout.run(f"{service.name}.said")
        with said.open("wb") as out, self._layout.log(service.name).open("ab") as log:
            self._begun[service.name] = log.seek(0, os.SEEK_END)
            process = subprocess.Popen(
                [sys.executable, "-m", service.module, "--config", configuration],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
                env=environment(),
                cwd=self._layout.state,
            )
        self._processes[service.name] = process
        record = {"pid": process.pid, "started_ticks": _start_ticks(process.pid) or 0}
        self._layout.run(f"{service.name}.pid").write_text(json.dumps(record), "ascii")

    def _await_ready(self, service: ServiceSpec) -> None:
        process, said = self._processes[service.name], self._layout.run(f"{service.name}.said")
        deadline = self._clock.monotonic_s() + READY_TIMEOUT_S
        while b"ready\n" not in said.read_bytes():
            if process.poll() is not None:
                raise VermilionError(
                    Code.SERVICE_UNAVAILABLE, f"the service {service.name} did not start: {self._last_words(service.name)}"
                )
            if self._clock.monotonic_s() > deadline:
                raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the service {service.name} was not ready within {READY_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)

    def _stop_one(self, name: str) -> None:
        process = self._processes.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for suffix in ("pid", "said"):
            self._layout.run(f"{name}.{suffix}").unlink(missing_ok=True)

    def _last_words(self, name: str) -> str:
        """Why a service ended, from what this life of it has logged: earlier ones had reasons of their own."""
        log = self._layout.log(name)
        said = log.read_bytes()[self._begun[name] :] if log.exists() else b""
        code, reason = last_words(said.decode("utf-8", errors="replace"))
        return f"{code}: {reason} (see {log})" if code else f"{reason} (see {log})"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignores the signals that people and supervisors end a program with, where we may (the main thread alone)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(leftover: Running, clock: Clock) -> None:
    """Ends a process that an earlier launcher of this state started and could not stop."""
    deadline = clock.monotonic_s() + STOP_TIMEOUT_S
    os.kill(leftover.pid, signal.SIGTERM)
    while leftover.alive:
        if clock.monotonic_s() > deadline:
            os.kill(leftover.pid, signal.SIGKILL)
        time.sleep(POLL_S)
