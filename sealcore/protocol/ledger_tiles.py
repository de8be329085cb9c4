"""The static layout of c2sp.org/tlog-tiles: paths, entry bundles, and a node source over tiles. Height 8: 256 hashes a tile."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import MOST_ENTRY_BYTES

HEIGHT = 8
WIDTH = 1 << HEIGHT
MOST_TILE_BYTES = WIDTH * merkle.HASH_BYTES
MOST_BUNDLE_BYTES = WIDTH * (2 + MOST_ENTRY_BYTES)
_LENGTH_BYTES = 2
# Six elements name more bundles than a tree of the largest size (2^63 - 1) has. Without a bound a name could be a number that
# int() refuses, or a path that the file system does.
PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True)
class TileName:
    """A tile, or with ``level`` None an entry bundle; ``width`` below 256 names a partial one."""

    level: int | None
    index: int
    width: int

    @property
    def path(self) -> str:
        """Path under the log's prefix, three digits an element: index 1234067 is ``x001/x234/067``."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        elements = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{element}" for element in elements[:-1]), elements[-1]])
        suffix = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{number}{suffix}"

    @property
    def full(self) -> TileName:
        """The same tile once it is full."""
        return TileName(self.level, self.index, WIDTH)

    @property
    def most_bytes(self) -> int:
        """The most that an honest log serves under this name."""
        return MOST_BUNDLE_BYTES if self.level is None else MOST_TILE_BYTES

    @classmethod
    def parse(cls, path: str) -> TileName | None:
        """The inverse of ``path``; None when it is no name of this layout."""
        match = PATH.fullmatch(path)
        if match is None:
            return None
        index = int(match[2].replace("/", "").replace("x", ""))
        name = cls(None if match[1] == "entries" else int(match[1]), index, int(match[3]) if match[3] else WIDTH)
        # Written again and compared, so that one tile has one path: caches and checks by path rely
        # on it.
        return name if name.path == path else None


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes tile ``index`` of ``level`` has in a tree of ``size``; 0 when it is not there."""
    return max(0, min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH))


def tiles_of(size: int) -> list[TileName]:
    """Every tile of a tree of ``size``, level by level."""
    names: list[TileName] = []
    level = 0
    while size >> (HEIGHT * level):
        hashes = size >> (HEIGHT * level)
        names += [TileName(level, index, width_at(level, index, size)) for index in range(-(-hashes // WIDTH))]
        level += 1
    return names


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each after its length as a big-endian uint16."""
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def decode_bundle(data: bytes, name: TileName) -> list[bytes]:
    """The entries of a bundle; raises LEDGER_INCONSISTENT unless it is whole and has ``name.width`` of them."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        # Also a length that is itself cut: ``int.from_bytes`` takes what there is, and the end then
        # lies behind the data.
        if end > len(data):
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"{name.path} is cut short")
        entries.append(data[start:end])
        at = end
    if len(entries) != name.width:
        raise VermilionError(Code.LEDGER_INCONSISTENT, f"{name.path} has {len(entries)} entries, not {name.width}")
    return entries


def decode_tile(data: bytes, name: TileName) -> list[bytes]:
    """The hashes of a tile; raises LEDGER_INCONSISTENT unless there are ``name.width`` of them."""
    if len(data) != name.width * merkle.HASH_BYTES:
        raise VermilionError(Code.LEDGER_INCONSISTENT, f"{name.path} has {len(data)} bytes, not {name.width * merkle.HASH_BYTES}")
    return [data[at : at + merkle.HASH_BYTES] for at in range(0, len(data), merkle.HASH_BYTES)]


Load = Callable[[TileName], bytes]
"""Bytes of a tile or bundle with exactly the name's width; raises when it cannot be had."""


class TileTree:
    """Hashes of complete subtrees in a tree of ``size``, out of tiles that are loaded once each; ``node`` is a node source.

    Tiles are taken as they come: a proof made here is believed only after it led to a trusted root.
    """

    def __init__(self, size: int, load: Load) -> None:
        self.size = size
        self._load = load
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree ``index`` at ``level``."""
        tile_level, inner = divmod(level, HEIGHT)
        first = index << inner
        tile_index, offset = divmod(first, WIDTH)
        return merkle.root(self._tile(tile_level, tile_index)[offset : offset + (1 << inner)])

    def _tile(self, level: int, index: int) -> list[bytes]:
        if (level, index) not in self._tiles:
            name = TileName(level, index, width_at(level, index, self.size))
            self._tiles[level, index] = decode_tile(self._load(name), name)
        return self._tiles[level, index]
