"""What the workflow has to tell: events to the signer's ledger, approved acts to its register or to the CA.

An act or event is refused for good when the receiver says so; it is kept with the code, and a person closes it (``workflow.delivery.refused``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from sqlalchemy import Engine, select, update

from sealcore.errors import Code, VermilionError
from sealcore.platform import outbox
from sealcore.platform.db import on_commit, read, write
from sealcore.platform.log import get as get_log
from sealcore.platform.outbox import Item
from workflow import tables
from workflow.delivery.ca_link import Authority
from workflow.delivery.events import FOR_CA, append_of, request_of
from workflow.delivery.signer_link import Register
from workflow.forms import store as form_store

FIRST_RETRY_S: Final = 0.4
LONGEST_PAUSE_S: Final = 5.0  # between tries while the signer is away
BATCH: Final = 64
CA, SIGNER = "CA", "signer"


class Outbox(outbox.Outbox):
    """Delivers the table ``outbox``; ``deliver`` is also what tests call by hand."""

    def __init__(self, engine: Engine, register: Register, authority: Authority | None = None) -> None:
        box = _Box(engine, register, authority)
        super().__init__("outbox", box, first_retry_s=FIRST_RETRY_S, longest_pause_s=LONGEST_PAUSE_S, set_aside=box.refused)
        on_commit(engine, self.wake)


class _Box:
    """The table, and the calls to the signer and the CA."""

    def __init__(self, engine: Engine, register: Register, authority: Authority | None) -> None:
        self._engine, self._register, self._authority = engine, register, authority
        self._log = get_log("outbox")

    def pending(self, after: int, away: Set[str]) -> Sequence[Item]:
        box = tables.outbox
        query = select(box).where(box.c.state == "pending", box.c.id > after).order_by(box.c.id).limit(BATCH)
        if CA in away:
            query = query.where(box.c.event.not_in(FOR_CA))
        if SIGNER in away:
            query = query.where(box.c.event.in_(FOR_CA))
        with read(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Item(row.id, CA if row.event in FOR_CA else SIGNER, row.event, row) for row in rows]

    def request_id(self, item: Item) -> str | None:
        return request_of(item.row.kind, item.row.body)

    def hand_over(self, item: Item) -> int | None:
        """The ledger index; of what the CA carries out there is none yet, since it tells the ledger by itself."""
        row = item.row
        if row.kind == "append":
            return self._register.append(append_of(row.body))
        if item.receiver == SIGNER:
            with read(self._engine) as connection:
                files = form_store.attachments(connection, row.number)
            return self._register.perform(row.body, files)
        if self._authority is None:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "this workflow knows no CA (`ca_target`)")
        self._authority.perform(row.body)
        return None

    def delivered(self, item: Item, ledger_index: int | None) -> None:
        # Only after the receiver has it: a crash in between delivers it a second time, which its
        # key or jti makes harmless.
        self._close(item, {"state": "done", "ledger_index": ledger_index})
        self._log.info("delivered", event_name=item.event, form=item.row.number, ledger_index=ledger_index)

    def refused(self, item: Item, fault: VermilionError) -> None:
        """Kept with its code for the operator."""
        self._close(item, {"state": "refused", "code": str(fault.code), "reason": fault.reason})

    def _close(self, item: Item, values: Mapping[str, object]) -> None:
        with write(self._engine) as connection:
            connection.execute(update(tables.outbox).where(tables.outbox.c.id == item.id).values(dict(values)))
