"""What the ledger has still to be told. Notes are written with the change they tell of, so none is lost while the signer is away."""

from __future__ import annotations

import threading
from typing import Final

import grpc
from sqlalchemy import Engine, select, update

from ca.tables import outbox
from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc
from sealcore.errors import VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.db import read, write
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request
from sealcore.platform.rpc import from_rpc_error
from sealcore.platform.rpc_client import channel

ROUND_S: Final = 1.0  # how late the ledger hears while the signer is up
_CALL_TIMEOUT_S: Final = 10.0
_NOTES_A_ROUND: Final = 100


class LedgerOutbox:
    """Hands the notes to the signer's ledger, in order, in a thread of its own.

    A note may be handed over twice (a crash between the answer and our commit); its idempotency key, the serial number,
    makes the ledger answer with the entry it has.
    """

    def __init__(self, engine: Engine, signer_target: str, tls: TlsSettings) -> None:
        self._engine = engine
        self._target = signer_target
        self._tls = tls
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ledger-outbox", daemon=True)
        self._log = get_log("outbox")

    def start(self) -> None:
        """Begins handing over."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the note in hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def waiting(self) -> int:
        """How many notes the ledger does not have yet."""
        with read(self._engine) as connection:
            return len(connection.execute(select(outbox.c.position).where(outbox.c.ledger_index.is_(None))).all())

    def _loop(self) -> None:
        failing = False
        with channel(self._target, self._tls) as connection:
            ledger = ledger_pb2_grpc.LedgerStub(connection)  # type: ignore[no-untyped-call]  # generated
            while not self._stop.wait(ROUND_S):
                with request():  # an id of its own for each round
                    failing = self._round(ledger, failing)

    def _round(self, ledger: ledger_pb2_grpc.LedgerStub, failing: bool) -> bool:
        """Hands over; whether that failed."""
        try:
            self._hand_over(ledger)
        except VermilionError as fault:
            if not failing:  # once, not every second of an outage
                self._log.warning("the ledger cannot be told; notes are kept", code=str(fault.code), reason=fault.reason)
            return True
        return False

    def _hand_over(self, ledger: ledger_pb2_grpc.LedgerStub) -> None:
        wanted = select(outbox).where(outbox.c.ledger_index.is_(None)).order_by(outbox.c.position).limit(_NOTES_A_ROUND)
        with read(self._engine) as connection:
            notes = connection.execute(wanted).all()
        for note in notes:
            if self._stop.is_set():
                return
            order = ledger_pb2.AppendRequest(
                idempotency_key=note.idempotency_key,
                kind=note.kind,
                subject_sha256=note.subject_sha256,
                form=note.form,
                person=note.people,
                policy=note.policy,
            )
            try:
                answer = ledger.Append(order, timeout=_CALL_TIMEOUT_S)
            except grpc.RpcError as fault:
                raise from_rpc_error(fault) from None
            with write(self._engine) as connection:
                connection.execute(update(outbox).where(outbox.c.position == note.position).values(ledger_index=answer.ledger_index))
            self._log.info("told the ledger", kind=note.kind, ledger_index=answer.ledger_index)
