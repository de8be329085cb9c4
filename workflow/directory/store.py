"""Units, people and clients in the database. Each function works inside the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from sealcore.errors import Code, VermilionError
from workflow import tables
from workflow.directory.model import Client, Person, Role, Unit
from workflow.rows import insert_row


def units(connection: Connection) -> list[Unit]:
    """All units, by code."""
    return [Unit(row.code, row.name, row.active) for row in connection.execute(select(tables.units).order_by(tables.units.c.code))]


def unit(connection: Connection, code: str, *, lock: bool = False) -> Unit:
    """One unit; NOT_FOUND. With ``lock`` its row stays ours until the transaction ends."""
    query = select(tables.units).where(tables.units.c.code == code)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise VermilionError(Code.NOT_FOUND, f"there is no unit {code}")
    return Unit(row.code, row.name, row.active)


def open_unit(connection: Connection, code: str) -> Unit:
    """One unit that takes new forms, people and clients; NOT_FOUND, UNIT_NOT_ALLOWED for one that has ended."""
    found = unit(connection, code)
    if not found.active:
        raise VermilionError(Code.UNIT_NOT_ALLOWED, f"the unit {code} has ended; it takes nothing new")
    return found


def change_unit(connection: Connection, changed: Unit) -> None:
    """Writes a unit's name, and whether it goes on."""
    connection.execute(update(tables.units).where(tables.units.c.code == changed.code).values(name=changed.name, active=changed.active))


def unit_exists(connection: Connection, code: str) -> bool:
    """Whether a unit has this code."""
    return connection.execute(select(tables.units.c.code).where(tables.units.c.code == code)).first() is not None


def add_unit(connection: Connection, unit: Unit) -> None:
    """CONFLICT when its code is taken."""
    insert_row(connection, tables.units, {"code": unit.code, "name": unit.name}, f"the unit {unit.code} exists")


def _person(row: Row[Any]) -> Person:
    return Person(row.id, row.name, row.unit, frozenset(Role(name) for name in row.roles.split()), row.public_key, row.active)


def find_person(connection: Connection, person_id: str) -> Person | None:
    """One person, if there is such."""
    row = connection.execute(select(tables.people).where(tables.people.c.id == person_id)).first()
    return None if row is None else _person(row)


def holds_key(connection: Connection, spki_der: bytes) -> bool:
    """Whether somebody holds this key."""
    return connection.execute(select(tables.people.c.id).where(tables.people.c.public_key == spki_der)).first() is not None


def person(connection: Connection, person_id: str) -> Person:
    """One person; NOT_FOUND."""
    found = find_person(connection, person_id)
    if found is None:
        raise VermilionError(Code.NOT_FOUND, f"there is no person {person_id}")
    return found


def people(connection: Connection, after: str, limit: int) -> list[Person]:
    """People by id, from ``after`` on."""
    query = select(tables.people).where(tables.people.c.id > after).order_by(tables.people.c.id).limit(limit)
    return [_person(row) for row in connection.execute(query)]


def add_person(connection: Connection, new: Person) -> None:
    """CONFLICT when the id or the key is taken: one key, one person."""
    values = {
        "id": new.id,
        "name": new.name,
        "unit": new.unit,
        "roles": " ".join(sorted(new.roles)),
        "public_key": new.public_key,
        "active": new.active,
    }
    insert_row(connection, tables.people, values, "a person with this id or this public key exists")


def _client(connection: Connection, row: Row[Any]) -> Client:
    bound = select(tables.client_units.c.unit).where(tables.client_units.c.client == row.id)
    return Client(row.id, row.name, row.uri, row.unit, row.active, row.approved, frozenset(connection.execute(bound).scalars()))


def client_by_uri(connection: Connection, uri: str) -> Client | None:
    """The client whose certificate names ``uri``."""
    row = connection.execute(select(tables.clients).where(tables.clients.c.uri == uri)).first()
    return None if row is None else _client(connection, row)


def find_client(connection: Connection, client_id: str) -> Client | None:
    """The client with this id, if there is such."""
    row = connection.execute(select(tables.clients).where(tables.clients.c.id == client_id)).first()
    return None if row is None else _client(connection, row)


def clients(connection: Connection, after: str, limit: int) -> list[Client]:
    """Clients by id, from ``after`` on."""
    query = select(tables.clients).where(tables.clients.c.id > after).order_by(tables.clients.c.id).limit(limit)
    return [_client(connection, row) for row in connection.execute(query).all()]


def client_names(connection: Connection) -> list[str]:
    """The names of all clients that were not removed."""
    return list(connection.execute(select(tables.clients.c.name).where(tables.clients.c.active)).scalars())


def remove_client(connection: Connection, client_id: str) -> None:
    """Takes a client's leave to apply, for good."""
    connection.execute(update(tables.clients).where(tables.clients.c.id == client_id).values(active=False))


def add_client(connection: Connection, new: Client) -> None:
    """CONFLICT when the id or the URI is taken, NOT_FOUND for a unit that is not there."""
    values = {"id": new.id, "name": new.name, "uri": new.uri, "unit": new.unit, "active": new.active, "approved": new.approved}
    insert_row(connection, tables.clients, values, "a client with this id or this URI exists")
    for unit in sorted(new.units):
        insert_row(connection, tables.client_units, {"client": new.id, "unit": unit}, "the client has this unit")


def approve_client(connection: Connection, uri: str) -> None:
    """Notes that people let this client in; nothing for a URI that no client has."""
    connection.execute(update(tables.clients).where(tables.clients.c.uri == uri).values(approved=True))
