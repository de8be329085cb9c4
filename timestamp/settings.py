"""Settings of the timestamp service."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field

from sealcore.config import Block, Listen, TokenSettings

DEFAULT_POLICY_OID: Final = "1.3.6.1.4.1.32473.1.1"
"""Under the arc that IANA keeps for examples (RFC 5612): nobody else's, and short enough for readers that hold an arc in
31 bits, which those under 2.25 are not. An organisation with an arc of its own sets that instead."""

DEFAULT_ACCURACY_MS: Final = 1000  # what a machine kept by NTP holds with ease, and the least that ETSI EN 319 421 asks


class TimestampSettings(Block):
    """The timestamp service.

    certificate_file  the unit's certificate, PEM
    chain_file        the issuing CA's certificate, PEM: goes into tokens beside the unit's
    """

    listen: Listen
    token: TokenSettings
    key_label: str
    certificate_file: Path
    chain_file: Path
    policy_oid: str = DEFAULT_POLICY_OID
    accuracy_ms: int = Field(default=DEFAULT_ACCURACY_MS, ge=1)
