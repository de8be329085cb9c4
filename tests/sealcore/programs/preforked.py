"""Forks workers as a service does and writes down, as JSON, what they are like. The first argument says what happens before that."""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from sealcore.ids import uuid7
from sealcore.platform.prefork import Child, Prefork

WORKER = "tests.sealcore.programs.preforked:work"


def work(arguments: Sequence[str]) -> int:
    """Tells over its descriptor what this process is like, and ends as it is told to."""
    with socket.socket(fileno=int(arguments[-1])) as channel:
        channel.sendall(json.dumps(_described(arguments)).encode() + b"\n")
        asked = channel.recv(16)
    if asked == b"raise":
        raise ValueError("a fault of the worker")
    return int(asked or b"0")


def _described(arguments: Sequence[str]) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return {
        "arguments": list(arguments[:-1]),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "name": Path("/proc/self/comm").read_text("ascii").strip(),
        "files": {name: str((Path("/proc/self/fd") / name).readlink()) for name in os.listdir("/proc/self/fd") if _open(int(name))},  # noqa: PTH208
        "random": [random.random(), secrets.token_hex(16), uuid7(), str(key), os.urandom(8).hex()],
        "threads": threading.active_count(),
    }


def _open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:  # that of the listing itself
        return False
    return True


def _started(prefork: Prefork) -> tuple[Child, socket.socket, dict[str, Any]]:
    ours, theirs = socket.socketpair()
    with theirs:
        child = prefork.start(theirs.fileno())
    assert child is not None
    with ours.makefile("r") as told:
        return child, ours, json.loads(told.readline())


def _ends() -> dict[str, Any]:
    """Three workers, of whom one ends well, one by a fault and one by a signal, and one that nobody needs."""
    random.random()
    prefork = Prefork.begin(WORKER, "--number", count=4)
    workers = [_started(prefork) for _ in range(3)]
    workers[0][1].sendall(b"7")
    workers[1][1].sendall(b"raise")
    workers[2][0].kill()
    statuses = [child.wait(60) for child, _channel, _told in workers]
    prefork.close()
    left = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
    late = prefork.start(0)
    return {"workers": [told for _child, _channel, told in workers], "statuses": statuses, "left": left, "late": late, "pid": os.getpid()}


def _killed() -> dict[str, Any]:
    """One of those that wait is killed; the other becomes the worker."""
    prefork = Prefork.begin(WORKER, count=2)
    waiting = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
    os.kill(int(waiting[1]), 9)
    os.waitid(os.P_PID, int(waiting[1]), os.WEXITED | os.WNOWAIT)
    child, channel, told = _started(prefork)
    channel.close()
    return {"waiting": [int(pid) for pid in waiting], "worker": told["pid"], "status": child.wait(60), "late": prefork.start(0)}


def _threaded() -> dict[str, Any]:
    held = threading.Event()
    threading.Thread(target=held.wait, daemon=True).start()
    try:
        Prefork.begin(WORKER, count=1)
    except RuntimeError as fault:
        return {"fault": str(fault)}
    return {}


def _orphans() -> dict[str, Any]:
    """Workers that wait when their service is gone."""
    Prefork.begin(WORKER, count=3)
    return {"waiting": Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"ends": _ends, "killed": _killed, "threaded": _threaded, "orphans": _orphans}[sys.argv[1]]()))
    sys.stdout.flush()
    os._exit(0)
