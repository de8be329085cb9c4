"""A figure: the median of several runs with the least and the most of them, and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

RATIO, PER_S, MS = "ratio", "1/s", "ms"


@dataclass(frozen=True)
class Figure:
    """``value`` is the median; ``minimum`` and ``maximum`` are over the same runs."""

    name: str
    value: float
    minimum: float
    maximum: float
    unit: str

    @classmethod
    def of(cls, name: str, runs: Sequence[float], unit: str = RATIO) -> Figure:
        """The figure over its runs; at least one."""
        return cls(name, statistics.median(runs), min(runs), max(runs), unit)

    def as_json(self) -> dict[str, Any]:
        """{"value", "min", "max", "unit"}."""
        return {"value": self.value, "min": self.minimum, "max": self.maximum, "unit": self.unit}


@dataclass(frozen=True)
class Aim:
    """What a figure should be: at least, or at most, so much."""

    figure: str
    relation: Literal["≥", "≤"]
    value: float

    def met(self, figure: Figure) -> bool:
        """Whether the median keeps it."""
        return figure.value >= self.value if self.relation == "≥" else figure.value <= self.value

    def __str__(self) -> str:
        return f"{self.relation} {self.value:g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below or at which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
