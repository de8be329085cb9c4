"""Worker processes forked from their service before it does anything: together they hold in memory once what all of them import.

A service's main program calls ``Prefork.begin`` when it knows how many workers it starts with and has no thread, no database and no
PKCS#11 module; gRPC, which does not survive a fork, is imported afterwards. Each process that it forks waits for the channel to its
service and then runs the program's ``main``, as a spawned one does. Memory is shared only until somebody writes to it; Python and
OpenSSL seed their random numbers anew after a fork.

Workers that replace others are spawned: a process that is kept to fork them would hold alone what all others have written to (26 MB in
the signer), for something that hardly happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, Self

_FAILED: Final = 1

Main = Callable[[Sequence[str]], int]
"""What a worker runs; the last of its arguments is the number of its descriptor."""


class Child:
    """A process that was forked or spawned. ``wait`` or ``ended`` gives back what the system holds for it. Thread-safe."""

    def __init__(self, pid: int, handle: int, reap: Callable[[], int]) -> None:
        self.pid: Final = pid
        self._handle = handle  # a pidfd: unlike the number, it never means another process
        self._reap = reap
        self._status: int | None = None
        self._lock = threading.Lock()

    @classmethod
    def spawn(cls, command: Sequence[str], descriptor: int) -> Self:
        """``python COMMAND … DESCRIPTOR``, which inherits this descriptor."""
        process = subprocess.Popen(
            [sys.executable, *command, str(descriptor)], pass_fds=(descriptor,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            return cls(process.pid, os.pidfd_open(process.pid), process.wait)
        except OSError:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        """Ends it at once; does nothing when it has ended."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._status is None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self, timeout_s: float | None = None) -> int:
        """Its exit status, negative for a signal, as ``subprocess`` has it; TimeoutError when it has not ended by then."""
        if self._status is None and not _readable(self._handle, timeout_s):
            raise TimeoutError(f"process {self.pid} has not ended")
        with self._lock:
            if self._status is None:
                self._status = self._reap()
                os.close(self._handle)
            return self._status

    async def ended(self) -> int:
        """The same on the event loop, however long it takes."""
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        if self._status is None:
            loop.add_reader(self._handle, _settle, readable)
            try:
                await readable
            finally:
                loop.remove_reader(self._handle)
        return self.wait(0)


class Prefork:
    """Forked processes that wait to become workers. Thread-safe; all of them end when their service does."""

    def __init__(self, waiting: list[tuple[socket.socket, Child]]) -> None:
        self._waiting = waiting
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, function: str, *arguments: str, count: int) -> Self:
        """Imports ``module:function``, the ``Main`` of the workers, and forks ``count`` processes from this one, which has no other thread yet.

        ``arguments`` come before the descriptor.
        """
        module, _, name = function.partition(":")
        main: Main = getattr(importlib.import_module(module), name)
        gc.collect()
        gc.freeze()  # a full collection would write to every page, which ends the sharing
        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise RuntimeError("a fork takes no other thread along, but maybe a lock that one holds")
        forked: list[tuple[socket.socket, int]] = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                for end in (ours, *(earlier for earlier, _pid in forked)):  # or else it would not see that its service has ended
                    end.close()
                _wait_and_work(theirs, main, arguments, f"{module.partition('.')[0]}-worker")
            theirs.close()
            forked.append((ours, pid))
        return cls([(control, Child(pid, os.pidfd_open(pid), partial(_collected, pid))) for control, pid in forked])

    def start(self, descriptor: int) -> Child | None:
        """Makes one of them a worker that has this descriptor; None when none is left."""
        with self._lock:
            while self._waiting:
                control, child = self._waiting.pop()
                with control, contextlib.suppress(OSError):  # it was killed meanwhile
                    socket.send_fds(control, [b"work"], [descriptor])
                    return child
                child.kill()
                child.wait()
        return None

    def close(self) -> None:
        """Ends those that nobody needed."""
        with self._lock:
            while self._waiting:
                control, child = self._waiting.pop()
                control.close()
                child.wait()


def _readable(descriptor: int, timeout_s: float | None) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(None if timeout_s is None else 1000 * timeout_s))


def _settle(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _collected(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _wait_and_work(control: socket.socket, main: Main, arguments: Sequence[str], name: str) -> NoReturn:
    """What a forked process does. It never returns to where it was forked."""
    status = _FAILED
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # sent to the whole process group; the service decides when its workers stop
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(null, standard)
        os.close(null)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(name, "ascii")  # how ps and top tell it from its service, whose command line it has
        with control:
            data, descriptors, _flags, _address = socket.recv_fds(control, 16, 1, socket.MSG_CMSG_CLOEXEC)
        status = main([*arguments, str(descriptors[0])]) if data else 0
    except BaseException:  # noqa: BLE001  (told as the interpreter tells it at its end)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
