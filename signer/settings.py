"""The signer's configuration file; see ``docs/`` for an annotated example."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from sealcore.ids import service_uri
from sealcore.platform.config import Block, DatabaseSettings, Listen, TlsSettings, TokenSettings
from sealcore.platform.storage import StorageSettings
from sealcore.platform.tracing import TracingSettings
from sealcore.protocol.ledger_entry import COMMIT_WITHIN_S
from timestamp.client.settings import OwnSource, Source
from timestamp.clock_watch import ClockPolicy

MEBIBYTE = 1024 * 1024
MOST_LEASE_S = COMMIT_WITHIN_S // 2  # Commit may come that much later than the lease ends


class TimestampSettings(Block):
    """Where timestamps come from: ``source`` in order of preference, and the signer's own unit (its key in the signer's token).

    ``accuracy_ms`` is what tokens claim; issuance stops while the clock may be off by more. ``clock`` says whether a clock that
    nothing synchronises stops it too, or is trusted; ``chrony`` where chronyd takes questions (``timestamp.clock_watch``).
    ``latest_time_file`` keeps the unit's latest time over restarts; without it the workers share that time for as long as the
    signer runs.
    ``within_s`` is how long outside TSAs may take for one batch, all together; it lies well below the lease.
    """

    key_label: str = "tsa.signer.1"
    certificate_file: Path
    chain_file: Path
    policy_oid: str
    accuracy_ms: int = Field(default=1000, ge=1)
    clock: ClockPolicy = "require-synchronised"
    chrony: str | None = None
    latest_time_file: Path | None = None
    source: tuple[Source, ...] = Field(default=(OwnSource(),), min_length=1)
    within_s: float = Field(default=20.0, gt=0)

    @property
    def is_own_alone(self) -> bool:
        """Whether there is no outside TSA."""
        return all(isinstance(source, OwnSource) for source in self.source)


class Limits(Block):
    """Limits of size, number and time.

    ``in_flight_bytes`` is what all documents held at one moment may weigh; who sends more waits (backpressure). One client holds half of
    it at most, or one document: with less than two of the largest documents it can keep others waiting.
    ``lease_s`` is how long a use belongs to the worker that took it; after that another may take over.
    ``hsm_s`` bounds one call of the HSM; it lies well below the lease, so that a hung call ends before a takeover.
    """

    document_bytes: int = Field(default=256 * MEBIBYTE, ge=1)
    in_flight_bytes: int = Field(default=512 * MEBIBYTE, ge=1)
    batch: int = Field(default=128, ge=1, le=1024)
    lease_s: int = Field(default=60, ge=1, le=MOST_LEASE_S)
    hsm_s: float = Field(default=15.0, gt=0)

    @property
    def share_bytes(self) -> int:
        """The share of ``in_flight_bytes`` that one client may use."""
        return max(self.in_flight_bytes // 2, self.document_bytes)


class OutsideCaSettings(Block):
    """How outside CAs are asked whether they have revoked a seal's certificate.

    hosts                 whose addresses in certificates may be asked (``host`` or ``host:port``, as the address has it); no other is
    ocsp_urls, crl_urls   asked besides, and before, whatever certificates say
    refresh_s, retry_s    how often each certificate is asked about; how soon again after a failure
    timeout_s, largest_bytes   of one answer
    """

    hosts: frozenset[str] = frozenset()
    ocsp_urls: tuple[str, ...] = ()
    crl_urls: tuple[str, ...] = ()
    refresh_s: float = Field(default=300.0, gt=0)
    retry_s: float = Field(default=30.0, gt=0)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    largest_bytes: int = Field(default=4 * MEBIBYTE, ge=1)

    @field_validator("ocsp_urls", "crl_urls")
    @classmethod
    def _web(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not all(url.startswith(("http://", "https://")) for url in urls):
            raise ValueError("an address begins with http:// or https://")
        return urls


class TrustSettings(Block):
    """The chain of the issuing CA of seals (it first, then the root), and where its CRL is, asked when a seal is resumed.

    A seal whose chain has none of these authorities in it is an outside CA's.
    """

    seals_chain_file: Path
    seals_crl_url: str | None = None
    outside: OutsideCaSettings = OutsideCaSettings()


class WorkerSettings(Block):
    """The worker processes, each with its own login to the token.

    bulk         how many work on streams; 0 stands for one a core
    interactive  how many are reserved for one-document calls, so that these never wait behind a stream
    threads      how many batches each works on at once: more than one pays with an HSM behind a network (see ``token.sessions``)
    silent_s     one that gives no sign of life for so long is ended and replaced
    """

    bulk: int = Field(default=0, ge=0, le=256)
    interactive: int = Field(default=1, ge=0, le=64)
    threads: int = Field(default=1, ge=1, le=64)
    silent_s: float = Field(default=20.0, ge=1)

    @property
    def bulk_count(self) -> int:
        """How many work on streams."""
        return self.bulk or len(os.sched_getaffinity(0))


class SandboxSettings(Block):
    """Where documents are prepared that the lean writer does not understand.

    workers  how many at once, of each worker
    service  the socket of the service that reads documents in an account of its own; None reads them in processes of the signer's
             account, which each worker starts when it needs one
    """

    workers: int = Field(default=2, ge=1, le=64)
    service: Path | None = None


class ExamineSettings(Block):
    """Examination of documents before anybody approves them; sealing has priority.

    at_once             children of the sandbox at one time, for all clients together
    documents_a_minute  of one client; a second of the sandbox's work counts as 1000 documents
    """

    at_once: int = Field(default=1, ge=1, le=64)
    documents_a_minute: int = Field(default=60_000, ge=1)


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
    over at once, because two processes cannot hold the same listening port. ``inventory_file`` declares the office's keys; without it
    those of hsm_config count.
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
    workers: WorkerSettings = WorkerSettings()
    sandbox: SandboxSettings = SandboxSettings()
    examine: ExamineSettings = ExamineSettings()
    storage: StorageSettings = StorageSettings()
    checkpoint: CheckpointSettings | None = None
    inventory_file: Path | None = None
    metrics: Listen | None = None  # serves /metrics, /healthz and /readyz
    tracing: TracingSettings | None = None

    @model_validator(mode="after")
    def _in_time(self) -> SignerSettings:
        if not self.timestamp.is_own_alone and self.timestamp.within_s > self.limits.lease_s / 2:
            raise ValueError("timestamp.within_s is at most half of limits.lease_s")
        return self
