"""The services of an office, one entry each. Whatever must know them reads this table.

From it derive the start order (``launcher``), the ports (``ports``), the tokens and mTLS identities that the ceremony makes, each
service's settings and the scrape targets (``configuration``), what ``doctor`` looks at, and the files of ``deploy/`` (``deployment``).
A new service is an entry at the table's end and its package; keys of its own are declared in ``hsm_config/inventory.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from vermilion.operation import service_settings
from vermilion.state.layout import Layout
from vermilion.state.office import Office

METRICS: Final = "metrics"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

Settings = Callable[[Layout, Office], Mapping[str, Any]]


class Identity(StrEnum):
    """What a service's mTLS certificate is for."""

    NONE = "none"
    CLIENT = "client"  # it calls other services and is called by none over mTLS
    SERVER = "server"


@dataclass(frozen=True)
class Listener:
    """An address that a service listens on.

    name      of its port in vermilion.toml
    port      by default
    protocol  "grpc" and "https" ask callers for a certificate, unless the service is for strangers
    block     of the service's settings that holds the address
    """

    name: str
    port: int
    protocol: Literal["grpc", "https", "http"]
    block: str = "listen"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not 1024 <= self.port <= 32767:
            raise ValueError(f"{self.name}:{self.port} is no listener")


@dataclass(frozen=True)
class ServiceSpec:
    """One process: ``python -m MODULE --config STATE/config/NAME.toml``, in an account of its own (``vermilion-NAME``) in earnest.

    name           of its state folder, settings file, log, token, certificate (``…/service/NAME``), account and scrape job
    purpose        half a line for the operator
    listeners      where it is called
    metrics_port   where it answers ``/metrics``, ``/healthz``, ``/readyz``, by default
    after          the services that must be ready before it starts
    identity       its mTLS certificate
    has_token      whether it has an HSM token, and a PIN, of its own
    database       the service whose database it uses: itself, or another's, which it only reads
    published      the part of its state folder that the other services' accounts may read
    settings       its own settings, beyond the blocks that follow from the above
    memory_max_mb  10^6 bytes; beyond it systemd ends the service, so it lies far above what its own limits let it hold
    cpu_weight     its share of a busy machine, 100 being everyone's (systemd.resource-control(5))
    walled         it reads strangers' bytes and needs neither network nor token: systemd walls it in from outside as well
    """

    name: str
    module: str
    purpose: str
    listeners: tuple[Listener, ...] = ()
    metrics_port: int | None = None
    after: tuple[str, ...] = ()
    identity: Identity = Identity.NONE
    has_token: bool = False
    database: str | None = None
    published: str | None = None
    settings: Settings = lambda _layout, _office: {}
    memory_max_mb: int = 1000
    cpu_weight: int = 100
    walled: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in self.after or self.memory_max_mb <= 0 or not 1 <= self.cpu_weight <= 10_000:
            raise ValueError(f"the service {self.name} is not well described")

    @property
    def account(self) -> str:
        """The operating system's account that owns what is the service's."""
        return f"vermilion-{self.name}"

    @property
    def unit(self) -> str:
        """Its systemd unit. Services named like their package are instances of ``vermilion@``, as they were first released."""
        return f"vermilion@{self.name}.service" if self.module == self.name else f"{self.account}.service"

    @property
    def reads_database_of(self) -> str | None:
        """The service whose database it reads without owning it."""
        return None if self.database == self.name else self.database

    @property
    def ports(self) -> dict[str, int]:
        """The names and defaults of all its ports."""
        own = {listener.name: listener.port for listener in self.listeners}
        return own if self.metrics_port is None else own | {f"{self.name}_{METRICS}": self.metrics_port}

    def ports_in(self, office: Office) -> list[int]:
        """Its ports in this office; one made by an older version has none for a newer listener until its next `up`."""
        return [office.ports[name] for name in self.ports if name in office.ports]


