"""Use cases around people, units and clients: added by an operator, every time with an event for the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.protocol.canonical import is_uuid7
from sealcore.protocol.p256 import require_canonical
from workflow.delivery import events
from workflow.directory import store as directory_store
from workflow.directory.model import Client, Person, Unit
from workflow.office import Office


def add_unit(office: Office, by: str, unit: Unit) -> Unit:
    """CONFLICT when the code is taken."""
    _add(office, by, "unit.added", unit.code, lambda connection: directory_store.add_unit(connection, unit))
    return unit


def add_person(office: Office, by: str, person: Person) -> Person:
    """Adds a person with the key of their decisions; one key is one person.

    This alone lets nobody approve: the signer counts only people in its own register, which a ``register`` act changes.
    """
    check_id(person.id)
    check_key(person.public_key)

    def add(connection: Any) -> None:
        _check_unit(connection, person.unit)
        directory_store.add_person(connection, person)

    _add(office, by, "person.added", person.id, add, person=person.id)
    return person


def add_client(office: Office, by: str, client: Client) -> Client:
    """Adds a business system; its certificate takes an act, and until that is approved people must approve what it submits."""
    check_id(client.id)
    client = replace(client, approved=False)

    def add(connection: Any) -> None:
        _check_unit(connection, client.unit)
        if client.name.casefold() in (name.casefold() for name in directory_store.client_names(connection)):
            raise VermilionError(Code.CONFLICT, f"a client is called {client.name} already")
        directory_store.add_client(connection, client)

    _add(office, by, "client.added", client.id, add)
    return client


def units(office: Office) -> list[Unit]:
    """All units."""
    with read(office.engine) as connection:
        return directory_store.units(connection)


def people(office: Office, after: str, limit: int) -> list[Person]:
    """People by id."""
    with read(office.engine) as connection:
        return directory_store.people(connection, after, limit)


def clients(office: Office, after: str, limit: int) -> list[Client]:
    """Clients by id."""
    with read(office.engine) as connection:
        return directory_store.clients(connection, after, limit)


def check_id(value: str) -> None:
    """INVALID_ARGUMENT unless it is a UUIDv7."""
    if not is_uuid7(value):
        raise VermilionError(Code.INVALID_ARGUMENT, "ids of people and clients are UUIDv7")


def check_key(spki_der: bytes) -> None:
    """INVALID_ARGUMENT unless it is a P-256 key in its one encoding: the database tells keys apart by their bytes."""
    require_canonical(spki_der)


def _check_unit(connection: Any, code: str) -> None:
    if not directory_store.unit_exists(connection, code):
        raise VermilionError(Code.NOT_FOUND, f"there is no unit {code}")


def _add(office: Office, by: str, event: str, subject: str, add: Callable[[Any], None], *, person: str = "") -> None:
    now = office.now()
    with write(office.engine) as connection:
        add(connection)
        events.record(connection, events.AUDIT, event, now, person=person, subject=subject, by=by)
