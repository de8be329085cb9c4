"""Forms, their documents, attachments and decisions in the database. Each function works inside the caller's transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import is_duplicate
from sealcore.protocol.canonical import canonical_json
from sealcore.protocol.decision import Decision
from sealcore.protocol.json_objects import context_from_json, placement_from_json, placement_to_json
from sealcore.protocol.leaf import Leaf
from sealcore.protocol.manifest import DocumentEntry
from workflow import tables
from workflow.access import no_form
from workflow.forms.model import Form, FormState, Received
from workflow.rows import insert_row


def _text(value: Any) -> str:
    return canonical_json(value).decode("utf-8")


def next_number(connection: Connection, unit: str, year: int) -> str:
    """The next form number of a unit. The counter's row stays locked until the transaction ends, so a rollback leaves no gap."""
    counter = tables.counters
    here = (counter.c.unit == unit) & (counter.c.year == year)
    if connection.execute(update(counter).where(here).values(last=counter.c.last + 1)).rowcount == 0:
        try:
            with connection.begin_nested():
                connection.execute(insert(counter).values(unit=unit, year=year, last=1))
        except IntegrityError as fault:
            if not is_duplicate(fault):
                raise VermilionError(Code.NOT_FOUND, f"there is no unit {unit}") from None
            # another transaction made the row a moment ago
            connection.execute(update(counter).where(here).values(last=counter.c.last + 1))
    last: int = connection.execute(select(counter.c.last).where(here)).scalar_one()
    return f"{unit}-{year:04d}-{last:06d}"


def add_form(connection: Connection, form: Form, token: str | None) -> None:
    """Writes a new form."""
    values = {
        "number": form.number,
        "jti": form.context.jti,
        "unit": form.unit,
        "title": form.title,
        "state": str(form.state),
        "submitted_by": form.submitted_by,
        "applicant": form.applicant,
        "context": _text(form.context.as_json()),
        "created": form.created,
        "settled": form.settled,
        "reason": form.reason,
        "token": token,
        "expires": form.context.exp,
    }
    connection.execute(insert(tables.forms).values(values))


def add_documents(connection: Connection, number: str, entries: Sequence[DocumentEntry], leaves: Iterable[Leaf]) -> None:
    """Writes a form's manifest."""
    rows = [
        {
            "number": number,
            "position": leaf.index,
            "name": entry.name,
            "sha256": entry.sha256,
            "size_bytes": entry.size_bytes,
            "salt": leaf.salt,
            "placement": _text(placement_to_json(entry.placement)),
        }
        for entry, leaf in zip(entries, leaves, strict=True)
    ]
    connection.execute(insert(tables.documents), rows)


def documents(connection: Connection, number: str) -> list[tuple[DocumentEntry, bytes]]:
    """A form's documents in order, each with its salt."""
    query = select(tables.documents).where(tables.documents.c.number == number).order_by(tables.documents.c.position)
    return [
        (DocumentEntry(row.name, row.sha256, row.size_bytes, placement_from_json(json.loads(row.placement))), row.salt)
        for row in connection.execute(query)
    ]


def add_attachments(connection: Connection, number: str, files: Iterable[bytes]) -> None:
    """Writes the files that come with a form's act, each once."""
    rows = [{"number": number, "sha256": digest, "content": content} for digest, content in _by_digest(files).items()]
    if rows:
        connection.execute(insert(tables.attachments), rows)


def attachments(connection: Connection, number: str) -> list[bytes]:
    """The files that come with a form's act."""
    query = select(tables.attachments).where(tables.attachments.c.number == number).order_by(tables.attachments.c.sha256)
    return [bytes(row.content) for row in connection.execute(query)]


def drop_attachments(connection: Connection, number: str) -> None:
    """Lets go of the files of an act that will not be carried out; the act still names their digests."""
    connection.execute(delete(tables.attachments).where(tables.attachments.c.number == number))


def _by_digest(files: Iterable[bytes]) -> dict[bytes, bytes]:
    return {hashlib.sha256(content).digest(): content for content in files}


def form(connection: Connection, number: str, *, lock: bool = False) -> Form:
    """One form with its decisions; NOT_FOUND. With ``lock`` its row stays ours until the transaction ends."""
    query = select(tables.forms).where(tables.forms.c.number == number)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise no_form(number)
    return _form(row, _decisions(connection, number))


