"""Settings of the OCSP responder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from ca.names import Role
from sealcore.platform.config import Block, DatabaseSettings, Listen, TlsSettings, TokenSettings
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.tracing import TracingSettings


class OcspSettings(Block):
    """The OCSP responder.

    keys                 role of a CA → label of the key that answers for it, in every generation
    database             the CA's own, which is only read; on PostgreSQL the answers are a table of it, else a file in ``state_folder``
    pki_folder           the CAs' certificates, as the ceremony left them
    state_folder         where the delegate's certificates and the pre-signed answers are kept
    ca_target            ``host:port`` of the CA, which certifies the delegate
    validity_hours       from thisUpdate to nextUpdate of an answer; at half of it a new one is made
    nonce_answers_per_s  live answers with a nonce; beyond them the pre-signed ones go out, without a nonce
    http                 what may be taken of the HTTP front (``sealcore.platform.front.limits``)
    other_answers_per_s  live answers without one, where none is pre-signed: unknown serial numbers, several CertIDs
    """

    keys: dict[Role, str] = Field(min_length=1)
    database: DatabaseSettings
    pki_folder: Path
    state_folder: Path
    ca_target: str
    listen: Listen
    token: TokenSettings
    tls: TlsSettings
    validity_hours: int = Field(default=24, ge=1, le=168)
    nonce_answers_per_s: float = Field(default=50.0, ge=0)
    other_answers_per_s: float = Field(default=50.0, ge=0)
    http: HttpLimits = HttpLimits()
    metrics: Listen | None = None
    tracing: TracingSettings | None = None

    @property
    def validity(self) -> timedelta:
        """From thisUpdate to nextUpdate."""
        return timedelta(hours=self.validity_hours)
