"""The caller's side: hands each request to a zygote, and reads what a child answers."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.platform.sandbox import answers, wire
from sealcore.platform.sandbox.address import dial
from sealcore.platform.sandbox.job import PING, Job

START_TIMEOUT_S: Final = 60.0  # importing on a busy machine
ANSWER_GRACE_S: Final = 5.0  # beyond the wall limit, for a machine that is slow to kill
_SENTENCE_BYTES: Final = 500
_TAKEN_ALONG: Final = ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""Of the environment: what Python needs. The rest may hold secrets."""
RETURN_S: Final = 5.0  # for a service that is being started again
REST_S: Final = 1.0
LOOK_S: Final = 0.05
TURN_S: Final = 60.0  # for one's turn; callers have bounds of their own, so that this is long
_NO_START: Final = "the sandbox for documents does not start"
_AWAY: Final = "the sandbox service, which reads documents, does not answer"
_CLOSING: Final = "the sandbox for documents is being closed"


class UnansweredError(VermilionError):
    """DOCUMENT_TOO_COMPLEX of a child that ended without an answer: by a limit of time or memory, or by whoever ends processes."""


class _BusyError(VermilionError):
    """OVERLOADED: it was not our turn."""


class _GoneError(Exception):
    """The zygote at the other end of ``line`` is gone, and its children with it."""

    def __init__(self, line: socket.socket) -> None:
        super().__init__()
        self.line = line


