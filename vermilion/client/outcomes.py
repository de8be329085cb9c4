"""What came of each document, and how far a batch is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sealcore.errors import Code, VermilionError


@dataclass(frozen=True)
class Outcome:
    """One document's end. ``code`` and ``reason`` are there when it was refused, ``path`` and ``ledger_index`` when it was sealed.

    ``repeated``: these bytes had been released before; nothing was sealed twice.
    """

    index: int
    name: str
    outcome: Literal["sealed", "refused"]
    code: Code | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    ledger_index: int | None = None
    path: Path | None = None
    repeated: bool = False


def refused(index: int, name: str, fault: VermilionError) -> Outcome:
    """The outcome of a document that was refused."""
    return Outcome(index, name, "refused", fault.code, fault.reason)


@dataclass(frozen=True)
class Progress:
    """How far a batch is; ``elapsed_s`` since it began."""

    total: int
    sealed: int
    refused: int
    elapsed_s: float

    @property
    def done(self) -> int:
        """Documents that have an end."""
        return self.sealed + self.refused

    @property
    def rate(self) -> float:
        """Documents a second so far."""
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None before the first is done."""
        return (self.total - self.done) / self.rate if self.done and self.rate > 0 else None