SERVICES: Final[tuple[ServiceSpec, ...]] = (  # `deploy/accounts.sh --numbers` counts in this order: a new one goes to the end
    ServiceSpec(
        name="signer",
        module="signer",
        purpose="seals what people approved",
        listeners=(Listener("signer", 8701, "grpc"),),
        metrics_port=8711,
        after=("ca", "timestamp", "sandbox"),
        identity=Identity.SERVER,
        has_token=True,
        database="signer",
        settings=service_settings.signer,
        memory_max_mb=6000,
        cpu_weight=200,
    ),
    ServiceSpec(
        name="ca",
        module="ca",
        purpose="certificates and revocation lists",
        listeners=(Listener("ca", 8702, "grpc", "listen_rpc"), Listener("ca_http", 8703, "http", "listen_http")),
        metrics_port=8712,
        identity=Identity.SERVER,
        has_token=True,
        database="ca",
        settings=service_settings.ca,
    ),
    ServiceSpec(
        name="timestamp",
        module="timestamp",
        purpose="timestamps for everyone (RFC 3161)",
        listeners=(Listener("timestamp", 8704, "http"),),
        metrics_port=8714,
        has_token=True,
        settings=service_settings.timestamp,
    ),
    ServiceSpec(
        name="workflow",
        module="workflow",
        purpose="forms, decisions, approval tokens",
        listeners=(Listener("workflow", 8709, "https"),),
        metrics_port=8719,
        after=("ca", "signer"),
        identity=Identity.SERVER,
        has_token=True,
        database="workflow",
        settings=service_settings.workflow,
        memory_max_mb=2000,
    ),
    ServiceSpec(
        name="ledger",
        module="ledger",
        purpose="publishes the log of all seals",
        listeners=(Listener("ledger", 8705, "http"),),
        metrics_port=8715,
        after=("signer", "witness"),
        identity=Identity.CLIENT,
        has_token=True,
        published="public",
        settings=service_settings.ledger,
    ),
    ServiceSpec(
        name="witness",
        module="ledger.witness",
        purpose="cosigns the log; on the machine of whoever keeps it honest",
        listeners=(Listener("witness", 8706, "http"),),
        metrics_port=8716,
        has_token=True,
        settings=service_settings.witness,
    ),
    ServiceSpec(
        name="verify",
        module="verify",
        purpose="verifies sealed documents for everyone",
        listeners=(Listener("verify", 8707, "http", "listen_http"), Listener("verify_rpc", 8708, "grpc", "listen_rpc")),
        metrics_port=8717,
        after=("ca", "signer", "sandbox"),
        identity=Identity.SERVER,
        settings=service_settings.verify,
        memory_max_mb=6000,
    ),
    ServiceSpec(
        name="ocsp",
        module="ca.ocsp",
        purpose="the status of certificates (RFC 6960)",
        listeners=(Listener("ocsp", 8710, "http"),),
        metrics_port=8720,
        after=("ca",),
        identity=Identity.CLIENT,
        has_token=True,
        database="ca",
        settings=service_settings.ocsp,
    ),
    ServiceSpec(
        name="sandbox",
        module="sandbox",
        purpose="reads strangers' documents",
        published="callers",
        settings=service_settings.sandbox,
        memory_max_mb=8000,
        walled=True,
    ),
)


def start_waves(services: Sequence[ServiceSpec]) -> list[list[ServiceSpec]]:
    """The services in the order of their start: each wave when all earlier ones are ready. Who is not among them is not waited for.

    ValueError when some wait for each other.
    """
    waves: list[list[ServiceSpec]] = []
    waiting, names = list(services), {service.name for service in services}
    while waiting:
        left = {service.name for service in waiting}
        wave = [service for service in waiting if not left & names & set(service.after)]
        if not wave:
            raise ValueError(f"these services wait for each other: {', '.join(sorted(left))}")
        waves.append(wave)
        waiting = [service for service in waiting if service not in wave]
    return waves


def named(name: str, services: Sequence[ServiceSpec] = SERVICES) -> ServiceSpec:
    """The service of this name; KeyError."""
    return {service.name: service for service in services}[name]
