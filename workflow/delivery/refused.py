"""Use cases around what the signer or the CA refused for good: an operator looks at it, and a named person closes it with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, update

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from workflow import access, tables
from workflow.delivery import events
from workflow.directory import store as directory_store
from workflow.office import Office

REFUSED, CLOSED = "refused", "closed"


@dataclass(frozen=True)
class Refused:
    """An event or act that its receiver refused for good; ``closed`` (NumericDate) and who and why, once a person has seen to it."""

    id: int
    event: str
    form: str | None
    created: int
    state: str
    code: str
    reason: str
    closed: int | None = None
    closed_by: str | None = None
    closed_reason: str | None = None


def listing(office: Office, *, closed: bool, after: int, limit: int) -> list[Refused]:
    """What was refused and waits for a person, oldest first; with ``closed`` what was closed."""
    box = tables.outbox
    state = CLOSED if closed else REFUSED
    query = select(box).where(box.c.state == state, box.c.id > after).order_by(box.c.id).limit(limit)
    with read(office.engine) as connection:
        return [_refused(row) for row in connection.execute(query)]


def close(office: Office, by: str, row_id: int, person_id: str, reason: str) -> Refused:
    """Takes a refused event off the list of what waits. NOT_FOUND, CONFLICT when it is not refused, PERMISSION_DENIED for who has left."""
    if not reason.strip():
        raise VermilionError(Code.INVALID_ARGUMENT, "what is closed is closed for a reason that others can read later")
    box, now = tables.outbox, office.now()
    with write(office.engine) as connection:
        person = directory_store.person(connection, person_id)
        access.require_may_close(person)
        row = connection.execute(select(box).where(box.c.id == row_id).with_for_update()).first()
        if row is None:
            raise VermilionError(Code.NOT_FOUND, f"there is no event {row_id}")
        if row.state != REFUSED:
            raise VermilionError(Code.CONFLICT, f"the event {row_id} is {row.state}; only what was refused is closed")
        values = {"state": CLOSED, "closed": now, "closed_by": person.id, "closed_reason": reason}
        connection.execute(update(box).where(box.c.id == row_id).values(values))
        facts = {"subject": row.key, "code": row.code, "reason": reason, "by": by}
        events.record(connection, events.AUDIT, "refusal.closed", now, number=row.number or "", person=person.id, **facts)
        return _refused(connection.execute(select(box).where(box.c.id == row_id)).one())


def _refused(row: Row[Any]) -> Refused:
    return Refused(
        row.id, row.event, row.number, row.created, row.state, row.code, row.reason, row.closed, row.closed_by, row.closed_reason
    )
