"""Why a process ended, in one line that blames nothing that was said before it, or that is not the reason."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Final

from vermilion.operation.programs import TRACEBACK, typed

MOST_READ: Final = 64 * 1024  # bytes from the end of a log: many lines, and little to read of one that grew for months
_MOST_SHOWN: Final = 300  # characters
_CRASHES: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)


def cause(status: int, log: Path, begun: int, *, out_of_memory: bool = False) -> str:
    """A process's end as a predicate: "was killed by SIGKILL …".

    status         as ``subprocess`` has it: negative for a signal
    begun          where in its log this life begins: what earlier ones said had reasons of their own
    out_of_memory  whether the system has ended processes for lack of memory during this life
    """
    reason, logged = _words(_tail(log, begun))
    if status < 0:
        said = f"; the last fault in its log, which need not be why: {logged}" if logged else ""
        return f"{_signalled(-status, out_of_memory=out_of_memory)}{said} (see {log})"
    if status == 0:
        return f"ended in order, though its launcher did not tell it to (see {log})"
    unsaid = f"it did not say why; the last fault in its log: {logged}" if logged else "it did not say why"
    return f"ended with exit status {status}: {reason or unsaid} (see {log})"


def killed_for_memory() -> int:
    """How many processes the system has ended for lack of memory since it started; 0 where it does not count them."""
    try:
        rows = Path("/proc/vmstat").read_text("ascii").splitlines()
    except (OSError, ValueError):
        return 0
    return next((int(row.split()[1]) for row in rows if row.startswith("oom_kill ")), 0)


def _signalled(number: int, *, out_of_memory: bool) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        return f"was killed by {name}, {'as the system was out of memory' if out_of_memory else 'by somebody, or for lack of memory'}"
    return f"crashed with {name}" if number in _CRASHES else f"was ended by {name}"


def _tail(log: Path, begun: int) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = begun if begun <= size else 0  # it was rotated away meanwhile
            file.seek(max(start, size - MOST_READ))
            return [line.strip() for line in file.read().decode("utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def _words(lines: list[str]) -> tuple[str | None, str | None]:
    """What a program said in plain words as it ended (a typed fault, or a traceback's last line), and the last typed fault that it had logged."""
    events, plain = [line for line in lines if _is_event(line)], [line for line in lines if not _is_event(line)]
    logged = next(filter(None, map(_fault, reversed(events))), None)
    since = len(plain) - plain[::-1].index(TRACEBACK) if TRACEBACK in plain else 0
    reason = next(filter(None, map(_fault, reversed(plain[since:]))), None)
    return reason or (_shortened(plain[-1]) if plain else None), logged


def _fault(line: str) -> str | None:
    found = typed(line)
    return None if found is None else _shortened(f"{found[0]}: {found[1]}")


def _is_event(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
