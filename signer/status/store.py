"""The newest answer about each certificate, as its CA signed it. Readers verify it again: the table proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, select, update

from sealcore.platform import db
from sealcore.protocol.ledger_entry import time_us
from signer.status.answers import Answer, Kind, Link
from signer.tables import certificate_status, insert_missing


@dataclass(frozen=True)
class Stored:
    """A stored answer."""

    kind: Kind
    der: bytes


class StatusStore:
    """Answers in the signer's database. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, link: Link, answer: Answer) -> None:
        """Stores ``answer`` unless there is a newer one."""
        updated_us = time_us(answer.this_update)
        row: dict[str, object] = {"certificate_sha256": link.id, "kind": answer.kind, "answer": answer.der, "this_update_us": updated_us}
        with db.write(self._engine) as connection:
            insert_missing(connection, certificate_status, [row])
            # Only ever newer: an old answer, replayed by whoever sits between, must not undo a
            # revocation.
            older = _of(link) & (certificate_status.c.this_update_us < updated_us)
            connection.execute(update(certificate_status).where(older).values(row))

    def version(self, link: Link) -> int | None:
        """thisUpdate of the stored answer, in microseconds since 1970 UTC; None when there is none."""
        with db.read(self._engine) as connection:
            return connection.execute(select(certificate_status.c.this_update_us).where(_of(link))).scalar_one_or_none()

    def get(self, link: Link) -> Stored | None:
        """The stored answer; None when there is none."""
        wanted = select(certificate_status.c.kind, certificate_status.c.answer).where(_of(link))
        with db.read(self._engine) as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else Stored(row.kind, bytes(row.answer))


def _of(link: Link) -> ColumnElement[bool]:
    return certificate_status.c.certificate_sha256 == link.id
