"""The office: its names, ports, seals and people, as `vermilion init` settles them once in vermilion.toml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sealcore.platform.config import Block, Listen, load
from timestamp.clock_watch import ClockPolicy
from vermilion.state import toml
from vermilion.state.layout import Layout
from vermilion.state.tsas import SourcePlan


class SealPlan(Block):
    """A seal that the ceremony makes: its key in the signer's token, its words, and how many must approve."""

    id: str
    label: str
    kind: str
    caption: str
    number: str
    quorum: int = Field(ge=0, le=16)
    resume_quorum: int = Field(ge=1, le=16)
    certification: str = Field(default="", pattern=r"^(|final|form-fill)$")  # where nobody says it, its kind does


class PersonPlan(Block):
    """A person of the office, whose key is in the people's token."""

    id: str
    name: str
    unit: str
    roles: tuple[str, ...]


class Office(Block):
    """vermilion.toml.

    ``clock`` says whether timestamps stop while nothing synchronises the machine's clock (``require-synchronised``, for an office in
    earnest), or whether such a clock is trusted, as a look at the demo on any machine wants it.
    ``outside_ca_hosts`` are the hosts (``host`` or ``host:port``) that may be asked about seal certificates of outside CAs.
    """

    name: str
    name_english: str
    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    unit: str
    clock: ClockPolicy = "trust-machine"
    outside_ca_hosts: tuple[str, ...] = ()
    ports: dict[str, int]
    seals: tuple[SealPlan, ...] = ()
    people: tuple[PersonPlan, ...] = ()
    clients: dict[str, str] = Field(default_factory=dict)  # name → client id
    timestamp_sources: tuple[SourcePlan, ...] = ()  # in order of preference; none named: the signer's own unit alone

    def listen(self, port: str) -> Listen:
        return Listen(port=self.ports[port])

    def monitoring(self, service: str) -> Listen | None:
        """Where a service answers /metrics, /healthz and /readyz."""
        name = f"{service}_metrics"
        return self.listen(name) if name in self.ports else None

    def url(self, port: str, *, scheme: str = "http") -> str:
        return f"{scheme}://{self.listen(port).target}"

    def seal(self, kind: str) -> SealPlan:
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
