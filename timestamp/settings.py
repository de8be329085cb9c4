"""Settings of the timestamp service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import Field

from sealcore.platform.config import Block, Listen, TokenSettings
from sealcore.platform.front.limits import HttpLimits
from timestamp.clock_watch import ClockPolicy

DEFAULT_POLICY_OID: Final = "1.3.6.1.4.1.32473.1.1"
"""An OID from the arc that IANA reserves for examples (RFC 5612): it collides with nobody's, and its numbers fit readers that keep
each in 31 bits, which UUIDs under 2.25 do not. An organisation that has an arc of its own sets a policy from that."""

DEFAULT_ACCURACY_MS: Final = 1000  # easy to keep with NTP, and what ETSI EN 319 421 asks at least


class TimestampSettings(Block):
    """The timestamp service.

    certificate_file  the unit's certificate, PEM
    chain_file        the issuing CA's certificate, PEM: goes into tokens beside the unit's
    accuracy_ms       the accuracy that tokens claim; issuance stops while the clock may be off by more
    clock             whether a clock that nothing synchronises stops issuance, or is trusted (``timestamp.clock_watch``)
    chrony            where chronyd takes questions (what ``chronyc -h`` takes); without it chronyc's usual places
    processes         number of worker processes, each with its own login to the token; 0 means one for each core
    silent_s          a worker process that gives no sign of life for so long is ended and replaced
    latest_time_file  keeps the unit's latest time across restarts, so that a clock that was set back meanwhile is noticed; without it the
                      latest time is shared by the processes, and forgotten when the service stops
    http              what may be taken of the HTTP front (``sealcore.platform.front.limits``)
    metrics           where monitoring reads: /metrics, /healthz, /readyz
    """

    listen: Listen
    token: TokenSettings
    key_label: str
    certificate_file: Path
    chain_file: Path
    policy_oid: str = DEFAULT_POLICY_OID
    accuracy_ms: int = Field(default=DEFAULT_ACCURACY_MS, ge=1)
    clock: ClockPolicy = "require-synchronised"
    chrony: str | None = None
    processes: int = Field(default=0, ge=0, le=64)
    silent_s: float = Field(default=20.0, ge=1)
    latest_time_file: Path | None = None
    http: HttpLimits = HttpLimits()
    metrics: Listen | None = None

    @property
    def process_count(self) -> int:
        """How many worker processes: as configured, else one for each core."""
        return self.processes or os.cpu_count() or 1
