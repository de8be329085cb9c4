"""The process that children are forked from: it imports, forks, and ends those whose time is over or whose caller is gone.

It reads nothing that strangers wrote, and none of what a caller sends to a child. Callers ask on lines, which are sockets that keep the
bounds of messages: a message is the name of a function, with one end of the conversation that the child is to have.
"""

from __future__ import annotations

import contextlib
import encodings
import gc
import importlib
import os
import pkgutil
import resource
import select
import signal
import socket
import stat
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sealcore.platform.log import get as get_log
from sealcore.platform.sandbox import child, memory, wire
from sealcore.platform.sandbox.job import PING, Job, Limits, Work
from sealcore.platform.walls import READABLE, Walls

NAME_BYTES: Final = 200
MOST_LINES: Final = 600  # of a role: two for each process of a service, of which there are up to 300
PINGS: Final = 4
LOOK_S: Final = 0.05
WARN_EVERY_S: Final = 10.0
GRACE_S: Final = 1.0  # beyond a child's own alarm
_OTHER_SYSTEMS: Final = frozenset({"mbcs", "oem"})  # encodings
_HANG_UP: Final = 0  # which epoll reports unasked
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred


@dataclass(frozen=True)
class Role:
    """Who asks for what.

    functions  of the jobs that it may ask for
    at_once    children of it at one time; further ones wait their turn
    waiting    how many may wait; beyond, the answer is that we are busy
    """

    functions: frozenset[str]
    at_once: int
    waiting: int

    def __post_init__(self) -> None:
        if self.at_once < 1 or self.waiting < 0:
            raise ValueError("a role has at least one child")


@dataclass(eq=False)
class Lane:
    """The children of a role, and who waits to become one."""

    role: Role
    lines: int = 0
    running: int = 0
    waiting: deque[_Asked] = field(default_factory=deque)


@dataclass(frozen=True, eq=False)
class _Asked:
    """``peer`` is the child's end of the conversation, by which the caller's end is seen to close."""

    lane: Lane
    function: str
    peer: socket.socket


@dataclass(frozen=True, eq=False)
class _Child:
    asked: _Asked
    pid: int
    process: int  # its descriptor (pidfd_open(2))
    until_s: float


