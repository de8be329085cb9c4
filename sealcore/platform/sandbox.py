"""Hostile documents are read in a process that is made for one document, bounded, and thrown away.

Importing a PDF library costs most of a second, so the work is forked from a *zygote*: a spawned, single-threaded process that has
imported what is needed and has never loaded grpc or PKCS#11 (neither survives a fork). The way of a call:

1. The caller makes a socket pair and hands one end to the zygote.
2. The zygote forks; the child takes its limits (CPU, wall clock, no file writes, no network) before it reads a byte.
3. The child reads the request's parts, takes the limit of memory that goes with their size, runs the one function it was made for, answers,
   and ends.
4. The caller reads the answer. An end without an answer means that a limit was hit.

Requests come from us; answers come from a process that a hostile document may have taken over, so they are plain bytes,
bounded in length and never unpickled.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sealcore.errors import Code, VermilionError

Work = Callable[[list[bytes]], Sequence[bytes]]
"""What the child runs: parts in, parts out. A ``VermilionError`` it raises reaches the caller as such."""

START_TIMEOUT_S = 60.0  # importing on a busy machine
ANSWER_GRACE_S = 5.0  # beyond the wall limit, for a machine that is slow to kill
PARTS_LIMIT = 64
LONGEST_TEXT = 1000  # characters of a reason, which a hostile document may have written
_STARTED, _ANSWER, _REFUSED, _LIMIT, _FAULT = b"S", b"A", b"R", b"L", b"F"
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_FORBIDDEN_EVENTS = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
)


class UnansweredError(VermilionError):
    """DOCUMENT_TOO_COMPLEX of a child that ended without an answer: by a limit of time or memory, or by whoever ends processes."""


class _TooLongError(ValueError):
    """An answer is longer than allowed."""


@dataclass(frozen=True)
class Limits:
    """What one document may cost. Memory is counted on top of what the zygote already holds, so much and so many times the request's size."""

    cpu_s: int = 20
    wall_s: float = 30.0
    memory_bytes: int = 1024 * 1024 * 1024
    memory_per_byte: int = 0
    answer_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.cpu_s < 1 or self.wall_s <= 0 or self.memory_bytes < 1 or self.memory_per_byte < 0 or self.answer_bytes < 1:
            raise ValueError("limits are positive")


