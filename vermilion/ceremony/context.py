"""What every step of the ceremony works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sealcore.clock import Clock
from vermilion.layout import Layout
from vermilion.office import Office
from vermilion.services import SERVICES, ServiceSpec


@dataclass(frozen=True)
class Room:
    """The folder, the plan, the time, and the services that the office is to have."""

    layout: Layout
    office: Office
    clock: Clock
    services: Sequence[ServiceSpec] = SERVICES
