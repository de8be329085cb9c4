"""What every step of the ceremony works with."""

from __future__ import annotations

from dataclasses import dataclass

from sealcore.clock import Clock
from vermilion.layout import Layout
from vermilion.office import Office


@dataclass(frozen=True)
class Room:
    """The folder, the plan, and the time."""

    layout: Layout
    office: Office
    clock: Clock