class ForkServer:
    """Runs ``module:function`` once per call, each in a process of its own forked from a preloaded zygote.

    Thread-safe; as many children run at once as there are callers. Starts with the first call, ``start`` or ``begin``.
    ``shared`` is the control socket (``begin``) of another process's zygote for the same function with the same limits: several
    processes hand their calls to one, which costs the memory of its imports once. When that one is gone, this process starts its own.
    """

    def __init__(
        self, function: str, *, preload: Sequence[str] = (), limits: Limits | None = None, shared: socket.socket | None = None
    ) -> None:
        self._function = function
        self._preload = tuple(preload)
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None  # None: somebody else's
        self._control = shared
        if shared is not None:
            shared.settimeout(START_TIMEOUT_S)

    def begin(self) -> int:
        """Starts the zygote without waiting for its imports; the descriptor of its control socket, for ``shared`` of other processes."""
        with self._lock:
            if self._control is None or self._ended():
                self._drop()
                self._control = self._spawn()
            return self._control.fileno()

    def start(self) -> None:
        """Starts the zygote and waits until it has imported everything; raises SERVICE_UNAVAILABLE."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """Ends the zygote; calls in progress end by their own limits."""
        with self._lock:
            self._drop()

    def call(self, *parts: bytes) -> list[bytes]:
        """The parts that the function answers.

        Raises what the function raised (a ``VermilionError``); DOCUMENT_TOO_COMPLEX when a limit ended it (``UnansweredError`` where that is no
        more than likely); DOCUMENT_DAMAGED when it failed in an unforeseen way; SERVICE_UNAVAILABLE when the sandbox itself cannot run.
        """
        for attempt in (1, 2):  # a zygote that died between two calls is replaced once
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    handed = self._hand_over(theirs)
                ours.settimeout(self._limits.wall_s + ANSWER_GRACE_S)
                if handed and _receive_exactly(ours, 1) == _STARTED:
                    return _converse(ours, parts, self._limits.answer_bytes)
            if attempt == 1:
                with self._lock:
                    self._drop()
        raise VermilionError(Code.SERVICE_UNAVAILABLE, "the sandbox for documents does not start")

    def _hand_over(self, theirs: socket.socket) -> bool:
        with self._lock:
            try:
                socket.send_fds(self._running(), [b"j"], [theirs.fileno()])
            except OSError:
                return False
        return True

    def _running(self) -> socket.socket:  # the caller holds the lock
        if self._control is not None and not self._ended():
            return self._control
        self._drop()
        self._control = ours = self._spawn()
        if _receive_exactly(ours, 1) != _STARTED:
            self._drop()
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "the sandbox for documents does not start")
        return ours

    def _ended(self) -> bool:
        """Whether our own zygote is gone; that somebody else's is shows when a call is handed over."""
        return self._process is not None and self._process.poll() is not None

    def _spawn(self) -> socket.socket:
        """A zygote that begins its imports, and our end of its control socket, on which it says when they are done."""
        ours, theirs = socket.socketpair()
        limits = self._limits
        settings = {
            "function": self._function,
            "preload": self._preload,
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "memory_bytes": limits.memory_bytes,
            "memory_per_byte": limits.memory_per_byte,
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sealcore.platform.sandbox", str(theirs.fileno()), json.dumps(settings)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        ours.settimeout(START_TIMEOUT_S)
        return ours

    def _drop(self) -> None:  # the caller holds the lock
        if self._control is not None:
            self._control.close()  # the zygote ends at the end of its control socket
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=ANSWER_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _converse(ours: socket.socket, parts: Sequence[bytes], limit_bytes: int) -> list[bytes]:
    reason = "reading the document took more time or memory than one document may take"
    try:
        _send(ours, parts)
        outcome = _receive_exactly(ours, 1)
        answer = _receive(ours, limit_bytes) if outcome in {_ANSWER, _REFUSED, _FAULT} else []
    except _TooLongError:
        raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, "what is to be appended to the document is larger than it may be") from None
    except (OSError, ValueError):
        raise UnansweredError(Code.DOCUMENT_TOO_COMPLEX, reason) from None
    if outcome == _ANSWER:
        return answer
    if outcome == _REFUSED:
        raise _refusal(answer)
    if outcome == _FAULT:
        raise VermilionError(Code.DOCUMENT_DAMAGED, f"the document cannot be read ({b''.join(answer).decode('ascii', 'replace')[:100]})")
    raise (VermilionError if outcome else UnansweredError)(Code.DOCUMENT_TOO_COMPLEX, reason)


def _refusal(answer: list[bytes]) -> VermilionError:
    try:
        told = json.loads(answer[0])
        reason, document, rule = (str(told[key])[:LONGEST_TEXT] if told[key] else None for key in ("reason", "document", "rule"))
        return VermilionError(Code(told["code"]), reason or "no reason is given", document=document, rule=rule)
    except (ValueError, LookupError, TypeError):
        return VermilionError(Code.DOCUMENT_DAMAGED, "the document cannot be read")


def _send(peer: socket.socket, parts: Sequence[bytes]) -> None:
    peer.sendall(struct.pack(">I", len(parts)) + b"".join(struct.pack(">Q", len(part)) for part in parts))
    for part in parts:
        if part:  # who has all it was promised may have answered and gone; even nothing cannot be sent to it then
            peer.sendall(part)


