"""The environment of the service, of which its children inherit every byte: what Python needs, and no more."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_KEPT: Final = frozenset({"PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"})


def keep_little() -> None:
    """Begins this program anew with little of its environment, where it has more: what is taken out of it later stays in memory."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PYTHON")}
    begun_with = {each.partition(b"=")[0] for each in Path("/proc/self/environ").read_bytes().split(b"\0") if each}
    if not begun_with <= set(map(os.fsencode, kept)):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606  (the same program)
