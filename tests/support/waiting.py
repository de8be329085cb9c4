"""Waiting for what others bring about. How long that takes says how loaded the machine is, and nothing else; but no wait is without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

WITHIN_S: Final = 120.0  # far more than anything here takes on an idle machine
_LOOK_S: Final = 0.01

T = TypeVar("T")


def until(look: Callable[[], T], what: str = "it did not come about", *, within_s: float = WITHIN_S) -> T:
    """The first true answer of ``look``; the test fails, saying ``what``, when there is none in that time."""
    deadline_s = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < deadline_s, what
        time.sleep(_LOOK_S)
    return seen
