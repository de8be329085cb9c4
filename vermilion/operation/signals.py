"""The signals that people and supervisors end a program with. Handlers belong to the main thread; in others nothing here has an effect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_like_interrupt() -> None:
    """SIGTERM and a closed terminal end a command as Ctrl-C does: in order, with nothing left running."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


@contextmanager
def postponed() -> Iterator[None]:
    """What comes inside takes effect at its end: between two steps that belong together. A program started inside has the defaults."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: dict[int, None] = {}
    before = {number: signal.signal(number, lambda got, _frame: came.setdefault(got)) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for got in came:
            signal.raise_signal(got)


@contextmanager
def ignored() -> Iterator[None]:
    """What comes inside is lost: for an end in order, which nobody may cut short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