def _receive(peer: socket.socket, limit_bytes: int) -> list[bytes]:
    (count,) = struct.unpack(">I", _receive_exactly(peer, 4) or b"\xff" * 4)
    if count > PARTS_LIMIT:
        raise ValueError("too many parts")
    sizes = [size for (size,) in struct.iter_unpack(">Q", _receive_exactly(peer, 8 * count))]
    if len(sizes) != count:
        raise ValueError("the parts are cut short")
    if sum(sizes) > limit_bytes:
        raise _TooLongError("the parts are larger than allowed")
    parts = [_receive_exactly(peer, size) for size in sizes]
    if [len(part) for part in parts] != sizes:
        raise ValueError("the parts are cut short")
    return parts


def _receive_exactly(peer: socket.socket, size: int) -> bytes:
    """``size`` bytes, or fewer when the other end is gone."""
    buffer = bytearray(size)
    view, received = memoryview(buffer), 0
    while received < size:
        try:
            count = peer.recv_into(view[received:])
        except OSError:
            break
        if count == 0:
            break
        received += count
    view.release()
    return bytes(buffer[:received])


# --- below: what runs in the zygote and its children -------------------------------------------------------------------------


def _zygote(control: socket.socket, settings: dict[str, object]) -> None:
    module, _, name = str(settings["function"]).partition(":")
    preload = settings["preload"]
    assert isinstance(preload, list)
    for each in preload:
        importlib.import_module(each)
    work: Work = getattr(importlib.import_module(module), name)
    _leave_network()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the service, which then closes the control socket
    gc.collect()
    gc.freeze()  # keeps the garbage collector from copying shared pages in each child
    control.sendall(_STARTED)
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        if not message:
            return
        assert threading.active_count() == 1, "a fork takes no other thread along"
        if os.fork() == 0:
            control.close()
            with socket.socket(fileno=descriptors[0]) as peer:
                _child(peer, work, settings)
        os.close(descriptors[0])


def _leave_network() -> None:
    """Moves the zygote into an empty network namespace where the kernel allows it; the audit hook stands in where it does not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _child(peer: socket.socket, work: Work, settings: dict[str, object]) -> NoReturn:
    try:
        held_bytes = _held_bytes()
        _take_limits(int(str(settings["cpu_s"])), float(str(settings["wall_s"])))
        peer.sendall(_STARTED)
        parts = _receive(peer, sys.maxsize)
        own_bytes = int(str(settings["memory_bytes"])) + int(str(settings["memory_per_byte"])) * sum(map(len, parts))
        _limit(resource.RLIMIT_AS, held_bytes + own_bytes)
        outcome, answer = _run(work, parts)
        peer.sendall(outcome)
        _send(peer, answer)
        peer.shutdown(socket.SHUT_WR)
    finally:
        os._exit(0)  # no handlers, no buffers of the zygote's


def _run(work: Work, parts: list[bytes]) -> tuple[bytes, Sequence[bytes]]:
    try:
        return _ANSWER, work(parts)
    except VermilionError as refusal:
        told = {"code": str(refusal.code), "reason": refusal.reason, "document": refusal.document, "rule": refusal.rule}
        return _REFUSED, [json.dumps(told).encode()]
    except (MemoryError, RecursionError):
        return _LIMIT, []
    except Exception as fault:  # noqa: BLE001  (whatever a hostile document provokes ends here)
        return _FAULT, [type(fault).__name__.encode("ascii", "replace")]


def _held_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()


def _limit(limit: int, value: int) -> None:
    resource.setrlimit(limit, (value, value))


def _take_limits(cpu_s: int, wall_s: float) -> None:
    for name in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, wall_s)  # kills by default, inside native code too
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # a hostile document must not fill our logs
    os.close(null)
    for limit, value in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _limit(limit, value)
    sys.addaudithook(_refuse_event)


def _refuse_event(event: str, arguments: tuple[object, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in _FORBIDDEN_EVENTS:
        raise PermissionError(f"{event} is not allowed while a document is read")


def _main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as control:
        _zygote(control, json.loads(sys.argv[2]))


if __name__ == "__main__":
    _main()
