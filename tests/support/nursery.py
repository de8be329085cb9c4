"""Starts our services in a tenth of a second: each is forked from a process that has imported its modules and done nothing else.

Two thirds of a service's start is importing Python modules. A nursery is single-threaded and has opened nothing, neither gRPC nor
PKCS#11 nor a database, so a fork of it is as good as a new process. In the place of ``python -m signer`` the harness starts
``stub.py``, which hands its file descriptors to the nursery and ends when the process forked for it ends, in the same way.

The nursery is the parent of what it forks: what ``waitpid`` tells of each end stands in its log, the crash harness's evidence that
kills were kills. It ends when the process that owns it does, however that ends, and nothing outlives it.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
STUB: Final = Path(__file__).with_name("stub.py")
_REQUEST_BYTES: Final = 64 * 1024
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Ended:
    """What ``waitpid`` said of one process. ``signal`` is 0 when it ended by itself."""

    name: str
    pid: int
    signal: int


@dataclass(frozen=True)
class Nursery:
    """A nursery that serves in a folder. A socket's path must be short, and so the folder's."""

    folder: Path

    @property
    def log(self) -> Path:
        """What has ended."""
        return self.folder / "nursery.log"

    def program(self, name: str, *arguments: str) -> tuple[str, ...]:
        """What to tell Python to run, in the place of ``-m MODULE`` or a script."""
        return ("-S", "-E", str(STUB), str(self.folder / "nursery"), name, *arguments)

    def ended(self) -> list[Ended]:
        """Every process that has ended so far."""
        return [Ended(**json.loads(line)) for line in self.log.read_text("utf-8").splitlines()]


def started(folder: Path, module: str, *, owner: int, environment: Mapping[str, str], session: bool) -> subprocess.Popen[str]:
    """Starts one and waits until it serves. ``module`` names what it serves: its ``main(name, arguments)`` runs in each child.

    owner         the pid of the process with which it ends
    environment   its own, and that of all its children
    session       whether it begins a session of its own, which Ctrl-C does not reach. Process groups are within one
    """
    (folder / "nursery.log").touch()
    command = [sys.executable, "-m", __name__, str(folder), module, str(owner)]
    faults = folder / "nursery.err"
    with faults.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=REPOSITORY,
            env=environment,
            start_new_session=session,
        )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == "ready\n", faults.read_text("utf-8")
    return process


@contextlib.contextmanager
def nursery(folder: Path, module: str, *, preload: str = "") -> Iterator[Nursery]:
    """One of our own, with a shared library loaded into all its children.

    An error when it has ended before we end it, since whatever was asked of it since then was in vain.
    """
    folder.mkdir(parents=True, exist_ok=True)
    process = started(folder, module, owner=os.getpid(), environment={**os.environ, "LD_PRELOAD": preload}, session=False)
    try:
        yield Nursery(folder)
    finally:
        status = process.poll()
        process.kill()
        process.wait()
    assert status is None, f"the nursery ended with status {status}: {(folder / 'nursery.err').read_text('utf-8')}"


# --- below: the nursery itself ---------------------------------------------------------------------------------------------------


def _serve(folder: Path, module: str, owner: int) -> None:
    owned = os.pidfd_open(owner)  # readable once that process has ended
    main = importlib.import_module(module).main
    gc.collect()
    gc.freeze()
    waiting = selectors.DefaultSelector()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(str(folder / "nursery"))
    listening.listen(64)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    waiting.register(listening, selectors.EVENT_READ)
    waiting.register(ours, selectors.EVENT_READ)
    waiting.register(owned, selectors.EVENT_READ)
    children: dict[int, tuple[socket.socket, str]] = {}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listening:
                stub, _ = listening.accept()
                request, descriptors = _received(stub)
                if request is None:  # the stub was killed before it could ask
                    stub.close()
                    continue
                assert threading.active_count() == 1, "a fork takes no other thread along"
                pid = os.fork()
                if pid == 0:
                    os.close(owned)
                    _live(main, request, descriptors, [listening, ours, theirs, stub, *(one for one, _ in children.values())])
                for descriptor in descriptors:
                    os.close(descriptor)
                children[pid] = stub, request["name"]
                with contextlib.suppress(OSError):  # it was killed meanwhile: below, its end is read
                    stub.send(str(pid).encode())
                waiting.register(stub, selectors.EVENT_READ, pid)
            elif key.fileobj == owned:
                return
            elif key.fileobj is ours:
                with contextlib.suppress(BlockingIOError):
                    ours.recv(4096)
                _reap(children, waiting, folder / "nursery.log")
            elif key.data in children:  # the stub is gone: whoever killed it meant the process behind it
                waiting.unregister(key.fileobj)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(key.data, signal.SIGKILL)


def _received(stub: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    room = socket.CMSG_LEN(16 * array.array("i").itemsize)
    descriptors = array.array("i")
    try:
        data, ancillary, _flags, _address = stub.recvmsg(_REQUEST_BYTES, room)
    except ConnectionError:
        data, ancillary = b"", []
    if not data:
        return None, []
    for _level, _kind, content in ancillary:
        descriptors.frombytes(content)
    name, *arguments = os.fsdecode(data).split("\0")
    return {"name": name, "arguments": arguments}, list(descriptors)


def _reap(children: dict[int, tuple[socket.socket, str]], waiting: selectors.BaseSelector, log: Path) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        stub, name = children.pop(pid)
        ended = {"name": name, "pid": pid, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(ended) + "\n")
        with contextlib.suppress(KeyError):
            waiting.unregister(stub)
        with contextlib.suppress(OSError):
            stub.send(str(status).encode())
        stub.close()


def _live(main: Any, request: dict[str, Any], descriptors: Sequence[int], others: Sequence[socket.socket]) -> None:
    """The child: takes over what the stub has, and becomes the service."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nothing outlives the nursery
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in others:
            one.close()
        for number in (0, 1, 2):
            os.dup2(descriptors[number], number)
            os.close(descriptors[number])
        arguments = request["arguments"]
        if len(descriptors) > 3:  # the channel of a worker, which the stub knows under another number
            arguments[arguments.index("--channel") + 1] = str(descriptors[3])
        status = main(request["name"], arguments)
    except BaseException:  # noqa: BLE001  (a child never returns into the nursery)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
