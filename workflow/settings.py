"""Settings of the workflow service, read from its TOML file."""

from __future__ import annotations

from pydantic import Field

from sealcore.ids import service_uri
from sealcore.platform.config import Block, DatabaseSettings, Listen, TlsSettings, TokenSettings
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.storage import StorageSettings
from sealcore.platform.tracing import TracingSettings
from workflow.directory.model import UNIT_PATTERN

DAY_S = 86_400


class QuotaSettings(Block):
    """One caller's share: calls and bytes of bodies at once, forms and bytes of forms a minute, forms that wait for people.

    ``bytes_held`` bounds the bodies of all callers together.
    """

    calls: int = Field(default=128, ge=1)
    bytes_at_once: int = Field(default=32 * 1024 * 1024, ge=1)
    bytes_held: int = Field(default=256 * 1024 * 1024, ge=1)
    forms_a_minute: int = Field(default=1200, ge=1)
    form_bytes_a_minute: int = Field(default=256 * 1024 * 1024, ge=1)
    open_forms: int = Field(default=10_000, ge=1)


class WorkflowSettings(Block):
    """All that the workflow needs to start.

    ``ca_target`` is ``host:port`` of the CA that takes approved revocations; without it there are no forms for them. ``office_unit`` is the unit of people and clients that are added without one. ``token_validity_s`` is the term of a
    form, from submission on; ``grant_validity_s`` the longest term of a standing approval. ``http`` is what may be taken of the HTTP
    front. ``metrics`` is where monitoring reads
    /metrics, /healthz and /readyz; ``tracing`` where spans go, of which there are none without it.
    """

    listen: Listen
    tls: TlsSettings
    token: TokenSettings
    database: DatabaseSettings
    signer_target: str
    issuer_key_label: str = "approval.issuer.1"
    audience: str = service_uri("signer")
    ca_target: str | None = None
    ca_audience: str = service_uri("ca")
    office_unit: str = Field(default="OFFICE", pattern=UNIT_PATTERN)
    office_name: str = Field(default="Office", min_length=1, max_length=200)
    token_validity_s: int = Field(default=7 * DAY_S, ge=60, le=92 * DAY_S)
    grant_validity_s: int = Field(default=366 * DAY_S, ge=60, le=5 * 366 * DAY_S)
    quota: QuotaSettings = QuotaSettings()
    http: HttpLimits = HttpLimits()
    storage: StorageSettings = StorageSettings()
    metrics: Listen | None = None
    tracing: TracingSettings | None = None
    register_cache_s: float = Field(default=2.0, ge=0.0, le=60.0)  # how late a change of the signer's register may be noticed
