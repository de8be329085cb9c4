"""What came of each document, and how far a batch is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sealcore.errors import REGISTRY, Code, VermilionError


@dataclass(frozen=True)
class Outcome:
    """One document's end. ``code``, ``reason`` and ``rule`` are there when it was refused, ``path`` and ``ledger_index`` when it was sealed.

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
    rule: str | None = None

    @property
    def way_out(self) -> str | None:
        """What can be done about a refusal."""
        return REGISTRY[self.code].way_out if self.code is not None else None


def refused(index: int, name: str, fault: VermilionError) -> Outcome:
    """The outcome of a document that was refused."""
    return Outcome(index, name, "refused", fault.code, fault.reason, rule=fault.rule)


@dataclass(frozen=True)
class Progress:
    """How far a batch is; ``elapsed_s`` since it began.

    resumed       documents that an earlier run had sealed already; they count as sealed, not for the rate
    recent_rate   documents a second of the last seconds; None before there is one
    waiting       what the batch waits for at this moment, if anything: it is tried again by itself
    """

    total: int
    sealed: int
    refused: int
    elapsed_s: float
    resumed: int = 0
    recent_rate: float | None = None
    waiting: VermilionError | None = None

    @property
    def done(self) -> int:
        """Documents that have an end."""
        return self.sealed + self.refused

    @property
    def rate(self) -> float:
        """Documents a second so far."""
        return (self.done - self.resumed) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at the recent rate; None before the first is done."""
        rate = self.recent_rate or self.rate
        return (self.total - self.done) / rate if rate > 0 else None
