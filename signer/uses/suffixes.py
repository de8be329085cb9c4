"""Suffixes in the database: packed, and what they have in common stored once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from sealcore.errors import Code, VermilionError
from sealcore.platform.bulk import Many
from signer.model import Packed, Part
from signer.tables import suffix_parts
from signer.uses.packing import Packer, decode, names

_MOST_REMEMBERED = 4096
_ADD_PARTS = Many(
    Part,
    "INSERT INTO suffix_parts (name, content) VALUES (:name, :content) ON CONFLICT DO NOTHING",
    "INSERT INTO suffix_parts (name, content) SELECT name, content FROM {rows} ON CONFLICT DO NOTHING",
)


class Suffixes:
    """Packs the suffixes of one process for its database. Thread-safe."""

    def __init__(self) -> None:
        self._packer = Packer()
        self._stored: set[bytes] = set()  # names of parts whose rows are committed; rows are never deleted

    def pack_all(self, suffixes: Sequence[tuple[bytes, str]]) -> list[tuple[Packed, bytes]]:
        """As ``Packer.pack_all``."""
        return self._packer.pack_all(suffixes)

    def add_parts(self, connection: Connection, packed: Iterable[Packed]) -> None:
        """Stores what they refer to and is not known to be there. Before the ledger's head is locked: two batches may add the same part."""
        missing = {part for one in packed for part in one.parts if part.name not in self._stored}
        if missing:
            _ADD_PARTS.run(connection, sorted(missing))

    def committed(self, packed: Iterable[Packed]) -> None:
        """The transaction that stored these has ended well."""
        stored = {part.name for one in packed for part in one.parts}
        if not stored <= self._stored:
            self._stored = stored if len(self._stored) > _MOST_REMEMBERED else self._stored | stored


def read(connection: Connection, stored: Sequence[bytes]) -> list[Packed]:
    """What these rows hold; LEDGER_INCONSISTENT when a part that one refers to is not there."""
    named = {name for content in stored for name in names(content)}
    columns = suffix_parts.c
    rows = connection.execute(select(columns.name, columns.content).where(columns.name.in_(sorted(named)))) if named else ()
    contents = {bytes(row.name): bytes(row.content) for row in rows}
    if named - contents.keys():
        raise VermilionError(Code.LEDGER_INCONSISTENT, "the signer's database lacks a part of the sealed bytes that it keeps")
    return [decode(content, contents) for content in stored]
