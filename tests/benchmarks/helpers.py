"""A helper for the tests of ``benchmarks.remote``; the spawned process must be able to import it."""

from __future__ import annotations

import os


class Echo:
    """Answers and fails on demand."""

    def __init__(self, word: str) -> None:
        self._word = word

    def __enter__(self) -> Echo:
        if self._word == "refuse":
            raise LookupError("there is no such thing")
        return self

    def __exit__(self, *_fault: object) -> None: ...

    def say(self, times: int) -> str:
        return self._word * times

    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise ValueError("as asked")

    def vanish(self) -> None:
        os._exit(1)
