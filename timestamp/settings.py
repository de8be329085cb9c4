"""Settings of the timestamp service."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field

from sealcore.platform.config import Block, Listen, TokenSettings
from timestamp.clock_watch import ClockPolicy

DEFAULT_POLICY_OID: Final = "1.3.6.1.4.1.32473.1.1"
"""Under the arc that IANA keeps for examples (RFC 5612): nobody else's, and short enough for readers that hold an arc in
31 bits, which those under 2.25 are not. An organisation with an arc of its own sets that instead."""

DEFAULT_ACCURACY_MS: Final = 1000  # what a machine kept by NTP holds with ease, and the least that ETSI EN 319 421 asks


class TimestampSettings(Block):
    """The timestamp service.

    certificate_file  the unit's certificate, PEM
    chain_file        the issuing CA's certificate, PEM: goes into tokens beside the unit's
    accuracy_ms       what tokens claim; issuance stops while the clock may be off by more
    clock             whether a clock that nothing synchronises stops issuance, or is trusted (``timestamp.clock_watch``)
    chrony            where chronyd takes questions (what ``chronyc -h`` takes); without it chronyc's usual places
    processes         how many make tokens, each with a login of its own; 0 for one a core
    latest_time_file  keeps the unit's latest time over restarts, so that a clock set back meanwhile is noticed; without it the
                      processes share that time for as long as the service runs
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
    latest_time_file: Path | None = None
    metrics: Listen | None = None
