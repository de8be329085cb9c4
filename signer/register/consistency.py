"""What is compared at start, beside the register: the ledger with its own head and checkpoint, and the uses with the ledger.

Whoever can write the database can alter uses; what they cannot alter is the cosigned history, and the uses must add up to it.
Every entry is read once, in order, some thousands at a time: a million take seconds, and no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, select, text

from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.bulk import Keyed
from sealcore.platform.ledger import store as ledger_store
from sealcore.protocol.ledger_entry import Entry, EntryKind, UseFacts, entry_hash, jti_hash, use_facts
from sealcore.protocol.merkle import Frontier
from signer.tables import AnyRow, UseKey, uses

_CHUNK = 4096
_ENDS = {EntryKind.SEAL.value: "sealed", EntryKind.VOID.value: "voided"}


class _EndedUse(NamedTuple):
    """What row and entry of a use must agree on."""

    jti: str
    use_index: int
    ledger_index: int
    state: str
    attempt: int
    leaf_hash: bytes


_USES = Keyed(
    UseKey,
    f"SELECT {', '.join(_EndedUse._fields)} FROM json_each(?) CROSS JOIN uses ON jti = :jti AND use_index = :use_index",  # noqa: S608
    f"SELECT {', '.join(_EndedUse._fields)} FROM {{keys}} JOIN uses USING (jti, use_index)",  # noqa: S608
)
_ENTRIES = text('SELECT "index" AS place, entry, kind, jti FROM ledger_entries WHERE "index" >= :start ORDER BY "index" LIMIT :count')

_jti_hash = lru_cache(maxsize=1024)(jti_hash)


@dataclass(frozen=True)
class KnownCheckpoint:
    """Size and root of a checkpoint that a witness cosigned."""

    size: int
    root: bytes


def check(engine: Engine, checkpoint: KnownCheckpoint | None) -> int:
    """Recomputes the ledger and compares; returns its size. Raises LEDGER_INCONSISTENT or REGISTER_INCONSISTENT."""
    with db.read(engine) as connection:
        head = ledger_store.head(connection)
        # The database is older than what a witness has cosigned, or history was cut off. New
        # entries would fork what strangers hold.
        if checkpoint is not None and head.size < checkpoint.size:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"the ledger has {head.size} entries; a witness has cosigned {checkpoint.size}")
        frontier = Frontier()
        ended = 0
        for rows in _chunks(connection):
            hashes = _hashes(rows, frontier.size)
            ended += _compare_uses(connection, rows)
            # The checkpoint's size falls into this chunk: the root is compared at exactly that
            # size, where the witness cosigned it.
            if checkpoint is not None and frontier.size < checkpoint.size <= frontier.size + len(rows):
                _require_root(frontier.extend(hashes[: checkpoint.size - frontier.size]), checkpoint)
            frontier = frontier.extend(hashes)
        if frontier != head.frontier:
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the ledger's head does not follow from its entries")
        # Each entry that ends a use has its own use. As many uses have ended: so none has ended without an entry.
        found = connection.execute(select(func.count()).select_from(uses).where(uses.c.state != "intended")).scalar_one()
        if found != ended:
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"{found} uses have ended, but the ledger knows {ended}")
    return head.size


def _require_root(frontier: Frontier, checkpoint: KnownCheckpoint) -> None:
    if frontier.root() != checkpoint.root:
        raise VermilionError(Code.LEDGER_INCONSISTENT, "the ledger is not the one that a witness cosigned")


def _chunks(connection: Connection) -> Iterator[Sequence[AnyRow]]:
    """Every entry in order."""
    start = 0
    while rows := connection.execute(_ENTRIES, {"start": start, "count": _CHUNK}).all():
        yield rows
        start = rows[-1].place + 1


def _hashes(rows: Sequence[AnyRow], start: int) -> list[bytes]:
    """Leaf hashes of entries that follow each other without a gap."""
    for place, row in enumerate(rows, start):
        if row.place != place:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"entry {place} of the ledger is missing")
    return [entry_hash(row.entry) for row in rows]


def _compare_uses(connection: Connection, rows: Sequence[AnyRow]) -> int:
    """How many of these entries end a use; each of those uses says the same."""
    ends = [(row.place, row.jti, facts) for row in rows if (facts := _facts(row.place, row.entry, row.kind)) is not None]
    keys = [UseKey(jti or "", facts.number) for _, jti, facts in ends]
    found = set(map(_EndedUse._make, _USES.read(connection, keys)))
    for place, jti, facts in ends:
        if (
            jti is None
            or _EndedUse(jti, facts.number, place, _ENDS[facts.kind], facts.attempts, facts.leaf_hash) not in found
            or _jti_hash(jti) != facts.jti_hash
        ):
            raise VermilionError(Code.REGISTER_INCONSISTENT, f"the use behind entry {place} of the ledger is missing or was altered")
    return len(ends)


def _facts(place: int, data: bytes, kind: str) -> UseFacts | None:
    """What an entry says of the use that it ends; None for one of another kind."""
    # Nearly every entry has the shape that ``use_facts`` reads at a tenth of the cost; the full
    # decoder takes the others.
    facts = use_facts(data)
    if facts is None:
        entry = Entry.decode(data)
        if entry.kind in _ENDS:
            if entry.jti_hash is None or entry.index is None or entry.attempts is None or entry.leaf_hash is None:
                raise VermilionError(Code.LEDGER_INCONSISTENT, f"entry {place} of the ledger does not say which use it ends")
            facts = UseFacts(entry.kind, entry.jti_hash, entry.index, entry.attempts, entry.leaf_hash)
    if (facts.kind if facts is not None else entry.kind) != kind:
        raise VermilionError(Code.LEDGER_INCONSISTENT, f"entry {place} of the ledger is stored under another kind")
    return facts
