"""The ledger's index in the signer's database: entries, and one head row with size and Merkle frontier.

``append`` runs inside the caller's transaction and locks the head row *last*: the caller takes all its other locks first,
so that no two transactions wait for each other, and holds this one only until its commit. A rollback leaves no gap,
because an index comes from the head row and never from a sequence.

Everything that an append touches lies side by side, so that it costs the same after a million entries: rows and forms come in
order anyway, and signatures, which come in no order, are indexed block by block (``signature_key``).
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    cast,
    literal,
    select,
    text,
)

from sealcore import compiled
from sealcore.errors import Code, VermilionError
from sealcore.platform.bulk import Rows
from sealcore.protocol.canonical import require
from sealcore.protocol.ledger_entry import COMMITMENT_NAMES, SALT_BYTES, Entry, commitment, entry_hash
from sealcore.protocol.merkle import Frontier

if compiled.AVAILABLE:
    from sealcore.compiled import core

MOST_KEY_CHARACTERS = 255
ORDINAL = BigInteger().with_variant(Integer(), "sqlite")  # what SQLite orders a table's rows by must be called INTEGER
BLOCK_BITS = 12  # entries whose signatures are indexed together: 4096, some 15 pages
_PREFIX_BITS = 32


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
        Column("index", ORDINAL, primary_key=True, autoincrement=False),
        Column("entry", LargeBinary, nullable=False),
        Column("kind", String(32), nullable=False),
        Column("form", String(64), nullable=True),
        Column("jti", String(36), nullable=True),
        Column("signature_key", BigInteger, nullable=True),  # ``signature_key``
        Column("idempotency_key", String(MOST_KEY_CHARACTERS), nullable=True),
        Column("salts", LargeBinary, nullable=False),  # ``encode_salts``
    )
    columns = entries.c
    for column, unique in ((columns.form, False), (columns.signature_key, False), (columns.idempotency_key, True)):
        there = column.is_not(None)
        Index(f"ix_ledger_entries_{column.name}", column, unique=unique, sqlite_where=there, postgresql_where=there)
    head_row = Table(
        "ledger_head",
        metadata,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("size", BigInteger, nullable=False),
        Column("frontier", LargeBinary, nullable=False),
    )
    return LedgerTables(entries, head_row)


_TABLES = tables(MetaData())  # the names are the same in every database, so statements need no one's metadata
_ENTRIES = _TABLES.entries
_PLACE = _ENTRIES.c.index.label("place")  # a row is a tuple, whose own ``index`` would hide the column's
_HEAD_ID = 1

_ROWS = Rows(
    "ledger_entries",
    (("index", "int8"), ("entry", "bytea"), ("kind", "text"), ("form", "text"), ("jti", "text"),
     ("signature_key", "int8"), ("idempotency_key", "text"), ("salts", "bytea")),
)  # fmt: skip
_READ_HEAD = f"SELECT size, frontier FROM ledger_head WHERE id = {_HEAD_ID}"  # noqa: S608
_READ_ENTRIES = {
    name: f'SELECT "index", entry FROM ledger_entries WHERE "index" >= {mark} AND "index" < {mark} ORDER BY "index"'  # noqa: S608
    for name, mark in (("sqlite", "?"), ("postgresql", "%b"))
}
_MOVE_HEAD = {
    "sqlite": f"UPDATE ledger_head SET size = ?, frontier = ? WHERE id = {_HEAD_ID}",  # noqa: S608
    "postgresql": f"UPDATE ledger_head SET size = %b, frontier = %b WHERE id = {_HEAD_ID}",  # noqa: S608
}


def signature_key(index: int, signature_hash: bytes) -> int:
    """What an entry's signature is indexed under: its block of the ledger, then the first 32 bits of its hash.

    Over whole hashes every append would touch pages all over the index, more of them the longer the ledger is. A search asks once
    a block, some 250 times a million entries, and looks into the entry itself for the rest of the hash.
    """
    return (index >> BLOCK_BITS) << _PREFIX_BITS | int.from_bytes(signature_hash[: _PREFIX_BITS // 8], "big")


def salts_head(names: Container[str]) -> bytes:
    """One byte that says for which of ``COMMITMENT_NAMES`` there is a salt, the first in the lowest bit."""
    return bytes((sum(1 << bit for bit, name in enumerate(COMMITMENT_NAMES) if name in names),))


def encode_salts(salts: Mapping[str, bytes]) -> bytes:
    """``salts_head``, then the salts in the order of ``COMMITMENT_NAMES``."""
    return salts_head(salts) + b"".join(salts[name] for name in COMMITMENT_NAMES if name in salts)


def decode_salts(data: bytes) -> dict[str, bytes]:
    """The inverse."""
    names = [name for bit, name in enumerate(COMMITMENT_NAMES) if data[0] >> bit & 1]
    return {name: data[1 + at * SALT_BYTES : 1 + (at + 1) * SALT_BYTES] for at, name in enumerate(names)}


class Encoded(NamedTuple):
    """An entry ready to be appended: its bytes and what is stored beside them (``salts`` as ``encode_salts`` makes them)."""

    data: bytes
    kind: str
    form: str | None
    jti: str | None
    signature_hash: bytes | None
    salts: bytes
    idempotency_key: str | None = None


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

    def encode(self) -> Encoded:
        """Ready to be appended; raises INVALID_ARGUMENT when the entry is too long."""
        entry = self.entry
        salts = encode_salts(self.salts)
        return Encoded(entry.encode(), entry.kind, self.form, self.jti, entry.signature_hash, salts, self.idempotency_key)


@dataclass(frozen=True, slots=True)
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
    encoded = [draft.encode() for draft in drafts]  # before the lock: refusals and work hold nobody up
    frontier = _lock_head(connection)
    known = _known(connection, [draft.idempotency_key for draft in drafts if draft.idempotency_key is not None])
    new: list[Encoded] = []
    at: list[int] = []  # the place of each draft among the new ones, or -1
    for draft, one in zip(drafts, encoded, strict=True):
        key = draft.idempotency_key
        if key is not None and key in known:
            at.append(known[key].new_at)
            # The same key for another entry is a fault of the sender: answering with the first
            # entry's place would lose the second in silence.
            known[key].require_same(draft)
            continue
        if key is not None:
            known[key] = _Known(len(new), None, one.kind, draft.form, draft.jti, draft.entry.subject_sha256)
        at.append(len(new))
        new.append(one)
    placed = _place(connection, frontier, new)
    return [placed[place] if place >= 0 else _first(known, draft) for draft, place in zip(drafts, at, strict=True)]


def append_new(connection: Connection, entries: Sequence[Encoded]) -> list[Appended]:
    """Appends entries that nothing but this transaction can have appended before, as ``append`` does; for the hot path."""
    return _place(connection, _lock_head(connection), entries) if entries else []


def _place(connection: Connection, before: Frontier, entries: Sequence[Encoded]) -> list[Appended]:
    """Puts the entries behind the head, which is locked."""
    if not entries:
        return []
    # Indexes come from the locked head row alone: what rolls back leaves no gap, and no two
    # transactions get the same.
    after, hashes = _grown(before, entries)
    placed = [Appended(index, leaf_hash) for index, leaf_hash in enumerate(hashes, before.size)]
    _ROWS.insert(connection, [_row(one, place.index) for one, place in zip(entries, placed, strict=True)])
    connection.exec_driver_sql(_MOVE_HEAD[connection.dialect.name], (before.size + len(entries), after))
    return placed


def _grown(before: Frontier, entries: Sequence[Encoded]) -> tuple[bytes, Sequence[bytes]]:
    """The frontier with the entries, encoded, and their leaf hashes."""
    if compiled.AVAILABLE:
        return core.extend_frontier(before.encode(), [one.data for one in entries])
    hashes = [entry_hash(one.data) for one in entries]
    return before.extend(hashes).encode(), hashes


def _row(one: Encoded, index: int) -> tuple[object, ...]:
    key = None if one.signature_hash is None else signature_key(index, one.signature_hash)
    return index, one.data, one.kind, one.form, one.jti, key, one.idempotency_key, one.salts


@dataclass(frozen=True)
class _Known:
    """What stands under an idempotency key: among the new entries of this call, or in the ledger (``place``)."""

    new_at: int
    place: Appended | None
    kind: str
    form: str | None
    jti: str | None
    subject_sha256: bytes | None

    def require_same(self, draft: Draft) -> None:
        """Raises CONFLICT when the key stands for another entry."""
        said = (draft.entry.kind, draft.form, draft.jti, draft.entry.subject_sha256)
        if said != (self.kind, self.form, self.jti, self.subject_sha256):
            raise VermilionError(Code.CONFLICT, "this idempotency key was used before for another entry")


def _first(known: Mapping[str, _Known], draft: Draft) -> Appended:
    assert draft.idempotency_key is not None
    place = known[draft.idempotency_key].place
    assert place is not None
    return place


def _known(connection: Connection, keys: list[str]) -> dict[str, _Known]:
    """What stands under these idempotency keys; read under the head lock, so nobody appends in between."""
    if not keys:
        return {}
    columns = _ENTRIES.c
    wanted = (columns.idempotency_key, _PLACE, columns.kind, columns.form, columns.jti, columns.entry)
    found = connection.execute(select(*wanted).where(columns.idempotency_key.in_(keys)))
    return {
        key: _Known(-1, Appended(place, entry_hash(data)), kind, form, jti, Entry.decode(data).subject_sha256)
        for key, place, kind, form, jti, data in found
    }


def _lock_head(connection: Connection) -> Frontier:
    """The frontier under lock: FOR UPDATE on PostgreSQL; on SQLite the transaction is already exclusive (BEGIN IMMEDIATE)."""
    locked = _READ_HEAD if connection.dialect.name == "sqlite" else f"{_READ_HEAD} FOR UPDATE"
    row = connection.exec_driver_sql(locked).one_or_none()
    if row is None:  # the first entry of all; two at once: one inserts, the other waits for it and then locks
        empty = {"id": _HEAD_ID, "frontier": Frontier().encode()}
        connection.execute(
            text("INSERT INTO ledger_head (id, size, frontier) VALUES (:id, 0, :frontier) ON CONFLICT (id) DO NOTHING"), empty
        )
        row = connection.exec_driver_sql(locked).one()
    return _frontier(row.size, row.frontier)


def _frontier(size: int, encoded: bytes) -> Frontier:
    frontier = Frontier.decode(encoded)
    if frontier.size != size:
        raise VermilionError(Code.LEDGER_INCONSISTENT, "the ledger's head row contradicts itself")
    return frontier


def head(connection: Connection) -> Head:
    """The head as this transaction sees it; an empty ledger has size 0."""
    row = connection.exec_driver_sql(_READ_HEAD).one_or_none()
    return Head(Frontier() if row is None else _frontier(row.size, row.frontier))


def entries(connection: Connection, start: int, end: int) -> list[bytes]:
    """Encoded entries [start, end); raises INVALID_ARGUMENT beyond the head, LEDGER_INCONSISTENT where one is missing."""
    require(0 <= start <= end <= head(connection).size, "the range lies within the ledger")
    rows = connection.exec_driver_sql(_READ_ENTRIES[connection.dialect.name], (start, end)).all()
    if [place for place, _ in rows] != list(range(start, end)):
        raise VermilionError(Code.LEDGER_INCONSISTENT, "the signer's database lacks entries of the ledger")
    return [data for _, data in rows]


def find(connection: Connection, *, form: str | None = None, signature_hash: bytes | None = None) -> list[Found]:
    """Entries of a form, or of one signature value, by index; at least one of the two is given."""
    require(form is not None or signature_hash is not None, "name a form or a signature")
    conditions: list[ColumnElement[bool]] = [] if form is None else [_ENTRIES.c.form == form]
    if signature_hash is not None:
        conditions.append(_of_signature(signature_hash, head(connection).size))
    columns = (_PLACE, _ENTRIES.c.entry, _ENTRIES.c.form, _ENTRIES.c.salts)
    rows = connection.execute(select(*columns).where(*conditions).order_by(_ENTRIES.c.index))
    found = [Found(row.place, row.entry, row.form, decode_salts(row.salts)) for row in rows]
    # The index holds 32 bits of the hash; the rest is compared here.
    return found if signature_hash is None else [one for one in found if one.entry.signature_hash == signature_hash]


def _of_signature(signature_hash: bytes, size: int) -> ColumnElement[bool]:
    """That an entry is indexed under this hash, in whichever block."""
    blocks = select(cast(literal(0), BigInteger).label("number")).cte("blocks", recursive=True)
    blocks = blocks.union_all(select(blocks.c.number + 1).where(blocks.c.number < size >> BLOCK_BITS))
    first = signature_key(0, signature_hash)
    return _ENTRIES.c.signature_key.in_(select(blocks.c.number * (1 << _PREFIX_BITS) + first))
