"""Runs another Python program of ours to its end. A process opens one token, so each step of the ceremony is one of these."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError

PYTHON: tuple[str, ...] = (sys.executable, "-m")  # runs a module as the main program; tests have a faster way
TIMEOUT_S = 600.0  # an RSA-4096 key in SoftHSM takes up to half a minute on a slow core
TRACEBACK: Final = "Traceback (most recent call last):"
_TYPED = re.compile(r"\b([A-Z][A-Z_]{3,}): (.+)")


def environment() -> dict[str, str]:
    """Ours, without the working folder on the module path: a state folder holds folders named like our packages."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def run(module: str, *arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Standard output of ``python -m module``; raises the typed error that it ended with, or INTERNAL."""
    done = subprocess.run(
        [*PYTHON, module, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    raise _fault(module, done.stderr.decode("utf-8", errors="replace"))


def _fault(module: str, said: str) -> VermilionError:
    code, reason = last_words(said)
    return VermilionError(code or Code.INTERNAL, f"{module}: {reason}")


def last_words(said: str) -> tuple[Code | None, str]:
    """The typed error in what a program wrote to standard error (JSON log lines, or ``CODE: reason``), else its last line.

    A traceback after it says that the program ended of something else.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for line in reversed(lines):
        if line == TRACEBACK:
            break
        if (found := typed(line)) is not None:
            return found
    return None, lines[-1][:300] if lines else "it said nothing"


def typed(line: str) -> tuple[Code, str] | None:
    """The code and reason of a line that states a typed error: a JSON event, or ``CODE: reason``."""
    try:
        event = json.loads(line)
        return Code(event["code"]), str(event["reason"])
    except (ValueError, KeyError, TypeError):
        found = _TYPED.search(line)
        return (Code(found[1]), found[2]) if found and found[1] in Code.__members__ else None