class Zygote:
    """Forks a process for each thing that is asked; of one thread, since a fork takes no other along.

    jobs  what may be asked for; imported here. SERVICE_UNAVAILABLE where the kernel has no walls
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._works: dict[str, tuple[Work, Limits]] = {job.function: (job.load(), job.limits) for job in (*jobs, PING)}
        self._pings = Lane(Role(frozenset({PING.function}), PINGS, PINGS))  # which need not wait behind documents
        load_encodings()
        gc.collect()
        gc.freeze()  # keeps the garbage collector from copying shared pages in each child
        self._filling = memory.fill_holes()
        memory.gather()
        self._walls = Walls.prepare(READABLE)
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._children: set[_Child] = set()
        self._warned_s = -WARN_EVERY_S
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir("/")

    def watch(self, descriptor: int, handler: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Calls ``handler`` whenever there is something to read, or the other end is gone."""
        self._poll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """The inverse of ``watch``, before the descriptor is closed."""
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def serve(self, ended: Callable[[], bool]) -> None:
        """Until ``ended`` says so; then ends the children."""
        assert threading.active_count() == 1
        try:
            while not ended():
                until_s = min((each.until_s for each in self._children), default=None)
                for descriptor, _events in self._poll.poll(None if until_s is None else max(0.0, until_s - time.monotonic()), 1):
                    self._handlers[descriptor]()  # one at a time: it may close others, whose numbers are given anew
                for each in [each for each in self._children if each.until_s <= time.monotonic()]:
                    _kill(each)
        finally:
            for each in list(self._children):
                _kill(each)
                self._end(each)

    def take_lines(self, listener: socket.socket, role: Role, may_call: Callable[[int], bool]) -> None:
        """From now on, from whoever connects there and may call, by the number of the account."""
        lane = Lane(role)
        self.watch(listener.fileno(), lambda: self._accept(listener, lane, may_call))

    def _accept(self, listener: socket.socket, lane: Lane, may_call: Callable[[int], bool]) -> None:
        try:
            line, _address = listener.accept()
        except OSError:  # it is gone again, or no more descriptors are to be had, which is not to keep us busy
            time.sleep(LOOK_S)
            return
        _pid, account, _group = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if lane.lines >= MOST_LINES or not may_call(account):
            self._warn("a line is refused", account=account, lines=lane.lines)
            line.close()
            return
        lane.lines += 1
        line.setblocking(False)
        self.watch(line.fileno(), lambda: self._listen(line, lane))

    def _listen(self, line: socket.socket, lane: Lane) -> None:
        if not self.read_line(line, lane):
            lane.lines -= 1
            self.forget(line.fileno())
            line.close()

    def read_line(self, line: socket.socket, lane: Lane) -> bool:
        """The next thing that is asked for on a line; False when nobody is there to ask any more."""
        try:
            message, descriptors, _flags, _address = socket.recv_fds(line, NAME_BYTES, 1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        function = message.decode("utf-8", "replace")
        for descriptor in descriptors:
            peer = _conversation(descriptor)
            if peer is not None:
                self._ask(_Asked(self._pings if function == PING.function else lane, function, peer))
        return bool(message)

    def _ask(self, asked: _Asked) -> None:
        lane = asked.lane
        if asked.function not in lane.role.functions or asked.function not in self._works:
            asked.peer.close()
        elif lane.running < lane.role.at_once:
            self._start(asked)
        elif len(lane.waiting) < lane.role.waiting:
            lane.waiting.append(asked)
            self.watch(asked.peer.fileno(), lambda: self._drop(asked), _HANG_UP)
        else:
            _busy(asked)

    def _start(self, asked: _Asked) -> None:
        own, (work, limits) = os.getpid(), self._works[asked.function]
        try:
            reserved = os.dup(self._walls.null)  # the place of the child's descriptor: without one, there is no child
            try:
                pid = os.fork()
            finally:
                os.close(reserved)
        except OSError:  # no more descriptors, processes or memory
            _busy(asked)
            return
        if pid == 0:
            child.run(asked.peer, work, limits, self._walls, own)
        try:
            process = os.pidfd_open(pid)
        except OSError:  # another process has taken the system's last one
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            asked.peer.close()
            return
        begun = _Child(asked, pid, process, time.monotonic() + limits.wall_s + GRACE_S)
        self._children.add(begun)
        asked.lane.running += 1
        self.watch(begun.process, lambda: self._end(begun))
        self.watch(asked.peer.fileno(), lambda: self._abandon(begun), _HANG_UP)

    def _warn(self, event: str, **facts: int) -> None:
        """Now and then: whoever provokes it may do so all the time."""
        now_s = time.monotonic()
        if now_s >= self._warned_s + WARN_EVERY_S:
            self._warned_s = now_s
            get_log("sandbox").warning(event, **facts)

    def _abandon(self, begun: _Child) -> None:
        """The caller is gone: who answers nobody is ended."""
        self.forget(begun.asked.peer.fileno())
        _kill(begun)

    def _drop(self, asked: _Asked) -> None:
        """The caller is gone before its turn came."""
        asked.lane.waiting.remove(asked)
        self.forget(asked.peer.fileno())
        asked.peer.close()

    def _end(self, begun: _Child) -> None:
        self._children.discard(begun)
        _pid, status = os.waitpid(begun.pid, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == child.NOT_BEGUN:
            self._warn("a child could not shut its walls, and read nothing")
        self.forget(begun.process)
        os.close(begun.process)
        self.forget(begun.asked.peer.fileno())
        begun.asked.peer.close()
        lane = begun.asked.lane
        lane.running -= 1
        if lane.waiting:
            following = lane.waiting.popleft()
            self.forget(following.peer.fileno())
            self._start(following)


def _conversation(descriptor: int) -> socket.socket | None:
    """The socket that was handed over; None, and closed, where it is none that talks to another process of this machine alone."""
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):  # families differ in what can be asked of them
            peer = socket.socket(fileno=descriptor)
            if (peer.family, peer.type) == (socket.AF_UNIX, socket.SOCK_STREAM):
                return peer
            peer.detach()
    os.close(descriptor)
    return None


def _kill(begun: _Child) -> None:
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(begun.process, signal.SIGKILL)


def _busy(asked: _Asked) -> None:
    with asked.peer, contextlib.suppress(OSError):
        asked.peer.send(wire.BUSY, socket.MSG_DONTWAIT)


def load_encodings() -> None:
    """Documents name them, and Python imports each when it is first named."""
    for each in pkgutil.iter_modules(encodings.__path__):
        if each.name not in _OTHER_SYSTEMS:
            importlib.import_module(f"encodings.{each.name}")
