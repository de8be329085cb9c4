"""One ceremony at a time in a state folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from sealcore.errors import Code, VermilionError
from vermilion.state.layout import Layout


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """CONFLICT while another process is at this office's ceremony."""
    with layout.run("ceremony.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise VermilionError(Code.CONFLICT, "another process is at this office's ceremony at this moment") from None
        yield
