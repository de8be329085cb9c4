"""A zygote of one's own: ``python -m sealcore.platform.sandbox DESCRIPTOR JOB``; for one caller, and no longer than that is there."""

from __future__ import annotations

import json
import signal
import socket
import sys
from typing import Final

from sealcore.errors import VermilionError
from sealcore.platform.sandbox import wire
from sealcore.platform.sandbox.job import Job
from sealcore.platform.sandbox.zygote import Lane, Role, Zygote

AT_ONCE: Final = 256  # the caller has bounds of its own


def main() -> None:
    """Tells the caller when it is ready, or that it cannot be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the caller, which then closes its line
    with socket.socket(fileno=int(sys.argv[1])) as line:
        job = Job.read(json.loads(sys.argv[2]))
        try:
            zygote = Zygote([job])
        except VermilionError as fault:
            line.sendall(wire.REFUSED + fault.reason.encode())
            return
        lane, here = Lane(Role(frozenset({job.function}), AT_ONCE, AT_ONCE)), [True]

        def read() -> None:
            here[0] = zygote.read_line(line, lane)

        zygote.watch(line.fileno(), read)
        line.sendall(wire.STARTED)
        zygote.serve(lambda: not here[0])


if __name__ == "__main__":
    main()
