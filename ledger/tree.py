"""The tiles on disk. Only ever extended; every file is durable before the checkpoint that covers it is signed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.ledger.sources import FolderSource, load_tile
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import entry_hash
from sealcore.protocol.ledger_tiles import HEIGHT, WIDTH, TileName, TileTree, decode_bundle, decode_tile, encode_bundle


class TileFolder:
    """Writes tiles and entry bundles under a log's public folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._source = FolderSource(folder)

    def root(self, size: int) -> bytes:
        """The root that the tiles on disk give for ``size``: read back, not remembered."""
        return merkle.root_of(TileTree(size, self._load).node, size)

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Proof from one published size to another, for the witness."""
        return merkle.consistency_proof_of(TileTree(new_size, self._load).node, old_size, new_size)

    def extend(self, size: int, entries: Sequence[bytes]) -> None:
        """Adds ``entries`` after the first ``size``. Repeating it with the same entries, after a crash, writes the same files."""
        full: list[TileName] = []
        for name, items in self._split(None, size, list(entries)):
            # Entries before hashes: a tile whose entries are not there could never be checked.
            self._write(name, encode_bundle(items))
            full += [name] if name.width == WIDTH else []
        level, hashes = 0, [entry_hash(entry) for entry in entries]
        before = size
        while hashes:
            above: list[bytes] = []
            for name, items in self._split(level, before, hashes):
                self._write(name, b"".join(items))
                if name.width == WIDTH:
                    above.append(merkle.root(items))
                    full.append(name)
            before, hashes, level = before >> HEIGHT, above, level + 1
        for name in full:  # durable by now; tlog-tiles lets its partial predecessors go
            path = self._folder / name.path
            shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)

    def _split(self, level: int | None, before: int, items: list[bytes]) -> list[tuple[TileName, list[bytes]]]:
        """New items of a level, cut into tiles; the first tile begins with what its partial predecessor has on disk."""
        index, width = divmod(before, WIDTH)
        pending = self._items(TileName(level, index, width)) + items if width else items
        return [
            (TileName(level, index + number, len(part)), part)
            for number, part in enumerate(pending[at : at + WIDTH] for at in range(0, len(pending), WIDTH))
        ]

    def _items(self, name: TileName) -> list[bytes]:
        data = self._load(name)
        if name.level is not None:
            return decode_tile(data, name)
        entries = decode_bundle(data, name)
        if [entry_hash(entry) for entry in entries] != self._items(TileName(0, name.index, name.width)):
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"{name.path} on disk is damaged")  # damage must not spread into the next
        return entries

    def _load(self, name: TileName) -> bytes:
        return load_tile(self._source, name)

    def _write(self, name: TileName, data: bytes) -> None:
        durable.write(self._folder / name.path, data)


def check_edge(folder: TileFolder, size: int, root: bytes) -> None:
    """Raises LEDGER_INCONSISTENT unless the tiles on disk lead to ``root``: nothing is built upon damaged tiles."""
    if folder.root(size) != root:
        raise VermilionError(Code.LEDGER_INCONSISTENT, f"the tiles on disk do not lead to the root of {size} entries")
