"""Settings of the verification service (``python -m verify --config FILE``)."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, model_validator

from sealcore.platform.config import Block, Listen, TlsSettings
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.tracing import TracingSettings
from verify.trust import TrustMaterial

MEBIBYTE = 1024 * 1024


class TrustSettings(Block):
    """What we trust: PEM files of the root and of the CA that issues seals and timestamp units, and our own CRL addresses.

    ``timestamp_anchors_files`` are the roots of outside TSAs, ``timestamp_issuers_files`` the CAs below them: they count for timestamps
    alone. ``signer_anchors_files`` and ``signer_issuers_files`` are those of others who may sign after us; they make nobody's signature a
    seal. The CRLs of all these are named in ``crl_urls`` too: without them revocation is unknown.
    ``crl_urls`` are those of the root and of the seals CA; ``crl_cache`` is a folder that keeps them over a restart.
    """

    root_file: Path
    seals_file: Path
    crl_urls: tuple[str, ...] = ()
    crl_cache: Path | None = None
    timestamp_anchors_files: tuple[Path, ...] = ()
    timestamp_issuers_files: tuple[Path, ...] = ()
    signer_anchors_files: tuple[Path, ...] = ()
    signer_issuers_files: tuple[Path, ...] = ()

    def load(self) -> TrustMaterial:
        """Reads the files; raises CONFIGURATION_INVALID naming the one that cannot be used."""
        return TrustMaterial.load(
            self.root_file,
            self.seals_file,
            timestamp_anchors_files=self.timestamp_anchors_files,
            timestamp_issuers_files=self.timestamp_issuers_files,
            signer_anchors_files=self.signer_anchors_files,
            signer_issuers_files=self.signer_issuers_files,
        )


class LogSettings(Block):
    """The public ledger: where it is served, its key and its witness's (``NAME+KEYID+BASE64``)."""

    url: str
    log_key: str
    witness_key: str


class ServerTls(Block):
    """Server TLS without client certificates: strangers have none."""

    key_file: Path
    certificate_file: Path

    @property
    def trust_file(self) -> None:
        """Nobody is asked for a certificate, so no CA is trusted."""
        return None


class Limits(Block):
    """What strangers may take, over HTTP and gRPC together. An address is an IPv4 address or an IPv6 /64.

    document_bytes   the largest file
    workers          documents of one address read at the same time, each of which takes a core; one more place is for others
    queue            documents that wait for a worker; then one of the address with the most of them gives way to others
    uploads          files that are on their way in, or being checked
    uploads_of_one   of those, from one address
    upload_s         how long one file may take to arrive
    upload_rate      bytes a second that it has to bring on average, once ``grace_s`` are over
    held             bytes of all files that are on their way in or being checked, as a number of the largest ones
    held_of_one      of those, from one address
    wait_s           how long a file waits for room among them
    """

    document_bytes: int = Field(default=64 * MEBIBYTE, ge=1024)
    workers: int = Field(default=2, ge=1, le=64)
    queue: int = Field(default=32, ge=0)
    uploads: int = Field(default=64, ge=1)
    uploads_of_one: int = Field(default=16, ge=1)
    upload_s: float = Field(default=120.0, gt=0)
    upload_rate: int = Field(default=4 * 1024, ge=1)
    grace_s: float = Field(default=10.0, gt=0)
    held: int = Field(default=8, ge=2)
    held_of_one: int = Field(default=2, ge=2)  # two, since a form is a little larger than its file
    wait_s: float = Field(default=5.0, ge=0)

    @property
    def held_bytes(self) -> int:
        """``held`` in bytes."""
        return max(self.held, self.held_of_one) * self.document_bytes

    @property
    def held_bytes_of_one(self) -> int:
        """``held_of_one`` in bytes."""
        return self.held_of_one * self.document_bytes


class VerifySettings(Block):
    """The whole configuration.

    office         what the page calls the office
    ledger         None leaves authorisation unanswered, which every report then says
    signer_target  asked, with ``tls``, for form numbers and the committed size of the ledger; None asks nobody
    rpc_tls        None serves gRPC in plain text, which is allowed on a loopback address alone
    http           what may be taken of the HTTP front (``sealcore.platform.front.limits``)
    sandbox        the socket of the service that reads documents in an account of its own; None reads them in processes of this account
    metrics        where monitoring reads: /metrics, /healthz, /readyz; strangers have no business there
    tracing        where spans go; none are made without it
    """

    listen_http: Listen
    listen_rpc: Listen
    trust: TrustSettings
    ledger: LogSettings | None = None
    signer_target: str | None = None
    tls: TlsSettings | None = None
    rpc_tls: ServerTls | None = None
    limits: Limits = Limits()
    office: str = ""
    http: HttpLimits = HttpLimits()
    sandbox: Path | None = None
    metrics: Listen | None = None
    tracing: TracingSettings | None = None

    @model_validator(mode="after")
    def _whole(self) -> VerifySettings:
        if self.signer_target is not None and self.tls is None:
            raise ValueError("signer_target needs tls: the signer answers known services only")
        if self.rpc_tls is None and not _is_loopback(self.listen_rpc.host):
            raise ValueError("listen_rpc beyond this machine needs rpc_tls")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
