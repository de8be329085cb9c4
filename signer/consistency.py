"""What is compared at start, beside the register: the ledger with its own head and checkpoint, and the uses with the ledger.

Whoever can write the database can alter uses; what they cannot alter is the cosigned history, and the uses must add up to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from sealcore import db
from sealcore.errors import Code, VermilionError
from sealcore.ledger import store as ledger_store
from sealcore.ledger.entry import Entry, EntryKind, entry_hash, jti_hash
from sealcore.merkle import Frontier
from signer.tables import AnyRow, ledger, uses

_CHUNK = 4096
_ENDS = {EntryKind.SEAL: "sealed", EntryKind.VOID: "voided"}


@dataclass(frozen=True)
class KnownCheckpoint:
    """Size and root of a checkpoint that a witness cosigned."""

    size: int
    root: bytes


def check(engine: Engine, checkpoint: KnownCheckpoint | None) -> int:
    """Recomputes the ledger and compares; returns its size. Raises LEDGER_INCONSISTENT or REGISTER_INCONSISTENT."""
    with db.read(engine) as connection:
        head = ledger_store.head(connection)
        if checkpoint is not None and head.size < checkpoint.size:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"the ledger has {head.size} entries; a witness has cosigned {checkpoint.size}")
        frontier = Frontier()
        ended = 0
        for row in _entries(connection):
            if row.at != frontier.size or entry_hash(row.entry) != row.leaf_hash:
                raise VermilionError(Code.LEDGER_INCONSISTENT, f"entry {frontier.size} of the ledger is missing or was altered")
            ended += _compare_use(row)
            frontier = frontier.append(row.leaf_hash)
            if checkpoint is not None and frontier.size == checkpoint.size and frontier.root() != checkpoint.root:
                raise VermilionError(Code.LEDGER_INCONSISTENT, "the ledger is not the one that a witness cosigned")
        if frontier != head.frontier:
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the ledger's head does not follow from its entries")
        rows = connection.execute(select(func.count()).select_from(uses).where(uses.c.state != "intended")).scalar_one()
        if rows != ended:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"{rows} uses have ended, but the ledger knows {ended}")
    return head.size


def _entries(connection: Connection) -> Iterator[AnyRow]:
    """Every entry in order, beside the use that says it is its own."""
    columns = ledger.entries.c
    joined = ledger.entries.outerjoin(uses, uses.c.ledger_index == columns.index)
    wanted = select(
        columns.index.label("at"), columns.entry, columns.leaf_hash, columns.kind, uses.c.jti, uses.c.use_index,
        uses.c.state, uses.c.attempt, uses.c.leaf_hash.label("use_leaf"),
    ).select_from(joined)  # fmt: skip
    start = 0
    while True:
        rows = connection.execute(wanted.where(columns.index >= start).order_by(columns.index).limit(_CHUNK)).all()
        yield from rows
        if len(rows) < _CHUNK:
            return
        start = rows[-1].at + 1


def _compare_use(row: AnyRow) -> int:
    """1 when the entry ends a use and that use says the same; 0 for entries of other kinds."""
    state = _ENDS.get(row.kind)
    entry = Entry.decode(row.entry)
    if entry.kind != row.kind:
        raise VermilionError(Code.LEDGER_INCONSISTENT, f"entry {row.at} of the ledger is stored under another kind")
    if state is None:
        if row.jti is not None:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"a use points to entry {row.at}, which is not one of a use")
        return 0
    said = None if row.jti is None else (jti_hash(row.jti), row.use_index, row.state, row.attempt, row.use_leaf)
    if said != (entry.jti_hash, entry.index, state, entry.attempts, entry.leaf_hash):
        raise VermilionError(Code.REGISTER_INCONSISTENT, f"the use behind entry {row.at} of the ledger is missing or was altered")
    return 1
