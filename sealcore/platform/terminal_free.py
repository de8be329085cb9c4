"""Loads a library without what it takes along for a developer's terminal.

structlog loads rich and its lexers where Python finds them (the command line uses them): 4 MB in each of a dozen processes
that log JSON. ``sealcore.platform.log`` loads it here for everyone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_terminal() -> Iterator[None]:
    """What is imported inside finds neither rich nor Pygments, unless they are loaded already. For imports at start, before any thread."""
    hidden = [name for name in ("rich", "pygments") if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it raises ModuleNotFoundError (Python's import reference)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
