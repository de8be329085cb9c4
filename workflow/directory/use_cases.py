"""Use cases around people, units, clients and policies: added by an operator, every time with an event for the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.protocol.canonical import is_uuid7
from sealcore.protocol.p256 import require_canonical
from workflow import store
from workflow.delivery import events
from workflow.model import Client, Person, Rule, Unit
from workflow.office import Office
from workflow.policies import use_cases as policies


def add_unit(office: Office, by: str, unit: Unit) -> Unit:
    """CONFLICT when the code is taken."""
    _add(office, by, "unit.added", unit.code, lambda connection: store.add_unit(connection, unit))
    return unit


def add_person(office: Office, by: str, person: Person) -> Person:
    """Adds a person with the key of their decisions; one key is one person.

    This alone lets nobody approve: the signer counts only people in its own register, which a ``register`` act changes.
    """
    check_id(person.id)
    check_key(person.public_key)

    def add(connection: Any) -> None:
        _check_unit(connection, person.unit)
        store.add_person(connection, person)

    _add(office, by, "person.added", person.id, add, person=person.id)
    return person


def add_client(office: Office, by: str, client: Client) -> Client:
    """Adds a business system; its certificate takes an act, and until that is approved people must approve what it submits."""
    check_id(client.id)
    client = replace(client, approved=False)

    def add(connection: Any) -> None:
        _check_unit(connection, client.unit)
        store.add_client(connection, client)

    _add(office, by, "client.added", client.id, add)
    return client


def add_policy(office: Office, by: str, rule: Rule) -> Rule:
    """Adds a version of a policy that asks no less than those in force, and no more than can be met.

    Forms that are open keep the version they were submitted under.
    """
    people = office.register.people()
    _add(office, by, "policy.added", f"{rule.id}@{rule.version}", lambda connection: policies.add(connection, rule, people))
    return rule


def units(office: Office) -> list[Unit]:
    """All units."""
    with read(office.engine) as connection:
        return store.units(connection)


def people(office: Office, after: str, limit: int) -> list[Person]:
    """People by id."""
    with read(office.engine) as connection:
        return store.people(connection, after, limit)


def clients(office: Office, after: str, limit: int) -> list[Client]:
    """Clients by id."""
    with read(office.engine) as connection:
        return store.clients(connection, after, limit)


def all_policies(office: Office) -> list[Rule]:
    """All versions of all policies."""
    with read(office.engine) as connection:
        return store.rules(connection)


def check_id(value: str) -> None:
    """INVALID_ARGUMENT unless it is a UUIDv7."""
    if not is_uuid7(value):
        raise VermilionError(Code.INVALID_ARGUMENT, "ids of people and clients are UUIDv7")


def check_key(spki_der: bytes) -> None:
    """INVALID_ARGUMENT unless it is a P-256 key in its one encoding: the database tells keys apart by their bytes."""
    require_canonical(spki_der)


def _check_unit(connection: Any, code: str) -> None:
    if not store.unit_exists(connection, code):
        raise VermilionError(Code.NOT_FOUND, f"there is no unit {code}")


def _add(office: Office, by: str, event: str, subject: str, add: Callable[[Any], None], *, person: str = "") -> None:
    now = office.now()
    with write(office.engine) as connection:
        add(connection)
        events.record(connection, events.AUDIT, event, now, person=person, subject=subject, by=by)
