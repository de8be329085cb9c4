"""What the signer is told by its configuration file; see ``docs/`` for an annotated example."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sealcore.config import Block, DatabaseSettings, Listen, TlsSettings, TokenSettings
from sealcore.ids import service_uri

MEBIBYTE = 1024 * 1024


class TimestampSettings(Block):
    """The signer's own timestamp unit: its key in the signer's token and its certificate."""

    key_label: str = "tsa.signer.1"
    certificate_file: Path
    chain_file: Path
    policy_oid: str
    accuracy_ms: int = Field(default=1000, ge=1)


class Limits(Block):
    """Bounds on size, number and time.

    ``in_flight_bytes`` is what all documents held at one moment may weigh; who sends more waits (backpressure).
    ``lease_s`` is how long a use belongs to the worker that took it; after that another may take over.
    ``hsm_s`` bounds one call of the HSM; it lies well below the lease, so that a hung call ends before a takeover.
    """

    document_bytes: int = Field(default=256 * MEBIBYTE, ge=1)
    in_flight_bytes: int = Field(default=512 * MEBIBYTE, ge=1)
    batch: int = Field(default=64, ge=1, le=1024)
    lease_s: int = Field(default=60, ge=1)
    hsm_s: float = Field(default=15.0, gt=0)


class TrustSettings(Block):
    """The chain of the issuing CA of seals (it first, then the root), and where its CRL is, asked when a seal is resumed."""

    seals_chain_file: Path
    seals_crl_url: str | None = None


class SandboxSettings(Block):
    """How many documents are worked on at once, each in a sandbox of its own."""

    workers: int = Field(default=2, ge=1, le=64)


class CheckpointSettings(Block):
    """The last cosigned checkpoint, kept outside the signer's database; the signer does not start behind it.

    ``log_key`` and ``witness_key`` are C2SP verifier keys (``name+hash+base64``). A file that is not there yet stands for a log
    that has no checkpoint yet.
    """

    file: Path
    log_key: str
    witness_key: str


class SignerSettings(Block):
    """The whole configuration of one signer process.

    ``instance`` tells replicas apart. A process that starts under the name of an earlier one takes that one's unfinished uses
    over at once, because two processes cannot hold the same listening port.
    """

    instance: str = Field(default="signer-1", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    audience: str = service_uri("signer")
    listen: Listen
    token: TokenSettings
    tls: TlsSettings
    database: DatabaseSettings
    timestamp: TimestampSettings
    trust: TrustSettings
    limits: Limits = Limits()
    sandbox: SandboxSettings = SandboxSettings()
    checkpoint: CheckpointSettings | None = None
    metrics: Listen | None = None
