"""What runs in a child: limits and walls first, then one document."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from mmap import PAGESIZE
from typing import Final, NoReturn

from sealcore.errors import VermilionError
from sealcore.platform.sandbox import wire
from sealcore.platform.sandbox.job import Limits, Work
from sealcore.platform.walls import Walls, kernel

NOT_BEGUN: Final = 3  # exit status: it did not come as far as a document
REQUEST_BYTES: Final = 4 * 1024**3


def run(peer: socket.socket, work: Work, limits: Limits, walls: Walls, parent: int) -> NoReturn:
    """Answers one request of ``peer`` and ends the process, at the latest with the process ``parent``. Call it behind a fork."""
    status = NOT_BEGUN
    try:
        held_bytes = _held_bytes()
        _take_limits(limits)
        if os.getppid() != parent:  # it was gone before it could be asked to take this process along
            os._exit(status)
        walls.close_behind(peer.fileno())
        status = 0
        peer.sendall(wire.STARTED)
        parts = wire.receive(peer, REQUEST_BYTES)
        _limit(resource.RLIMIT_AS, held_bytes + limits.memory_bytes + limits.memory_per_byte * sum(map(len, parts)))
        outcome, answer = _answered(work, parts)
        peer.sendall(outcome)
        wire.send(peer, answer)
        peer.shutdown(socket.SHUT_WR)
    finally:
        os._exit(status)  # no handlers, no buffers of the zygote's


def _answered(work: Work, parts: list[bytes]) -> tuple[bytes, Sequence[bytes]]:
    try:
        return wire.ANSWER, work(parts)
    except VermilionError as refusal:
        told = {"code": str(refusal.code), "reason": refusal.reason, "document": refusal.document, "rule": refusal.rule}
        return wire.REFUSED, [json.dumps(told).encode()]
    except (MemoryError, RecursionError):
        return wire.LIMIT, []
    except Exception as fault:  # noqa: BLE001  (whatever a hostile document provokes ends here)
        return wire.FAULT, [type(fault).__name__.encode("ascii", "replace")]


def _held_bytes() -> int:
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        return int(os.read(statm, 100).split()[0]) * PAGESIZE
    finally:
        os.close(statm)


def _limit(limit: int, value: int) -> None:
    resource.setrlimit(limit, (value, value))


def _take_limits(limits: Limits) -> None:
    """Of time. A document that takes the process over may shrug off the signal: the zygote holds it to ``wall_s`` as well."""
    for name in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    kernel.end_with_parent(signal.SIGKILL)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)  # kills by default, inside native code too
    _limit(resource.RLIMIT_CPU, limits.cpu_s)
    if limits.nice:
        os.nice(limits.nice)
    sys.argv.clear()
