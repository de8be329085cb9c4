"""The office: its names, ports, seals and people, as `vermilion init` settles them once in vermilion.toml."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import Field

from sealcore.platform.config import Block, Listen, load
from timestamp.clock_watch import ClockPolicy
from vermilion import toml
from vermilion.layout import Layout
from vermilion.tsas import SourcePlan

DEFAULT_PORTS = {
    "signer": 8701,
    "ca": 8702,
    "ca_http": 8703,
    "timestamp": 8704,
    "ledger": 8705,
    "witness": 8706,
    "verify": 8707,
    "verify_rpc": 8708,
    "workflow": 8709,
    "ocsp": 8710,
    "signer_metrics": 8711,
    "ca_metrics": 8712,
    "timestamp_metrics": 8714,
    "ledger_metrics": 8715,
    "witness_metrics": 8716,
    "verify_metrics": 8717,
    "workflow_metrics": 8719,
    "ocsp_metrics": 8720,
}
HIGHEST_PORT = 32767  # above begins Linux's range for outgoing connections: such a port may be taken tomorrow


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


def choose_ports(first: int | None, is_free: Callable[[int], bool], known: Mapping[str, int] | None = None) -> dict[str, int]:
    """A free port for each listener: the default or, where that is taken, the next free one; ``first`` moves the whole row.

    ``known`` ports stay as they are: an office from before a listener came about gets the missing ones beside its own.
    """
    chosen = dict(known or {})
    if first is None and "signer" in chosen:
        first = chosen["signer"]
    shift = 0 if first is None else first - min(DEFAULT_PORTS.values())
    for name, default in DEFAULT_PORTS.items():
        if name in chosen:
            continue
        candidates = (port for port in range(default + shift, HIGHEST_PORT) if port not in chosen.values() and is_free(port))
        chosen[name] = next(candidates)
    return chosen


def port_is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find(state: Path) -> tuple[Layout, Office]:
    """The office in ``state``; raises CONFIGURATION_INVALID when there is none."""
    layout = Layout.at(state)
    return layout, Office.load(layout)
