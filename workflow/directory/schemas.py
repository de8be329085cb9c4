"""People, units, clients."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import Field, StringConstraints

from sealcore.ids import client_uri, uuid7
from workflow.directory import model
from workflow.web.fields import Body, Name, RoleName, UnitCode, Uuid, bytes_of


class Unit(Body):
    """A part of the organisation."""

    code: UnitCode
    name: Name

    def to_domain(self) -> model.Unit:
        return model.Unit(self.code, self.name)


class KnownUnit(Body):
    """A part of the organisation; one that is not `active` has ended and takes nothing new."""

    code: UnitCode
    name: Name
    active: bool


class UnitName(Body):
    """Another name for a unit."""

    name: Name


class Units(Body):
    """All units."""

    units: list[KnownUnit]


class NewPerson(Body):
    """A person to be added; `public_key` is the SubjectPublicKeyInfo of a P-256 key in base64."""

    id: Uuid | None = None
    name: Name
    unit: UnitCode | None = None
    roles: Annotated[list[RoleName], Field(min_length=1, max_length=5)]
    public_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=400)]

    def to_domain(self, default_unit: str) -> model.Person:
        roles = frozenset(model.Role(name) for name in self.roles)
        return model.Person(self.id or uuid7(), self.name, self.unit or default_unit, roles, bytes_of(self.public_key))


class Person(Body):
    """A person."""

    id: Uuid
    name: str
    unit: str
    roles: list[RoleName]
    public_key: str
    active: bool


class People(Body):
    """A page of people."""

    people: list[Person]
    next: Uuid | None


class NewClient(Body):
    """A business system to be added; `uri` is the SAN URI of its certificate, by default made from its id."""

    id: Uuid | None = None
    name: Name
    uri: Annotated[str, StringConstraints(pattern=r"^https://vermilion.internal/client/[A-Za-z0-9._-]{1,100}$")] | None = None
    unit: UnitCode | None = None
    units: Annotated[list[UnitCode], Field(max_length=200, description="Further units that it may apply for.")] = Field(
        default_factory=list
    )

    def to_domain(self, default_unit: str) -> model.Client:
        client_id = self.id or uuid7()
        units = frozenset(self.units)
        return model.Client(client_id, self.name, self.uri or client_uri(client_id), self.unit or default_unit, units=units)


class Client(Body):
    """A business system; `approved` once people let it in. Until then nothing of it is approved without a person."""

    id: Uuid
    name: str
    uri: str
    unit: str
    units: list[str]
    active: bool
    approved: bool


class Clients(Body):
    """A page of clients."""

    clients: list[Client]
    next: Uuid | None


def unit(one: model.Unit) -> KnownUnit:
    """A unit."""
    return KnownUnit(code=one.code, name=one.name, active=one.active)


def person(one: model.Person) -> Person:
    """A person."""
    return Person.model_validate(
        {
            "id": one.id,
            "name": one.name,
            "unit": one.unit,
            "roles": sorted(map(str, one.roles)),
            "public_key": base64.b64encode(one.public_key).decode("ascii"),
            "active": one.active,
        }
    )


def client(one: model.Client) -> Client:
    """A client."""
    return Client(id=one.id, name=one.name, uri=one.uri, unit=one.unit, units=sorted(one.units), active=one.active, approved=one.approved)
