"""Ports for what tests start: each is given once in a long while, to any test of this machine, and to no outgoing connection."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

FIRST: Final = 10_240
COUNT: Final = 9_700  # below those of the offices that tests make, and of what the kernel gives to outgoing connections (32768 on)
_LAST: Final = Path(tempfile.gettempdir()) / f"vermilion-test-port-{os.getuid()}"


def free_port() -> int:
    """A port that nobody listens on, for a server on 127.0.0.1 that begins a little later, or begins again.

    One that the kernel chooses (port 0) may be an outgoing connection's by then.
    """
    with _LAST.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or 0)
        for step in range(1, COUNT):
            offset = (last + step) % COUNT
            if _is_free(FIRST + offset):
                file.truncate(0)
                file.write(str(offset))
                return FIRST + offset
    raise AssertionError("all ports for tests are taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
