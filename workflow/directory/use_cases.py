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
from workflow.forms import store as form_store
from workflow.forms.model import FormState
from workflow.office import Office


def add_unit(office: Office, by: str, unit: Unit) -> Unit:
    """CONFLICT when the code is taken."""
    _add(office, by, "unit.added", unit.code, lambda connection: directory_store.add_unit(connection, unit))
    return unit


def rename_unit(office: Office, by: str, code: str, name: str) -> Unit:
    """Another name for a unit; its code stays, as numbers of forms begin with it. NOT_FOUND."""

    def rename(unit: Unit) -> Unit:
        return replace(unit, name=name)

    return _change_unit(office, by, "unit.renamed", code, rename)


def end_unit(office: Office, by: str, code: str) -> Unit:
    """From now on no form is filed under a unit, and no person or client enters it; what is open is decided on as before.

    NOT_FOUND; CONFLICT for the office's own unit, under which acts are filed.
    """
    if code == office.bounds.office_unit:
        raise VermilionError(
            Code.CONFLICT, f"{code} is the office's own unit, under which changes of the register are filed; it does not end"
        )

    def end(unit: Unit) -> Unit:
        return replace(unit, active=False)

    return _change_unit(office, by, "unit.ended", code, end)


def _change_unit(office: Office, by: str, event: str, code: str, change: Callable[[Unit], Unit]) -> Unit:
    """The unit, changed; the same change again changes nothing and is no event."""
    now = office.now()
    with write(office.engine) as connection:
        before = directory_store.unit(connection, code, lock=True)
        if (changed := change(before)) != before:
            directory_store.change_unit(connection, changed)
            events.record(connection, events.AUDIT, event, now, subject=code, by=by)
    return changed


def add_person(office: Office, by: str, person: Person) -> Person:
    """Adds a person with the key of their decisions; one key is one person.

    This alone lets nobody approve: the signer counts only people in its own register, which a ``register`` act changes.
    """
    check_id(person.id)
    check_key(person.public_key)

    def add(connection: Any) -> None:
        directory_store.open_unit(connection, person.unit)
        directory_store.add_person(connection, person)

    _add(office, by, "person.added", person.id, add, person=person.id)
    return person


def add_client(office: Office, by: str, client: Client) -> Client:
    """Adds a business system; its certificate takes an act, and until that is approved people must approve what it submits."""
    check_id(client.id)
    client = replace(client, approved=False)

    def add(connection: Any) -> None:
        for unit in sorted(client.units):
            directory_store.open_unit(connection, unit)
        if client.name.casefold() in (name.casefold() for name in directory_store.client_names(connection)):
            raise VermilionError(Code.CONFLICT, f"a client is called {client.name} already")
        directory_store.add_client(connection, client)

    _add(office, by, "client.added", client.id, add)
    return client


def remove_client(office: Office, by: str, client_id: str) -> Client:
    """A business system applies for nothing any more, for good; its open forms are taken back, and its name is free. NOT_FOUND.

    Its certificate is the CA's to revoke, and tokens that it holds are the signer's to stop.
    """
    now = office.now()
    with write(office.engine) as connection:
        client = directory_store.find_client(connection, client_id)
        if client is None:
            raise VermilionError(Code.NOT_FOUND, f"there is no client {client_id}")
        if client.active:
            directory_store.remove_client(connection, client_id)
            events.record(connection, events.AUDIT, "client.removed", now, subject=client_id, by=by)
            for number in form_store.waiting_of(connection, client.uri):
                form = form_store.form(connection, number, lock=True)
                if form.state is FormState.APPLIED:
                    form_store.end(connection, form.withdrawn(client.uri, now))
                    events.record_form(connection, "form.withdrawn", form, now, by=by)
    return replace(client, active=False)


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


def _add(office: Office, by: str, event: str, subject: str, add: Callable[[Any], None], *, person: str = "") -> None:
    now = office.now()
    with write(office.engine) as connection:
        add(connection)
        events.record(connection, events.AUDIT, event, now, person=person, subject=subject, by=by)
