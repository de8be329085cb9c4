"""Starts the services of an office, starts again what ends by itself, and stops all in reverse; touches no process that it did not start.

A service is known by its pid file, which holds the process's start time too: a number used again by a stranger is not ours. What
ended by itself is noted in ``run/NAME.down`` until it is ready again, for ``vermilion doctor``. After too many ends (``restarts``)
a service is left down and the others go on; it is tried again once that note is removed (``vermilion start``).
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, product
from typing import IO, Final

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from vermilion.operation.ports import port_is_free
from vermilion.operation.process import POLL_S, STOP_TIMEOUT_S, Running, record_of
from vermilion.operation.restarts import POLICY, RestartPolicy
from vermilion.operation.signals import ignored
from vermilion.operation.watched import Change, Watched
from vermilion.services import SERVICES, ServiceSpec, start_waves
from vermilion.state.layout import Layout
from vermilion.state.office import Office

WATCH_S: Final = 0.1
RUN_FILES: Final = ("pid", "pid-new", "ready", "said", "down")  # "said" is of earlier releases


def require_ports(office: Office, services: Sequence[ServiceSpec] = SERVICES) -> None:
    """CONFIGURATION_INVALID naming the first port of ours that another program holds."""
    for service in chain.from_iterable(start_waves(services)):
        for port in service.ports_in(office):
            if not port_is_free(port):
                reason = f"port {port} of the service {service.name} is taken by another program; see `vermilion doctor`"
                raise VermilionError(Code.CONFIGURATION_INVALID, reason)


def running(layout: Layout, services: Sequence[ServiceSpec] = SERVICES) -> list[Running]:
    """Which services of this office run now."""
    records = (record_of(layout, service.name) for service in services)
    return [record for record in records if record is not None and record.alive]


def is_held(layout: Layout) -> bool:
    """Whether a launcher serves this office now."""
    try:
        with layout.run("launcher.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except OSError:
        return True


class Launcher:
    """Starts an office, keeps it going, and stops what it started; use it as a context manager.

    Holds a lock on the state folder for as long as it lives, so that two launchers never serve one state.
    """

    def __init__(
        self,
        layout: Layout,
        services: Sequence[ServiceSpec] = SERVICES,
        *,
        clock: Clock | None = None,
        policy: RestartPolicy = POLICY,
    ) -> None:
        self._layout = layout
        self._services = services
        self._clock = clock or SystemClock()
        self._policy = policy
        self._watched: dict[str, Watched] = {}  # in the order of their start
        self._lock: IO[str] | None = None
        self._turn = threading.RLock()  # nothing is started again once all is being stopped

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
        for service, kind in product(self._services, RUN_FILES):
            self._layout.run(f"{service.name}.{kind}").unlink(missing_ok=True)

    def start(self, report: Callable[[str], None] = lambda _name: None) -> None:
        """Starts all services, wave by wave; ``report`` gets the name of each that is ready.

        SERVICE_UNAVAILABLE when one cannot be started, and then all are stopped: what does not begin is mended first.
        """
        try:
            for wave in start_waves(self._services):
                for service in wave:
                    self._begin(service)
                for service in wave:
                    self._await_ready(service.name)
                    report(service.name)
        except BaseException:
            self.stop()
            raise

    def wait(self, stop: Callable[[], bool], report: Callable[[Change], None] = lambda _change: None) -> None:
        """Until ``stop()`` says so, starts again what ends by itself; ``report`` gets what becomes of it.

        SERVICE_UNAVAILABLE when not one service is left that runs or will be tried again.
        """
        while not stop():
            with self._turn:
                changes = [one.look(may_start=self._has_what_it_needs(one)) for one in self._watched.values()]
            for change in filter(None, changes):
                with suppress(OSError):  # a terminal that is gone, a full disk under what it is sent to
                    report(change)
            if self._watched and all(one.given_up for one in self._watched.values()):
                raise VermilionError(Code.SERVICE_UNAVAILABLE, "every service of the office is down, and each ended too often to go on")
            time.sleep(WATCH_S)

    def restart(self, name: str) -> None:
        """Ends one service and starts it again."""
        one = self._watched[name]
        one.stop()
        self._begin(one.service)
        self._await_ready(name)

    def stop(self) -> None:
        """SIGTERM in reverse order, each given its time; then nothing of ours is left. A further Ctrl-C does not cut it short."""
        with ignored(), self._turn, ExitStack() as stopping:
            stopping.callback(self._watched.clear)
            for one in self._watched.values():
                stopping.callback(one.stop)  # whatever becomes of the others
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _begin(self, service: ServiceSpec) -> None:
        one = self._watched.setdefault(service.name, Watched(self._layout, service, self._clock, self._policy))
        one.start()

    def _await_ready(self, name: str) -> None:
        one = self._watched[name]
        while not one.is_ready:
            if (why := one.why_not_ready()) is not None:
                raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the service {name} did not start: it {why}")
            time.sleep(POLL_S)

    def _has_what_it_needs(self, one: Watched) -> bool:
        """What it starts after is ready, or given up: then it says itself what it cannot do without it."""
        needed = (self._watched.get(name) for name in one.service.after)
        return all(other is None or other.is_ready or other.given_up for other in needed)


@contextmanager
def kept_going(launcher: Launcher) -> Iterator[None]:
    """While something else is done in this thread, what ends by itself is started again."""
    enough = threading.Event()
    watch = threading.Thread(target=_watch, args=(launcher, enough), name="launcher")
    watch.start()
    try:
        yield
    finally:
        enough.set()
        watch.join()


def _watch(launcher: Launcher, enough: threading.Event) -> None:
    with suppress(VermilionError):  # nothing is left to watch: whoever needs the services is told so by their silence
        launcher.wait(enough.is_set)


def _end(leftover: Running, clock: Clock) -> None:
    """Ends a process that an earlier launcher of this state started and could not stop, and what it had started."""
    deadline = clock.monotonic_s() + STOP_TIMEOUT_S
    with suppress(ProcessLookupError):
        os.kill(leftover.pid, signal.SIGTERM)
        while leftover.alive:
            if clock.monotonic_s() > deadline:
                os.killpg(leftover.pid, signal.SIGKILL)
            time.sleep(POLL_S)