class ForkServer:
    """Does one job once per call, each time in a process of its own forked from a preloaded zygote.

    Thread-safe; as many children run at once as there are callers. Starts with the first call or ``start``, and not again once closed.
    ``service`` is the socket of a service (``sandbox/``) that has the zygote, in an account of its own; none is started here then, and
    while it is away calls wait a little for it to come back.
    """

    def __init__(self, job: Job, *, service: Path | None = None) -> None:
        self._job = job
        self._service = service
        self._missed_s = -math.inf  # when the service was last found away
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None  # None: the service's
        self._line: socket.socket | None = None
        self._closed = False

    def start(self) -> None:
        """Starts the zygote and waits until it has imported everything; raises SERVICE_UNAVAILABLE. A service is started by others."""
        if self._service is None:
            with self._lock:
                self._running()

    def check(self) -> None:
        """SERVICE_UNAVAILABLE unless a child starts, shuts its walls and answers: for readiness."""
        with contextlib.suppress(_BusyError):
            self._attempt(PING, (), within_s=0)

    def close(self) -> None:
        """Ends the zygote, and with it what calls in progress are at: SERVICE_UNAVAILABLE."""
        with self._lock:
            self._closed = True
            self._drop()

    def call(self, *parts: bytes) -> list[bytes]:
        """The parts that the function answers.

        Raises what the function raised (a ``VermilionError``); DOCUMENT_TOO_COMPLEX when a limit ended it (``UnansweredError`` where that is no
        more than likely); DOCUMENT_DAMAGED when it failed in an unforeseen way; SERVICE_UNAVAILABLE when the sandbox itself cannot run,
        OVERLOADED when too many wait for it.
        """
        return self._attempt(self._job, parts, within_s=RETURN_S)

    def _attempt(self, job: Job, parts: Sequence[bytes], *, within_s: float) -> list[bytes]:
        for _attempt in (1, 2):  # a zygote that died, before or under the call, is replaced once
            try:
                return self._called(job, parts, within_s)
            except _GoneError as gone:
                with self._lock:
                    if self._line is gone.line:  # no other caller has a new one by now
                        self._drop()
        raise VermilionError(Code.SERVICE_UNAVAILABLE, _NO_START if self._service is None else _AWAY)

    def _called(self, job: Job, parts: Sequence[bytes], within_s: float) -> list[bytes]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                line = self._hand_over(job, theirs, within_s)
            ours.settimeout(TURN_S)
            first = wire.receive_exactly(ours, 1)
            if first == wire.BUSY or (not first and not _hung_up(ours)):
                raise _BusyError(Code.OVERLOADED, "too many documents wait to be read")
            if first != wire.STARTED:
                raise _GoneError(line)
            ours.settimeout(job.limits.wall_s + ANSWER_GRACE_S)
            try:
                return _converse(ours, parts, job.limits.answer_bytes)
            except UnansweredError:
                if _hung_up(line):  # nobody knows what the document would have done
                    raise _GoneError(line) from None
                raise

    def _hand_over(self, job: Job, theirs: socket.socket, within_s: float) -> socket.socket:
        """The line that it went over."""
        with self._lock:
            line = self._running() if self._service is None else self._connected(self._service, within_s)
            try:
                socket.send_fds(line, [job.function.encode()], [theirs.fileno()])
            except OSError:
                raise _GoneError(line) from None
        return line

    def _running(self) -> socket.socket:  # the caller holds the lock
        if self._line is not None and not self._ended():
            return self._line
        if self._closed:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, _CLOSING)
        self._drop()
        self._line = ours = self._spawn()
        try:
            said = ours.recv(_SENTENCE_BYTES)
        except OSError:
            said = b""
        if said != wire.STARTED:
            self._drop()
            reason = said.removeprefix(wire.REFUSED).decode("utf-8", "replace") if said.startswith(wire.REFUSED) else _NO_START
            raise VermilionError(Code.SERVICE_UNAVAILABLE, reason)
        return ours

    def _connected(self, service: Path, within_s: float) -> socket.socket:  # the caller holds the lock
        """A line to the service. Who asks when it was missed a moment ago does not wait for it again."""
        if self._closed:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, _CLOSING)
        if self._line is not None and not _hung_up(self._line):
            return self._line
        self._drop()
        until_s = time.monotonic() + within_s
        while (line := dial(service)) is None:
            now_s = time.monotonic()
            if now_s >= until_s or now_s < self._missed_s + REST_S:
                self._missed_s = now_s if within_s else self._missed_s
                raise VermilionError(Code.SERVICE_UNAVAILABLE, _AWAY)
            time.sleep(LOOK_S)
        line.settimeout(START_TIMEOUT_S)
        self._line = line
        return line

    def _ended(self) -> bool:
        """Whether our own zygote is gone; that a service is shows on its line."""
        return self._process is not None and self._process.poll() is not None

    def _spawn(self) -> socket.socket:
        """A zygote that begins its imports, and our end of its line, on which it says when they are done."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sealcore.platform.sandbox", str(theirs.fileno()), json.dumps(self._job.told())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=self._environment(),
            )
        ours.settimeout(START_TIMEOUT_S)
        return ours

    def _environment(self) -> dict[str, str]:
        # Its modules come from where ours do. Python itself would look in the working folder first (hence -P), which may hold what
        # strangers sent, called json.py.
        folders = dict.fromkeys([*os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path])
        return {name: os.environ[name] for name in _TAKEN_ALONG if name in os.environ} | {
            "PYTHONPATH": os.pathsep.join(filter(None, folders))
        }

    def _drop(self) -> None:  # the caller holds the lock
        if self._line is not None:
            self._line.close()  # the zygote ends at the end of its line
            self._line = None
        if self._process is not None:
            try:
                self._process.wait(timeout=ANSWER_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _hung_up(line: socket.socket) -> bool:
    """Whether the other end is closed, or this one by another thread."""
    if line.fileno() < 0:
        return True
    look = select.poll()
    look.register(line, 0)  # hanging up is told unasked
    return bool(look.poll(0))


def _converse(ours: socket.socket, parts: Sequence[bytes], limit_bytes: int) -> list[bytes]:
    reason = "reading the document took more time or memory than one document may take"
    try:
        wire.send(ours, parts)
        outcome = wire.receive_exactly(ours, 1)
        most = {wire.ANSWER: limit_bytes, wire.REFUSED: answers.REFUSAL_BYTES, wire.FAULT: answers.REFUSAL_BYTES}.get(outcome)
        answer = [] if most is None else wire.receive(ours, most)
    except wire.TooLongError:
        raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, "what is to be appended to the document is larger than it may be") from None
    except (OSError, ValueError):
        raise UnansweredError(Code.DOCUMENT_TOO_COMPLEX, reason) from None
    if outcome == wire.ANSWER:
        return answer
    if outcome == wire.REFUSED:
        raise answers.refusal_in(answer)
    if outcome == wire.FAULT:
        raise answers.fault_in(answer)
    raise (VermilionError if outcome else UnansweredError)(Code.DOCUMENT_TOO_COMPLEX, reason)
