"""What the CA still has to tell the ledger: certificates issued and revoked, in order."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from sqlalchemy import Engine, func, select, update

from ca.ledger_link import LedgerLink
from ca.tables import outbox as table
from sealcore.platform import outbox
from sealcore.platform.db import on_commit, read, write
from sealcore.platform.log import get as get_log
from sealcore.platform.outbox import Item

RETRY_S: Final = 1.0
_LEDGER: Final = "ledger"
_BATCH: Final = 100


class LedgerOutbox(outbox.Outbox):
    """Hands the notes to the signer's ledger, in order. A note's idempotency key makes the ledger answer a repeat with the entry it has."""

    def __init__(self, engine: Engine, ledger: LedgerLink) -> None:
        self._notes = _Notes(engine, ledger)
        super().__init__("ledger-outbox", self._notes, first_retry_s=RETRY_S, longest_pause_s=RETRY_S)
        on_commit(engine, self.wake)

    def waiting(self) -> int:
        """How many notes the ledger does not have yet."""
        return self._notes.count()


class _Notes:
    """The table ``outbox``, and the calls to the ledger."""

    def __init__(self, engine: Engine, ledger: LedgerLink) -> None:
        self._engine, self._ledger = engine, ledger
        self._log = get_log("outbox")

    def count(self) -> int:
        with read(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(table).where(table.c.ledger_index.is_(None))).scalar_one()

    def pending(self, after: int, away: Set[str]) -> Sequence[Item]:
        if _LEDGER in away:
            return ()
        wanted = select(table).where(table.c.ledger_index.is_(None), table.c.position > after).order_by(table.c.position).limit(_BATCH)
        with read(self._engine) as connection:
            return [Item(row.position, _LEDGER, row.kind, row) for row in connection.execute(wanted)]

    def request_id(self, _item: Item) -> None:
        """A note does not keep it: the certificate's record has the time and who asked."""

    def hand_over(self, item: Item) -> int:
        note = item.row
        return self._ledger.append(
            note.idempotency_key, note.kind, note.subject_sha256, form=note.form, people=note.people, policy=note.policy
        )

    def delivered(self, item: Item, ledger_index: int | None) -> None:
        with write(self._engine) as connection:
            connection.execute(update(table).where(table.c.position == item.id).values(ledger_index=ledger_index))
        self._log.info("told the ledger", kind=item.event, ledger_index=ledger_index)
