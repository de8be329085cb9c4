"""What every use case gets: the database, the signer's register, the issuer, the clock, and the bounds of the office."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from sealcore.clock import Clock
from sealcore.platform.storage import NOT_WATCHED, Storage
from workflow.delivery.ca_link import Authority
from workflow.delivery.signer_link import Register
from workflow.forms.issuer import Issuer


@dataclass(frozen=True)
class Bounds:
    """Numbers and names from the settings that use cases obey. ``ca_audience`` is None where no CA takes acts."""

    audience: str
    office_unit: str
    token_validity_s: int
    grant_validity_s: int
    ca_audience: str | None = None
    open_forms: int = 10_000  # of one client


@dataclass(frozen=True)
class Office:
    """The collaborators of the use cases, put together once by ``app.build``."""

    engine: Engine
    register: Register
    issuer: Issuer
    clock: Clock
    bounds: Bounds
    authority: Authority | None = None
    storage: Storage = NOT_WATCHED

    def now(self) -> int:
        """The present as NumericDate."""
        return int(self.clock.now().timestamp())
