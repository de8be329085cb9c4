"""Events on their way to the ledger. They are written in the transaction that they tell of, and delivered afterwards (outbox).

What the ledger holds is SHA-256(``vermilion-event-v1`` ‖ RFC 8785 JSON of the event); the event itself, with a random salt so that
its hash tells a stranger nothing, stays in the workflow's database.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from sealcore.errors import VermilionError
from sealcore.ids import uuid7
from sealcore.platform.log import request_id
from sealcore.protocol import actions
from sealcore.protocol.canonical import b64url, canonical_json
from sealcore.protocol.labels import EVENT_V1
from workflow import tables
from workflow.delivery.signer_link import Append
from workflow.forms.model import Form, Performance

SALT_BYTES = 16
# What the outbox calls the handing over of an act: to the signer, to the CA, and what the workflow carries out by itself.
ACT, REVOCATION, CERTIFICATE, OWN = "act.performed", "revocation.performed", "certificate.performed", "policy.performed"
FOR_CA = frozenset({REVOCATION, CERTIFICATE})
FORM, AUDIT = "form", "audit"  # ledger kinds: what people decided, and what was done about the office itself


@dataclass(frozen=True)
class Recorded:
    """An event of a form, and where the ledger has it (None: not delivered yet)."""

    event: str
    time: int
    ledger_index: int | None


def subject_sha256(event: Mapping[str, Any]) -> bytes:
    """What the ledger holds of an event."""
    return hashlib.sha256(EVENT_V1 + canonical_json(dict(event))).digest()


def record(
    connection: Connection, kind: str, event: str, now: int, *, number: str = "", person: str = "", policy: str = "", **facts: str | int
) -> None:
    """Puts an event into the outbox; ``number``, ``person`` and ``policy`` become commitments in the ledger."""
    key = uuid7()
    told = {"event": event, "key": key, "time": now, "form": number, "person": person, "policy": policy, "facts": facts}
    body = {"kind": kind, "told": {**told, "salt": b64url(secrets.token_bytes(SALT_BYTES))}, "request_id": request_id() or ""}
    text = canonical_json(body).decode("utf-8")
    _queue(connection, kind="append", key=key, event=event, created=now, number=number or None, body=text)


def record_form(connection: Connection, event: str, form: Form, now: int, *, person: str = "", **facts: str | int) -> None:
    """An event of a form: what people decided."""
    policy = f"{form.context.policy.id}/{form.context.policy.version}"
    record(connection, FORM, event, now, number=form.number, person=person, policy=policy, jti=form.context.jti, **facts)


def queue_performance(connection: Connection, form: Form, token: str, now: int) -> None:
    """Has an approved act carried out, however often it must be tried."""
    event = {actions.REVOKE: REVOCATION, actions.CREATE: CERTIFICATE}.get(form.context.action, ACT)
    _queue(connection, kind="perform", key=form.context.jti, event=event, created=now, number=form.number, body=token)


def note_performance(connection: Connection, form: Form, token: str, now: int, fault: VermilionError | None = None) -> None:
    """Records that an act was carried out here, in this transaction, or why it could not be."""
    outcome: dict[str, str | int | None] = {"state": "done"}
    if fault is not None:
        outcome = {"state": "refused", "code": str(fault.code), "reason": fault.reason}
    _queue(connection, kind="perform", key=form.context.jti, event=OWN, created=now, number=form.number, body=token, **outcome)


def _queue(connection: Connection, **values: str | int | None) -> None:
    connection.execute(insert(tables.outbox).values({"state": "pending"} | values))


def append_of(body: str) -> Append:
    """The call that delivers an event."""
    value = json.loads(body)
    told = value["told"]
    return Append(told["key"], value["kind"], subject_sha256(told), told["form"], told["person"], told["policy"])


def request_of(row_kind: str, body: str) -> str | None:
    """The id of the request that an event came of, so that its delivery is logged under it."""
    return json.loads(body).get("request_id") or None if row_kind == "append" else None


def of_form(connection: Connection, number: str) -> list[Recorded]:
    """What happened to a form, in order."""
    box = tables.outbox
    query = select(box.c.event, box.c.created, box.c.ledger_index).where(box.c.number == number, box.c.kind == "append").order_by(box.c.id)
    return [Recorded(row.event, row.created, row.ledger_index) for row in connection.execute(query)]


def performance(connection: Connection, number: str) -> Performance | None:
    """How the carrying out of an act's form stands; None when there is none."""
    box = tables.outbox
    row = connection.execute(select(box).where(box.c.number == number, box.c.kind == "perform")).first()
    return None if row is None else Performance(row.state, row.ledger_index, row.code, row.reason, row.closed_by, row.closed_reason)
