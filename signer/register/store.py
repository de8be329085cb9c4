"""The register in the database: acts are appended, everything else follows from them and is compared with them at start.

Replicas share the database: ``current`` notices acts that another replica recorded, verifies them and applies them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.protocol.canonical import canonical_json
from sealcore.protocol.ledger_entry import Entry, EntryKind
from sealcore.protocol.token_checks import approved_since
from signer.acts.fresh import require_fresh
from signer.acts.model import Act, Carried, carry_out, draft, replay
from signer.register.meetable import require_meetable, require_person
from signer.register.model import Epochs, Register
from signer.tables import attachments, epochs, insert_missing, ledger, register_acts, register_head, register_records

_HEAD_ID = 1


@dataclass(frozen=True)
class Recorded:
    """An act that is in the register: the register with it, and its ledger entry."""

    register: Register
    ledger_index: int


class RegisterStore:
    """Reads, checks and changes the register. Thread-safe."""

    def __init__(self, engine: Engine, *, audience: str) -> None:
        self._engine = engine
        self._audience = audience
        self._register = Register()
        self._lock = threading.Lock()

    def load(self) -> Register:
        """Rebuilds the register from its acts and compares it with the tables; REGISTER_INCONSISTENT when anything differs."""
        with db.read(self._engine) as connection:
            register = replay(_acts(connection, 0), audience=self._audience)
            _compare(connection, register)
        with self._lock:
            self._register = register
        return register

    def current(self) -> Register:
        """The newest register."""
        with db.read(self._engine) as connection:
            return self._newest(connection)

    def record(self, act: Act, files: Mapping[bytes, bytes] | None = None, *, peer: str | None = None) -> Recorded:
        """Carries out and records ``act`` with its ledger entry, in one durable transaction.

        What was ordered already is not carried out again, however it is signed this time; CONFLICT for another token of the same jti.
        """
        act = act.accepted()
        with db.write(self._engine, urgent=True) as connection:  # a stop goes before waiting batches
            # Locked before the register is read: everything below is judged against the acts of all
            # replicas, and none can come in between.
            _lock_head(connection)
            before = self._newest(connection)
            if (known := _known(connection, before, act)) is not None:
                return Recorded(before, known)
            carried = carry_out(before, act, audience=self._audience, peer=peer)
            # Judged under the lock, whatever a caller has found before it: the register may have
            # changed in between.
            require_meetable(before, carried.register)
            if carried.admission is not None:
                require_person(carried.people)
                require_fresh(before, carried.register, approved_since(carried.admission.claims))
            _refuse_second(connection, carried)
            insert_missing(connection, attachments, [{"sha256": digest, "content": content} for digest, content in (files or {}).items()])
            _store_epochs(connection, before.epochs, carried.register.epochs)
            _store_records(connection, before, carried.register)
            connection.execute(update(register_head).values(acts=carried.register.version))
            ledger_index = _append(connection, act, carried)
        with self._lock:
            if carried.register.version > self._register.version:
                self._register = carried.register
        return Recorded(carried.register, ledger_index)

    def recorded(self, act: Act) -> Recorded | None:
        """Where the act is recorded; None when it was not carried out yet."""
        with db.read(self._engine) as connection:
            register = self._newest(connection)
            known = _known(connection, register, act)
            return None if known is None else Recorded(register, known)

    def attachment(self, sha256: bytes) -> bytes:
        """The file (picture, base PDF) with this digest; raises NOT_FOUND, REGISTER_INCONSISTENT when it was altered."""
        with db.read(self._engine) as connection:
            content = connection.execute(select(attachments.c.content).where(attachments.c.sha256 == sha256)).scalar_one_or_none()
        if content is None:
            raise VermilionError(Code.NOT_FOUND, f"the register holds no file {sha256.hex()[:16]}…")
        # Whoever can write the database could change the picture that every later document shows;
        # people approved its hash.
        if hashlib.sha256(content).digest() != sha256:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"the register's file {sha256.hex()[:16]}… was altered")
        return bytes(content)

    def _newest(self, connection: Connection) -> Register:
        count = connection.execute(select(register_head.c.acts).where(register_head.c.id == _HEAD_ID)).scalar_one_or_none() or 0
        with self._lock:
            held = self._register
        if count == held.version:
            return held
        # The database was replaced by an older copy under a running process. Going on would revive
        # what was stopped since.
        if count < held.version:
            raise VermilionError(Code.REGISTER_INCONSISTENT, "the register has fewer acts than before")
        # Outside the lock, since each act costs signatures. Two threads may replay the same acts;
        # the later result is dropped.
        newest = replay(_acts(connection, held.version), audience=self._audience, start=held)
        with self._lock:
            if newest.version > self._register.version:
                self._register = newest
        return newest


def _known(connection: Connection, register: Register, act: Act) -> int | None:
    """Where an act that ordered the same is in the ledger; None when there was none."""
    number = register.orders.get(act.identity)
    if number is None:
        return None
    return int(connection.execute(select(register_acts.c.ledger_index).where(register_acts.c.number == number)).scalar_one())


def _refuse_second(connection: Connection, carried: Carried) -> None:
    if carried.admission is None:
        return
    jti = carried.admission.claims.jti
    if connection.execute(select(register_acts.c.number).where(register_acts.c.jti == jti)).one_or_none() is not None:
        raise VermilionError(Code.CONFLICT, f"the token {jti} was carried out already")


def _lock_head(connection: Connection) -> None:
    insert_missing(connection, register_head, [{"id": _HEAD_ID, "acts": 0}])
    connection.execute(select(register_head.c.acts).where(register_head.c.id == _HEAD_ID).with_for_update()).one()


def _acts(connection: Connection, start: int) -> list[Act]:
    rows = connection.execute(select(register_acts).where(register_acts.c.number >= start).order_by(register_acts.c.number)).all()
    if [row.number for row in rows] != list(range(start, start + len(rows))):
        raise VermilionError(Code.REGISTER_INCONSISTENT, "an act of the register is missing")
    acts = [Act.decode(row.evidence, row.time_us) for row in rows]
    for row, act in zip(rows, acts, strict=True):
        if act.sha256 != row.sha256:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"act {row.number} of the register was altered")
    return acts


def _store_epochs(connection: Connection, before: Epochs, after: Epochs) -> None:
    raised: list[dict[str, object]] = [
        {"kind": kind, "subject": subject, "epoch": 0}
        for kind, subject in sorted(after)
        if after[kind, subject] != before.get((kind, subject), 0)
    ]
    insert_missing(connection, epochs, raised)
    # Waits for every Commit that holds the epoch, and each later Commit sees the new value: so
    # a stop is a line in time.
    for row in raised:  # in the one order in which epochs are locked
        same = (epochs.c.kind == row["kind"]) & (epochs.c.subject == row["subject"])
        connection.execute(update(epochs).where(same).values(epoch=after[row["kind"], row["subject"]]))  # type: ignore[index]


def _store_records(connection: Connection, before: Register, after: Register) -> None:
    old, new = _encoded(before), _encoded(after)
    for kind, record_id in old.keys() - new.keys() | {key for key in old.keys() & new.keys() if old[key] != new[key]}:
        same = (register_records.c.kind == kind) & (register_records.c.id == record_id)
        connection.execute(delete(register_records).where(same))
    rows = [{"kind": key[0], "id": key[1], "value": new[key]} for key in new if old.get(key) != new[key]]
    if rows:
        connection.execute(insert(register_records), rows)


def _encoded(register: Register) -> dict[tuple[str, str], str]:
    if not register.version:
        return {}
    return {key: canonical_json(value).decode("utf-8") for key, value in register.records().items()}


def _append(connection: Connection, act: Act, carried: Carried) -> int:
    (appended,) = ledger_store.append(connection, [draft(act, carried)])
    row = {
        "number": carried.register.version - 1,
        "evidence": act.encoded.decode("utf-8"),
        "sha256": act.sha256,
        "jti": carried.admission.claims.jti if carried.admission else None,
        "time_us": act.time_us,
        "ledger_index": appended.index,
    }
    connection.execute(insert(register_acts), [row])
    return appended.index


def _compare(connection: Connection, register: Register) -> None:
    """Compares the derived tables, and the ledger's entries of acts, with the acts."""
    stored = {(row.kind, row.id): row.value for row in connection.execute(select(register_records))}
    derived = _encoded(register)
    for kind, record_id in sorted(stored.keys() | derived.keys()):
        if stored.get((kind, record_id)) != derived.get((kind, record_id)):
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"the register's record {kind} {record_id} is not what its acts say")
    held = {(row.kind, row.subject): row.epoch for row in connection.execute(select(epochs))}
    for kind, subject in held.keys() | register.epochs.keys():
        if held.get((kind, subject), 0) != register.epoch(kind, subject):
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"the epoch of {kind} {subject} is not what the acts say")
    if (connection.execute(select(func.max(register_head.c.acts))).scalar_one() or 0) != register.version:
        raise VermilionError(Code.REGISTER_INCONSISTENT, "the register's count of acts is wrong")
    _compare_ledger(connection)


def _compare_ledger(connection: Connection) -> None:
    columns = ledger.entries.c
    logged = connection.execute(select(columns.index.label("at"), columns.entry).where(columns.kind == EntryKind.ACT))
    # Acts and entries must match one to one: an act that was deleted with its records would
    # otherwise leave no trace.
    entries = {row.at: Entry.decode(row.entry) for row in logged}
    acts = connection.execute(select(register_acts.c.number, register_acts.c.sha256, register_acts.c.time_us, register_acts.c.ledger_index))
    for row in acts:
        entry = entries.pop(row.ledger_index, None)
        if entry is None or (entry.subject_sha256, entry.time_us) != (row.sha256, row.time_us):
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"act {row.number} of the register is not in the ledger")
    if entries:
        raise VermilionError(Code.REGISTER_INCONSISTENT, "the ledger knows acts that the register lacks")
