"""Settings of the log process and of the witness."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sealcore.platform.config import Block, Listen, TlsSettings, TokenSettings
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.tracing import TracingSettings


class WitnessOfLog(Block):
    """The witness that this log asks: where, and its key (``NAME+KEYID+BASE64``)."""

    url: str
    key: str


class LedgerSettings(Block):
    """Settings of the log process (``python -m ledger``).

    origin               first line of every checkpoint: ``vermilion.OFFICE/ledger``; without spaces and plus
    signer_target        host:port of the signer's Ledger service
    public_folder        checkpoint and tiles; everything in it is served
    state_folder         the last signed checkpoint; on another disk than the signer's database where that can be had
    interval_s           pause between two looks at the signer's head; a second at most (docs/protocol.md, "Ledger")
    cosign_refresh_s     while nothing is new, a fresh cosignature at this interval says that nothing is
    http                 what may be taken of the HTTP front (``sealcore.platform.front.limits``)
    metrics              where monitoring reads: /metrics, /healthz, /readyz
    tracing              where spans go; none are made without it
    """

    listen: Listen
    token: TokenSettings
    tls: TlsSettings
    origin: str = Field(pattern=r"^[^\s+]{1,255}$")
    signer_target: str
    public_folder: Path
    state_folder: Path
    key_label: str = "ledger.checkpoint.1"
    witness: WitnessOfLog | None = None
    interval_s: float = Field(default=1.0, gt=0, le=1)
    cosign_refresh_s: float = Field(default=5, gt=0, le=3600)
    http: HttpLimits = HttpLimits()
    metrics: Listen | None = None
    tracing: TracingSettings | None = None


class WitnessSettings(Block):
    """Settings of the witness (``python -m ledger.witness``).

    name           of its cosignatures: ``vermilion.OFFICE/witness``
    state_folder   the newest checkpoint of each log, one file each
    logs           keys of the logs that it watches (``NAME+KEYID+BASE64``; the name is the origin)
    http           what may be taken of the HTTP front (``sealcore.platform.front.limits``)
    metrics        where monitoring reads: /metrics, /healthz, /readyz
    tracing        where spans go; none are made without it
    """

    listen: Listen
    token: TokenSettings
    name: str = Field(pattern=r"^[^\s+]{1,255}$")
    state_folder: Path
    logs: tuple[str, ...] = Field(min_length=1)
    key_label: str = "witness.cosign.1"
    http: HttpLimits = HttpLimits()
    metrics: Listen | None = None
    tracing: TracingSettings | None = None
