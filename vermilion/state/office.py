"""The office: its names, ports, seals and people, as `vermilion init` settles them once in vermilion.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, model_validator

from sealcore.hsm.algorithm import Algorithm
from sealcore.platform.config import Block, Listen, load
from sealcore.protocol.decision import MOST_PERSONS
from timestamp.clock_watch import ClockPolicy
from vermilion.state import toml
from vermilion.state.layout import Layout
from vermilion.state.tsas import SourcePlan

FIRST_UNIT: Final = "DEMO"  # of the clients of an office that names no units
UNTEMPLATED_QUORUM: Final = 2  # a standing approval without a template is the higher tier


class SealPlan(Block):
    """A seal that the ceremony makes: its key in the signer's token, its words, and how many must approve.

    algorithm      of its key; none named: as hsm_config/inventory.toml declares the key of this label
    name           the text on its ring; empty: the office's registered name
    quorum         approvers of documents; 0: the workflow alone approves them
    resume_quorum  approvers who let a stopped seal go on, or have its certificate revoked
    grant_quorum   approvers of a standing approval that no template bounds
    """

    id: str
    label: str
    kind: str
    algorithm: Algorithm | None = None
    name: str = ""
    caption: str
    number: str
    quorum: int = Field(ge=0, le=MOST_PERSONS)
    resume_quorum: int = Field(ge=1, le=MOST_PERSONS)
    grant_quorum: int = Field(default=UNTEMPLATED_QUORUM, ge=0, le=MOST_PERSONS)
    certification: str = Field(default="", pattern=r"^(|final|form-fill)$")  # where nobody says it, its kind does


class PersonPlan(Block):
    """A person of the office, whose key is in the people's token."""

    id: str
    name: str
    unit: str
    roles: tuple[str, ...]


class UnitPlan(Block):
    """A part of the organisation; its code begins the numbers of its forms."""

    code: str
    name: str


_HTTP: Final = r"^(|http://[^/\s]+[^\s]*)$"
_ANY: Final = r"^(|https?://[^/\s]+[^\s]*)$"
_HTTPS: Final = r"^(|https://[^/\s]+[^\s]*)$"


class AddressPlan(Block):
    """Under which addresses strangers reach the office. An empty one: where the service listens, on this machine."""

    authority: str = Field(
        default="",
        pattern=_HTTP,  # fetching a revocation list must not need a certificate
        description="http://… of revocation lists and CA certificates; it stands in every certificate and cannot be changed there",
    )
    ocsp: str = Field(
        default="",
        pattern=_HTTP,
        description="http://… that answers for the status of certificates; it stands in every certificate and cannot be changed there",
    )
    timestamp: str = Field(default="", pattern=_ANY, description="http(s)://… of the timestamp authority")
    verify: str = Field(default="", pattern=_ANY, description="http(s)://… of the page where strangers verify documents")
    ledger: str = Field(default="", pattern=_ANY, description="http(s)://… of the public log of seals")
    office: str = Field(default="", pattern=_HTTPS, description="https://… of the office's own pages")
    signer_page: str = Field(
        default="", pattern=_HTTPS, description="https://… of the page where people decide; passkeys are bound to its host name for ever"
    )
    names: tuple[str, ...] = Field(
        default=(), description="host names and IP addresses that stand in the certificates of the services, beside 127.0.0.1"
    )
    listen: dict[str, str] = Field(
        default_factory=dict,
        description="a port's name in vermilion.toml, and the address on which its service listens instead of 127.0.0.1",
    )


class Office(Block):
    """vermilion.toml.

    ``name`` is the registered name, as it stands in certificates; ``names`` are those in further languages, by language tag.
    ``registration_number`` is the organizationIdentifier (ETSI EN 319 412-1 §5.1.4); empty where certificates have a local one.
    ``unit`` is the unit under which acts are numbered, ``clients`` is name → id, in the units that ``client_units`` says.
    ``clock`` says whether timestamps stop while nothing synchronises the machine's clock (``require-synchronised``, for an office in
    earnest), or whether such a clock is trusted, as a look at the demo on any machine wants it.
    ``outside_ca_hosts`` are the hosts (``host`` or ``host:port``) that may be asked about seal certificates of outside CAs.
    """

    name: str
    name_english: str
    names: dict[str, str] = Field(default_factory=dict)
    country: str = Field(default="CN", pattern=r"^[A-Z]{2}$")
    registration_number: str = ""
    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    unit: str
    register_quorum: int = Field(default=2, ge=1, le=MOST_PERSONS)
    clock: ClockPolicy = "trust-machine"
    outside_ca_hosts: tuple[str, ...] = ()
    ports: dict[str, int]
    addresses: AddressPlan = AddressPlan()
    units: tuple[UnitPlan, ...] = ()
    seals: tuple[SealPlan, ...] = ()
    people: tuple[PersonPlan, ...] = ()
    clients: dict[str, str] = Field(default_factory=dict)
    client_units: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # name → its own unit, then those that it may apply for too
    timestamp_sources: tuple[SourcePlan, ...] = ()  # in order of preference; none named: the signer's own unit alone

    @model_validator(mode="before")
    @classmethod
    def _from_before(cls, values: Any) -> Any:
        """An office of a release in which units were constants has those."""
        if not isinstance(values, Mapping) or "units" in values or not {"unit", "name_english"} <= values.keys():
            return values
        units = [{"code": FIRST_UNIT, "name": "Demonstration"}, {"code": values["unit"], "name": values["name_english"]}]
        return {**values, "units": units, "client_units": dict.fromkeys(values.get("clients", {}), (FIRST_UNIT,))}

    @property
    def title(self) -> str:
        """The registered name and, where it is another, the English one."""
        return self.name if self.name_english == self.name else f"{self.name} · {self.name_english}"

    def listen(self, port: str) -> Listen:
        return Listen(port=self.ports[port])

    def monitoring(self, service: str) -> Listen | None:
        """Where a service answers /metrics, /healthz and /readyz."""
        name = f"{service}_metrics"
        return self.listen(name) if name in self.ports else None

    def url(self, port: str, *, scheme: str = "http") -> str:
        return f"{scheme}://{self.listen(port).target}"

    def public_url(self, what: str, port: str) -> str:
        """The address under which strangers reach this: the one of ``addresses``, else where it listens."""
        return str(getattr(self.addresses, what)).rstrip("/") or self.url(port)

    def seal(self, kind: str) -> SealPlan:
        """The first seal of this kind."""
        return next(seal for seal in self.seals if seal.kind == kind)

    def person(self, name_or_id: str) -> PersonPlan | None:
        return next((person for person in self.people if name_or_id in (person.id, person.name)), None)

    def save(self, layout: Layout) -> None:
        """Writes vermilion.toml whole or not at all."""
        toml.write(layout.office_file, self.model_dump(mode="json"))

    @classmethod
    def load(cls, layout: Layout) -> Office:
        """Reads vermilion.toml; raises CONFIGURATION_INVALID."""
        return load(layout.office_file, cls)


def find(state: Path) -> tuple[Layout, Office]:
    """The office in ``state``; raises CONFIGURATION_INVALID when there is none."""
    layout = Layout.at(state)
    return layout, Office.load(layout)
