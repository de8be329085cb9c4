"""What every step of the ceremony works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sealcore.clock import Clock
from vermilion.services import SERVICES, ServiceSpec
from vermilion.state.layout import Layout
from vermilion.state.office import Office


@dataclass(frozen=True)
class Ceremony:
    """The folder, the plan, the time, and the services that the office is to have."""

    layout: Layout
    office: Office
    clock: Clock
    services: Sequence[ServiceSpec] = SERVICES
