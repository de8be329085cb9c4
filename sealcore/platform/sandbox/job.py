"""What is done to a document in a process of its own, and what that may cost."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

Work = Callable[[list[bytes]], Sequence[bytes]]
"""What the child runs: parts in, parts out. A ``VermilionError`` it raises reaches the caller as such."""


PRELOAD: Final = ("sealcore.platform.sandbox.libraries:load",)
"""For whatever reads PDFs."""


@dataclass(frozen=True)
class Limits:
    """What one document may cost. Memory is counted on top of what the zygote already holds, so much and so many times the request's size.

    nice  how far it stands back for others (nice(2))
    """

    cpu_s: int = 20
    wall_s: float = 30.0
    memory_bytes: int = 1024 * 1024 * 1024
    memory_per_byte: int = 0
    answer_bytes: int = 256 * 1024 * 1024
    nice: int = 0

    def __post_init__(self) -> None:
        if self.cpu_s < 1 or self.wall_s <= 0 or self.memory_bytes < 1 or self.memory_per_byte < 0 or self.answer_bytes < 1:
            raise ValueError("limits are positive")


@dataclass(frozen=True)
class Job:
    """A kind of work, known by its function.

    function  ``module:function``, a ``Work``
    preload   modules, and functions ``module:function`` without arguments, that the zygote imports and calls before it forks: a child opens no
              file but fonts, so what it needs beside them is in memory by then
    """

    function: str
    preload: tuple[str, ...] = ()
    limits: Limits = Limits()

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        """The inverse of ``told``."""
        return cls(told["function"], tuple(told["preload"]), Limits(**told["limits"]))

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def load(self) -> Work:
        """Imports and calls what is to be there before a fork."""
        for each in self.preload:
            if ":" in each:
                found(each)()
            else:
                importlib.import_module(each)
        work: Work = found(self.function)
        return work


def ping(_parts: list[bytes]) -> Sequence[bytes]:
    """Answers that it is there."""
    return []


PING: Final = Job("sealcore.platform.sandbox.job:ping", limits=Limits(cpu_s=1, wall_s=2.0))


def found(name: str) -> Callable[..., Any]:
    """The function that ``module:function`` names."""
    module, _, function = name.partition(":")
    result: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return result
