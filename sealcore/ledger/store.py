"""The ledger's index in the signer's database: entries, and one head row with size and Merkle frontier.

``append`` runs inside the caller's transaction and locks the head row *last*: the caller takes all its other locks first,
so that no two transactions wait for each other, and holds this one only until its commit. A rollback leaves no gap,
because an index comes from the head row and never from a sequence.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    insert,
    select,
    text,
    update,
)

from sealcore.approvals.canonical import require
from sealcore.errors import Code, VermilionError
from sealcore.ledger.entry import SALT_BYTES, Entry, commitment, entry_hash
from sealcore.merkle import Frontier

MOST_KEY_CHARACTERS = 255


@dataclass(frozen=True)
class LedgerTables:
    """The two tables, bound to a service's metadata."""

    entries: Table
    head: Table


def tables(metadata: MetaData) -> LedgerTables:
    """Declares ``ledger_entries`` and ``ledger_head`` in ``metadata``."""
    entries = Table(
        "ledger_entries",
        metadata,
        Column("index", BigInteger, primary_key=True, autoincrement=False),
        Column("entry", LargeBinary, nullable=False),
        Column("leaf_hash", LargeBinary(32), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("form", String(64), nullable=True, index=True),
        Column("jti", String(36), nullable=True, index=True),
        Column("signature_hash", LargeBinary(32), nullable=True, index=True),
        Column("idempotency_key", String(MOST_KEY_CHARACTERS), nullable=True, unique=True),
        Column("salts", Text, nullable=False),
    )
    head_row = Table(
        "ledger_head",
        metadata,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("size", BigInteger, nullable=False),
        Column("frontier", LargeBinary, nullable=False),
    )
    return LedgerTables(entries, head_row)


_TABLES = tables(MetaData())  # the names are the same in every database, so statements need no one's metadata
_ENTRIES, _HEAD = _TABLES.entries, _TABLES.head
_PLACE = _ENTRIES.c.index.label("place")  # a row is a tuple, whose own ``index`` would hide the column's
_HEAD_ID = 1


@dataclass(frozen=True)
class Draft:
    """An entry to be appended, with what stays private: form and jti in the clear, and the salts of its commitments."""

    entry: Entry
    form: str | None = None
    jti: str | None = None
    salts: Mapping[str, bytes] = field(default_factory=dict)
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        require(self.salts.keys() == self.entry.commitments.keys(), "each commitment has its salt")
        key = self.idempotency_key
        require(key is None or 0 < len(key) <= MOST_KEY_CHARACTERS, f"an idempotency key has 1 to {MOST_KEY_CHARACTERS} characters")

    @classmethod
    def committing(
        cls,
        entry: Entry,
        values: Mapping[str, str],
        *,
        jti: str | None = None,
        idempotency_key: str | None = None,
    ) -> Draft:
        """A draft whose entry commits to ``values`` (form, people, policy) under fresh salts; empty values are left out."""
        kept = {name: value for name, value in values.items() if value}
        salts = {name: secrets.token_bytes(SALT_BYTES) for name in kept}
        committed = replace(entry, commitments={name: commitment(salts[name], value) for name, value in kept.items()})
        return cls(committed, kept.get("form"), jti, salts, idempotency_key)


@dataclass(frozen=True)
class Appended:
    """Where an entry stands: its index and its leaf hash in the ledger's tree."""

    index: int
    leaf_hash: bytes


@dataclass(frozen=True)
class Head:
    """The committed head: size and frontier."""

    frontier: Frontier

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """Merkle root over all entries."""
        return self.frontier.root()


@dataclass(frozen=True)
class Found:
    """An entry with its index, and what only the signer's database knows: the form, and the salts that open its commitments."""

    index: int
    data: bytes
    form: str | None
    salts: Mapping[str, bytes]

    @property
    def entry(self) -> Entry:
        """The entry, decoded."""
        return Entry.decode(self.data)


def append(connection: Connection, drafts: Sequence[Draft]) -> list[Appended]:
    """Appends ``drafts`` in order within the caller's transaction; call it last, just before the commit.

    A draft whose idempotency key is already there is not appended again: its first place is returned, or CONFLICT raised
    when kind, subject, form or jti differ from the first. Raises LEDGER_INCONSISTENT when the head row is damaged.
    """
    if not drafts:
        return []
    encoded = [draft.entry.encode() for draft in drafts]  # before the lock: refusals and work hold nobody up
    hashes = [entry_hash(data) for data in encoded]
    head_before = _lock_head(connection)
    known = _known(connection, [draft.idempotency_key for draft in drafts if draft.idempotency_key is not None])
    placed: list[Appended] = []
    rows: list[dict[str, object]] = []
    new: list[bytes] = []
    for draft, data, leaf in zip(drafts, encoded, hashes, strict=True):
        key = draft.idempotency_key
        if key is not None and key in known:
            placed.append(_same(draft, known[key]))
            continue
        place = Appended(head_before.size + len(rows), leaf)
        rows.append(_row(draft, data, place))
        new.append(leaf)
        placed.append(place)
        if key is not None:
            known[key] = (place, draft.entry.kind, draft.form, draft.jti, draft.entry.subject_sha256)
    if rows:
        connection.execute(insert(_ENTRIES), rows)
        frontier = head_before.extend(new)
        connection.execute(update(_HEAD).where(_HEAD.c.id == _HEAD_ID).values(size=frontier.size, frontier=frontier.encode()))
    return placed


def _row(draft: Draft, data: bytes, place: Appended) -> dict[str, object]:
    return {
        "index": place.index,
        "entry": data,
        "leaf_hash": place.leaf_hash,
        "kind": draft.entry.kind,
        "form": draft.form,
        "jti": draft.jti,
        "signature_hash": draft.entry.signature_hash,
        "idempotency_key": draft.idempotency_key,
        "salts": json.dumps({name: salt.hex() for name, salt in draft.salts.items()}),
    }


_Known = tuple[Appended, str, str | None, str | None, bytes | None]


def _known(connection: Connection, keys: list[str]) -> dict[str, _Known]:
    """What stands under these idempotency keys; read under the head lock, so nobody appends in between."""
    if not keys:
        return {}
    columns = _ENTRIES.c
    wanted = (columns.idempotency_key, _PLACE, columns.leaf_hash, columns.kind, columns.form, columns.jti, columns.entry)
    found = connection.execute(select(*wanted).where(columns.idempotency_key.in_(keys)))
    return {
        key: (Appended(place, leaf), kind, form, jti, Entry.decode(data).subject_sha256)
        for key, place, leaf, kind, form, jti, data in found
    }


def _same(draft: Draft, known: _Known) -> Appended:
    place, *before = known
    if before != [draft.entry.kind, draft.form, draft.jti, draft.entry.subject_sha256]:
        raise VermilionError(Code.CONFLICT, "this idempotency key was used before for another entry")
    return place


def _lock_head(connection: Connection) -> Frontier:
    """The frontier under lock: FOR UPDATE on PostgreSQL; on SQLite the transaction is already exclusive (BEGIN IMMEDIATE)."""
    locked = select(_HEAD.c.size, _HEAD.c.frontier).where(_HEAD.c.id == _HEAD_ID).with_for_update()
    row = connection.execute(locked).one_or_none()
    if row is None:  # the first entry of all; two at once: one inserts, the other waits for it and then locks
        empty = {"id": _HEAD_ID, "frontier": Frontier().encode()}
        connection.execute(
            text("INSERT INTO ledger_head (id, size, frontier) VALUES (:id, 0, :frontier) ON CONFLICT (id) DO NOTHING"), empty
        )
        row = connection.execute(locked).one()
    return _frontier(row.size, row.frontier)


def _frontier(size: int, encoded: bytes) -> Frontier:
    frontier = Frontier.decode(encoded)
    if frontier.size != size:
        raise VermilionError(Code.LEDGER_INCONSISTENT, "the ledger's head row contradicts itself")
    return frontier


def head(connection: Connection) -> Head:
    """The head as this transaction sees it; an empty ledger has size 0."""
    row = connection.execute(select(_HEAD.c.size, _HEAD.c.frontier).where(_HEAD.c.id == _HEAD_ID)).one_or_none()
    return Head(Frontier() if row is None else _frontier(row.size, row.frontier))


def entries(connection: Connection, start: int, end: int) -> list[bytes]:
    """Encoded entries [start, end); raises INVALID_ARGUMENT beyond the head, LEDGER_INCONSISTENT where one is missing."""
    require(0 <= start <= end <= head(connection).size, "the range lies within the ledger")
    index = _ENTRIES.c.index
    rows = connection.execute(select(_PLACE, _ENTRIES.c.entry).where(index >= start, index < end).order_by(index)).all()
    if [row.place for row in rows] != list(range(start, end)):
        raise VermilionError(Code.LEDGER_INCONSISTENT, "the signer's database lacks entries of the ledger")
    return [row.entry for row in rows]


def find(connection: Connection, *, form: str | None = None, jti: str | None = None, signature_hash: bytes | None = None) -> list[Found]:
    """Entries of a form, of a token, or of one signature value, by index; at least one of the three is given."""
    wanted = {"form": form, "jti": jti, "signature_hash": signature_hash}
    conditions = [_ENTRIES.c[name] == value for name, value in wanted.items() if value is not None]
    require(bool(conditions), "name a form, a token or a signature")
    columns = (_PLACE, _ENTRIES.c.entry, _ENTRIES.c.form, _ENTRIES.c.salts)
    rows = connection.execute(select(*columns).where(*conditions).order_by(_ENTRIES.c.index))
    return [
        Found(row.place, row.entry, row.form, {name: bytes.fromhex(salt) for name, salt in json.loads(row.salts).items()}) for row in rows
    ]
