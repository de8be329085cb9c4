"""The console script. What the commands need takes seconds to import, in which a person may interrupt already: it is imported by ``main``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

_INTERRUPTED = 130  # ``vermilion.exits``, of which nothing is imported yet


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns its exit code."""
    from vermilion.cli.program import run as carried_out  # noqa: PLC0415  (see above)

    return carried_out(arguments)


def main() -> None:
    """The console script. An interrupt before the command has begun, or as the program ends, is no fault: no traceback tells of it."""
    begun = False
    try:
        from vermilion.cli import program  # noqa: PLC0415  (see above)

        program.prepare()
        begun = True
        code = program.run(sys.argv[1:])
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done and said: a further one cuts short what Python does at its end
    except KeyboardInterrupt:
        code = _INTERRUPTED
        if sys.stderr is not None:
            sys.stderr.write("Interrupted.\n" if begun else "Interrupted; nothing was begun.\n")
    sys.exit(code)