def forms(connection: Connection, *, state: FormState | None, submitted_by: str | None, before: str | None, limit: int) -> list[Form]:
    """Newest first, from the form with jti ``before`` down, each with its decisions."""
    query = select(tables.forms).order_by(tables.forms.c.jti.desc()).limit(limit)
    if state is not None:
        query = query.where(tables.forms.c.state == str(state))
    if submitted_by is not None:
        query = query.where(tables.forms.c.submitted_by == submitted_by)
    if before is not None:
        query = query.where(tables.forms.c.jti < before)
    return [_form(row, _decisions(connection, row.number)) for row in connection.execute(query).all()]


def open_forms(connection: Connection, submitted_by: str, since: int) -> int:
    """How many forms of a caller, filed after ``since``, wait for people."""
    count: int = connection.execute(select(func.count()).where(_waits(submitted_by, since))).scalar_one()
    return count


def attached_bytes(connection: Connection, submitted_by: str, since: int) -> int:
    """How many bytes of files such forms of a caller hold."""
    held, forms = tables.attachments, tables.forms
    query = select(func.coalesce(func.sum(func.length(held.c.content)), 0)).join_from(held, forms, held.c.number == forms.c.number)
    size: int = connection.execute(query.where(_waits(submitted_by, since))).scalar_one()
    return size


def _waits(submitted_by: str, since: int) -> ColumnElement[bool]:
    mine = (tables.forms.c.submitted_by == submitted_by) & (tables.forms.c.state == str(FormState.APPLIED))
    return mine & (tables.forms.c.created > since)


def waiting_of(connection: Connection, submitted_by: str) -> list[str]:
    """The numbers of a caller's open forms."""
    mine = (tables.forms.c.submitted_by == submitted_by) & (tables.forms.c.state == str(FormState.APPLIED))
    return list(connection.execute(select(tables.forms.c.number).where(mine).order_by(tables.forms.c.jti)).scalars())


def past_term(connection: Connection, now: int, limit: int) -> list[str]:
    """The numbers of open forms whose term has ended, those that ended first."""
    forms = tables.forms
    ended = (forms.c.state == str(FormState.APPLIED)) & (forms.c.expires <= now)
    return list(connection.execute(select(forms.c.number).where(ended).order_by(forms.c.expires).limit(limit)).scalars())


def end(connection: Connection, form: Form) -> None:
    """Writes the state of a form of which nothing will come, and lets go of its files."""
    settle(connection, form)
    drop_attachments(connection, form.number)


def settle(connection: Connection, form: Form, token: str | None = None) -> None:
    """Writes a form's new state, and its token when it was approved."""
    values = {"state": str(form.state), "settled": form.settled, "reason": form.reason, "token": token}
    connection.execute(update(tables.forms).where(tables.forms.c.number == form.number).values(values))


def token(connection: Connection, number: str) -> str | None:
    """The token of an approved form."""
    found: str | None = connection.execute(select(tables.forms.c.token).where(tables.forms.c.number == number)).scalar_one()
    return found


def add_decision(connection: Connection, form: Form, received: Received) -> None:
    """The next decision on a form whose row is locked; CONFLICT when the person has decided on it before."""
    decision = received.decision
    values = {
        "number": form.number,
        "person": decision.person,
        "verdict": decision.verdict,
        "time": decision.time,
        "signature": decision.signature,
        "reason": received.reason,
        "received": received.received,
        "position": len(form.decisions),
    }
    insert_row(connection, tables.decisions, values, f"{decision.person} has decided on form {form.number} before")


def _decisions(connection: Connection, number: str) -> tuple[Received, ...]:
    query = select(tables.decisions).where(tables.decisions.c.number == number).order_by(tables.decisions.c.position)
    return tuple(
        Received(Decision(row.person, row.verdict, row.time, row.signature), row.reason, row.received) for row in connection.execute(query)
    )


def _form(row: Row[Any], decided: tuple[Received, ...]) -> Form:
    return Form(
        number=row.number,
        unit=row.unit,
        title=row.title,
        state=FormState(row.state),
        context=context_from_json(json.loads(row.context)),
        submitted_by=row.submitted_by,
        created=row.created,
        applicant=row.applicant,
        settled=row.settled,
        reason=row.reason,
        decisions=decided,
    )
