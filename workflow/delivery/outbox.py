"""Delivers what the database holds for others: events to the signer's ledger, approved acts to its register or to the CA.

Nothing is lost while they are away.

Each row is tried until it is done or the signer refuses it for good. Keys make a repeat harmless, so a crash between the call and
our own commit, or two replicas at once, only cause a repeat.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, Row, select, update

from sealcore.errors import Code, Kind, VermilionError
from sealcore.platform.db import read, write
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request
from sealcore.platform.rpc import UnreachableError
from workflow import tables
from workflow.delivery.ca_link import Authority
from workflow.delivery.events import FOR_CA, append_of, request_of
from workflow.delivery.signer_link import Register
from workflow.forms import store as form_store

IDLE_S = 0.2  # how soon a new row is looked for
LONGEST_PAUSE_S = 5.0  # between tries while the signer is away
BATCH = 64
CA, SIGNER = "CA", "signer"
_TRY_AGAIN = frozenset({Kind.BUSY, Kind.UNAVAILABLE, Kind.INTERNAL})


class Outbox:
    """One background thread; ``deliver`` is also what tests call by hand."""

    def __init__(self, engine: Engine, register: Register, authority: Authority | None = None) -> None:
        self._engine, self._register, self._authority = engine, register, authority
        self._unanswered: set[int] = set()  # rows over which a receiver gave no answer
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = get_log("outbox")

    def start(self) -> None:
        """Delivers in the background until ``stop``."""
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the delivery in progress."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def deliver(self) -> bool:
        """One pass over what is pending, oldest first; True when all of it is delivered. Raises DATABASE_UNAVAILABLE.

        A row that cannot be taken now does not hold up those behind it. A receiver that gives no answer is asked no more in this pass;
        the row that it was asked for comes last in the next ones, so that nobody waits behind a row over which a receiver hangs.
        """
        away: set[str] = set()
        after, delivered_all, last = 0, True, []
        while rows := self._pending(after, away):
            for row in rows:
                after = row.id
                if row.id in self._unanswered:
                    last.append(row)
                else:
                    delivered_all &= self._try(row, away)
        for row in last:
            delivered_all &= self._try(row, away)
        return delivered_all and not away

    def _pending(self, after: int, away: set[str]) -> list[Row[Any]]:
        box = tables.outbox
        query = select(box).where(box.c.state == "pending", box.c.id > after).order_by(box.c.id).limit(BATCH)
        if CA in away:
            query = query.where(box.c.event.not_in(FOR_CA))
        if SIGNER in away:
            query = query.where(box.c.event.in_(FOR_CA))
        with read(self._engine) as connection:
            return list(connection.execute(query).all())

    def _try(self, row: Row[Any], away: set[str]) -> bool:
        receiver = CA if row.event in FOR_CA else SIGNER
        if receiver in away:
            return False
        self._unanswered.discard(row.id)
        try:
            with request(request_of(row.kind, row.body)):
                return self._deliver_one(row, receiver)
        except UnreachableError as fault:
            self._log.warning(f"the {receiver} gives no answer", event_name=row.event, code=str(fault.code))
            away.add(receiver)
            self._unanswered.add(row.id)
        except VermilionError:
            raise  # our own database
        except Exception as fault:  # noqa: BLE001  (what nobody foresaw about one row must not keep the others back)
            self._log.error("fault", event_name=row.event, code=str(Code.INTERNAL), exc_info=fault)
        return False

    def _deliver_one(self, row: Row[Any], receiver: str) -> bool:
        try:
            index = self._hand_over(row)
        except UnreachableError:
            raise
        except VermilionError as fault:
            if fault.kind in _TRY_AGAIN:
                self._log.warning(f"the {receiver} cannot take an event now", event_name=row.event, code=str(fault.code))
                return False
            # Refused for good: kept with its code for the operator.
            self._log.error(f"the {receiver} refuses an event", event_name=row.event, code=str(fault.code), reason=fault.reason)
            self._close(row.id, {"state": "refused", "code": str(fault.code), "reason": fault.reason})
            return True
        self._close(row.id, {"state": "done", "ledger_index": index})
        self._log.info("delivered", event_name=row.event, form=row.number, ledger_index=index)
        return True

    def _hand_over(self, row: Row[Any]) -> int | None:
        """The ledger index; of what the CA carries out there is none yet, since it tells the ledger by itself."""
        if row.kind == "append":
            return self._register.append(append_of(row.body))
        if row.event not in FOR_CA:
            with read(self._engine) as connection:
                files = form_store.attachments(connection, row.number)
            return self._register.perform(row.body, files)
        if self._authority is None:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "this workflow knows no CA (`ca_target`)")
        self._authority.perform(row.body)
        return None

    def _close(self, row_id: int, values: Mapping[str, object]) -> None:
        with write(self._engine) as connection:
            connection.execute(update(tables.outbox).where(tables.outbox.c.id == row_id).values(dict(values)))

    def _loop(self) -> None:
        pause_s = IDLE_S
        while not self._stop.wait(pause_s):
            try:
                delivered = self.deliver()
            except VermilionError as fault:
                self._log.error("the outbox cannot be read", code=str(fault.code))
                delivered = False
            except Exception as fault:  # noqa: BLE001  (the thread must outlive what nobody foresaw; nothing is lost)
                self._log.error("fault", code=str(Code.INTERNAL), exc_info=fault)
                delivered = False
            pause_s = IDLE_S if delivered else min(pause_s * 2, LONGEST_PAUSE_S)
