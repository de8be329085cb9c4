"""Settings of the CA service and of the steps of its ceremony."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from pydantic import Field

from sealcore.platform.config import Block, DatabaseSettings, Listen, TlsSettings, TokenSettings
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.storage import StorageSettings
from sealcore.platform.tracing import TracingSettings

_LOCAL_ID_DIGITS: Final = 12


class CaSettings(Block):
    """The CA service.

    public_url     where strangers reach its HTTP; goes into every certificate
    ocsp_url       where strangers ask for the status of a certificate (RFC 6960); goes into every certificate of the issuing CAs
    pki_folder     root.pem, seals.pem, infrastructure.pem, as the ceremony left them
    signer_target  ``host:port`` of the signer, whose ledger is told of every issue and revocation
    ceremony_file  another ceremony file than the one that ships with us
    http           what may be taken of the HTTP front (``sealcore.platform.front.limits``)
    storage        how much of the disk is kept back, and for revocations and holds
    metrics        where monitoring reads: /metrics, /healthz, /readyz
    tracing        where spans go; none are made without it
    """

    listen_http: Listen
    listen_rpc: Listen
    token: TokenSettings
    tls: TlsSettings
    database: DatabaseSettings
    public_url: str = Field(pattern=r"^http://[^/\s]+(/[^\s]*)?$")  # http: fetching a CRL must not need a certificate
    ocsp_url: str = Field(pattern=r"^http://[^/\s]+(/[^\s]*)?$")
    pki_folder: Path
    signer_target: str
    ceremony_file: Path | None = None
    http: HttpLimits = HttpLimits()
    storage: StorageSettings = StorageSettings()
    metrics: Listen | None = None
    tracing: TracingSettings | None = None


class CeremonySettings(Block):
    """One step of the ceremony, with the one token that it opens: the root's for ``root`` and ``root-crl``, else the CA's.

    ocsp_url                 where strangers ask for the status of a certificate; goes into every certificate of the issuing CAs
    organization             the office's registered name
    organization_identifier  its number in a register, as ETSI EN 319 412-1 §5.1.4 writes it, e.g. NTRCN-…; without one, a local
                             identifier is made from the name
    country                  ISO 3166-1 alpha-2
    """

    token: TokenSettings
    database: DatabaseSettings
    public_url: str = Field(pattern=r"^http://[^/\s]+(/[^\s]*)?$")
    ocsp_url: str = Field(pattern=r"^http://[^/\s]+(/[^\s]*)?$")
    pki_folder: Path
    organization: str = Field(min_length=1, max_length=64)  # RFC 5280 appendix A: ub-organization-name
    organization_identifier: str | None = Field(default=None, min_length=1, max_length=64)
    country: str = Field(default="CN", pattern=r"^[A-Z]{2}$")
    ceremony_file: Path | None = None

    @property
    def identifier(self) -> str:
        """The organizationIdentifier."""
        return organization_identifier(self.country, self.organization, self.organization_identifier)


def organization_identifier(country: str, organization: str, number: str | None) -> str:
    """The organizationIdentifier of an office: its number in a register or, without one, a local identifier made from the name; a local
    scheme is two characters and a colon (ETSI EN 319 412-1 §5.1.4)."""
    digits = hashlib.sha256(organization.encode()).hexdigest()[:_LOCAL_ID_DIGITS]
    return number or f"VM:{country}-{digits}"
