"""Recomputes a whole published log and names every damaged place: ``python -m ledger.check``.

Entry bundles and level-0 tiles hold the same leaves twice, and each higher tile holds its parts' roots once more. So where two
disagree, the third says which one is wrong: the tile above, or for the right edge the signed root itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.reader import CHECKPOINT_PATH
from sealcore.platform.ledger.sources import FolderSource, HttpSource, Source, load_tile
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import Entry, entry_hash
from sealcore.protocol.ledger_tiles import WIDTH, TileName, TileTree, decode_bundle, decode_tile, encode_bundle, width_at
from sealcore.protocol.signed_note import MOST_NOTE_BYTES, Checkpoint, SignedCheckpoint, VerifierKey, verify_log, verify_witness

SIGNED_CHECKPOINT_PATH = "checkpoint-signed"


@dataclass(frozen=True)
class Finding:
    """A damaged place: the path under the log's prefix (or ``cosignature``), and what is wrong there."""

    place: str
    problem: str


@dataclass(frozen=True)
class CheckReport:
    """What was recomputed. ``findings`` is empty when every byte is right."""

    size: int
    root: bytes
    cosigned_at_s: int | None
    findings: tuple[Finding, ...]


@dataclass
class _Work:
    source: Source
    findings: list[Finding] = field(default_factory=list)

    def note(self, place: str, problem: str) -> None:
        self.findings.append(Finding(place, problem))

    def hashes(self, name: TileName) -> list[bytes] | None:
        """A tile's hashes, or the leaf hashes of a bundle; None (and a finding) when it cannot be read."""
        try:
            data = load_tile(self.source, name)
            return decode_tile(data, name) if name.level is not None else [entry_hash(entry) for entry in decode_bundle(data, name)]
        except VermilionError as fault:
            if fault.code in (Code.SERVICE_UNAVAILABLE, Code.FILE_UNUSABLE):
                raise
            self.note(name.path, fault.reason)
            return None


def check(source: str | Path, log_key: str | VerifierKey, witness_key: str | VerifierKey | None = None) -> CheckReport:
    """Recomputes the log at a base URL or in a folder; raises SERVICE_UNAVAILABLE or FILE_UNUSABLE when it cannot be read at all.

    Without the log's signature nothing below it can be judged: then the checkpoint is the only finding.
    """
    work = _Work(HttpSource(source) if isinstance(source, str) else FolderSource(source))
    log = VerifierKey.parse(log_key) if isinstance(log_key, str) else log_key
    witness = VerifierKey.parse(witness_key) if isinstance(witness_key, str) else witness_key
    signed = _checkpoint(work, CHECKPOINT_PATH, log)
    if signed is None:
        return CheckReport(0, merkle.EMPTY_ROOT, None, tuple(work.findings))
    cosigned_at_s = _cosignature(work, signed, witness)
    size, root = signed.checkpoint.size, signed.checkpoint.root
    _check_upper_tiles(work, size, _resolve(work, signed.checkpoint))
    _check_entries(work, size)
    _check_signed_only(work, log, signed.checkpoint)
    if isinstance(work.source, FolderSource):
        _check_partials(work, work.source.folder, size)
    return CheckReport(size, root, cosigned_at_s, tuple(dict.fromkeys(work.findings)))


def _checkpoint(work: _Work, path: str, log: VerifierKey) -> SignedCheckpoint | None:
    data = work.source.fetch(path, MOST_NOTE_BYTES)
    if data is None:
        raise VermilionError(Code.SERVICE_UNAVAILABLE, "the log has not published a checkpoint")
    try:
        signed = SignedCheckpoint.parse(data)
        verify_log(signed, log)
    except VermilionError as fault:
        work.note(path, fault.reason)
        return None
    return signed


def _cosignature(work: _Work, signed: SignedCheckpoint, witness: VerifierKey | None) -> int | None:
    if witness is None:
        return None
    try:
        return verify_witness(signed, witness)
    except VermilionError as fault:
        work.note("cosignature", fault.reason)
        return None


def _check_signed_only(work: _Work, log: VerifierKey, published: Checkpoint) -> None:
    """The newest signed checkpoint may be ahead of the cosigned one, never behind it or beside it."""
    data = work.source.fetch(SIGNED_CHECKPOINT_PATH, MOST_NOTE_BYTES)
    if data is None:
        return  # other logs do not serve it
    signed = _checkpoint(work, SIGNED_CHECKPOINT_PATH, log)
    if signed is None:
        return
    newest = signed.checkpoint
    if newest.size < published.size or (newest.size == published.size and newest.root != published.root):
        work.note(SIGNED_CHECKPOINT_PATH, "it does not continue the published checkpoint")
    elif newest.size > published.size:
        try:
            root = merkle.root_of(TileTree(newest.size, lambda name: load_tile(work.source, name)).node, newest.size)
        except VermilionError as fault:
            work.note(SIGNED_CHECKPOINT_PATH, fault.reason)
            return
        if root != newest.root:
            work.note(SIGNED_CHECKPOINT_PATH, "the tiles do not lead to its root")


@dataclass(frozen=True)
class _Dispute:
    """A level-0 tile and its bundle that do not say the same; None stands for one that cannot be read."""

    index: int
    by_bundle: list[bytes] | None
    by_tile: list[bytes] | None


def _resolve(work: _Work, signed: Checkpoint) -> list[bytes]:
    """Roots of the level-0 tiles (the last may be partial, then of what is there), with every disagreement judged and noted."""
    tiles: list[bytes] = []
    disputes: list[_Dispute] = []
    for index in range(-(-signed.size // WIDTH)):
        width = width_at(0, index, signed.size)
        by_bundle, by_tile = work.hashes(TileName(None, index, width)), work.hashes(TileName(0, index, width))
        if by_bundle is None or by_bundle != by_tile:
            disputes.append(_Dispute(index, by_bundle, by_tile))
        # For the time being by the bundle; disputes are settled below.
        tiles.append(merkle.root(by_bundle or by_tile or []))
    for dispute in disputes:
        _judge(work, signed, tiles, dispute)
    if _root_of_tiles(tiles, signed.size) != signed.root:
        work.note("tile", "entries and tiles do not lead to the root that the log signed")
    return tiles


def _judge(work: _Work, signed: Checkpoint, tiles: list[bytes], dispute: _Dispute) -> None:
    index, width = dispute.index, width_at(0, dispute.index, signed.size)
    if dispute.by_bundle is None or dispute.by_tile is None:
        return  # noted when it could not be read
    claims = {None: merkle.root(dispute.by_bundle), 0: merkle.root(dispute.by_tile)}
    right = _right_claim(work, signed, tiles, index, claims)
    differing = next(at for at, (a, b) in enumerate(zip(dispute.by_bundle, dispute.by_tile, strict=True)) if a != b)
    for level, claim in claims.items():
        if claim != right:
            what = "entry" if level is None else "hash"
            work.note(TileName(level, index, width).path, f"{what} {index * WIDTH + differing} does not fit the tree")
    tiles[index] = right or claims[None]


def _right_claim(work: _Work, signed: Checkpoint, tiles: list[bytes], index: int, claims: dict[int | None, bytes]) -> bytes | None:
    """Which root of tile ``index`` the third party confirms: the signed root, else the tile above; None when neither does."""
    for claim in claims.values():
        if _root_of_tiles([*tiles[:index], claim, *tiles[index + 1 :]], signed.size) == signed.root:
            return claim
    if width_at(0, index, signed.size) < WIDTH:
        return None
    above = TileName(1, index // WIDTH, width_at(1, index // WIDTH, signed.size))
    hashes = _Work(work.source).hashes(above)  # its own damage is noted where upper tiles are checked
    stated = hashes[index % WIDTH] if hashes is not None else None
    return stated if stated in claims.values() else None


def _root_of_tiles(tiles: Sequence[bytes], size: int) -> bytes:
    """The tree's root out of its level-0 tiles' roots: a last, partial tile joins as the right edge always does."""
    if not tiles:
        return merkle.EMPTY_ROOT
    partial = tiles[-1:] if size % WIDTH else []
    full = tiles[: len(tiles) - len(partial)]
    frontier = merkle.Frontier().extend(full)
    result = partial[0] if partial else None
    for left in reversed(frontier.hashes):
        result = left if result is None else merkle.node_hash(left, result)
    assert result is not None
    return result


def _check_upper_tiles(work: _Work, size: int, tiles: list[bytes]) -> None:
    """Tiles of level 1 and above hold the roots of the full tiles below them."""
    hashes, level = tiles[: size // WIDTH], 1
    while hashes:
        for index in range(-(-len(hashes) // WIDTH)):
            expected = hashes[index * WIDTH : (index + 1) * WIDTH]
            name = TileName(level, index, len(expected))
            stored = work.hashes(name)
            if stored is not None and stored != expected:
                at = next(at for at, (a, b) in enumerate(zip(stored, expected, strict=True)) if a != b)
                work.note(name.path, f"hash {index * WIDTH + at} is not the root of the tile below")
        hashes = [merkle.root(hashes[at : at + WIDTH]) for at in range(0, len(hashes) - WIDTH + 1, WIDTH)]
        level += 1


def _check_entries(work: _Work, size: int) -> None:
    """Every entry has the protocol's form; a bundle already noted is not looked into again."""
    noted = {finding.place for finding in work.findings}
    for index in range(-(-size // WIDTH)):
        name = TileName(None, index, width_at(0, index, size))
        if name.path in noted:
            continue
        for offset, data in enumerate(decode_bundle(load_tile(work.source, name), name)):
            try:
                Entry.decode(data)
            except VermilionError as fault:
                work.note(name.path, f"entry {index * WIDTH + offset}: {fault.reason}")


def _check_partials(work: _Work, folder: Path, size: int) -> None:
    """Partial tiles of earlier checkpoints are the beginnings of those that are there now, unless these are noted themselves."""
    noted = {finding.place for finding in work.findings}
    for file in sorted(path for path in (folder / "tile").rglob("*") if path.is_file()):
        path = file.relative_to(folder).as_posix()
        name = TileName.parse(path)
        if name is None:
            work.note(path, "this file does not belong to the log")
            continue
        now = TileName(name.level, name.index, width_at(name.level or 0, name.index, size))
        if name.width < now.width and now.path not in noted and file.read_bytes() != _beginning(work, now, name.width):
            work.note(path, "this partial tile is not the beginning of the one that followed it")


def _beginning(work: _Work, name: TileName, width: int) -> bytes:
    data = load_tile(work.source, name)
    return data[: width * merkle.HASH_BYTES] if name.level is not None else encode_bundle(decode_bundle(data, name)[:width])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when every byte fits, 1 when not, 2 when the log could not be read."""
    parser = argparse.ArgumentParser(prog="python -m ledger.check", description="Recomputes a published log.")
    parser.add_argument("log", help="base URL, or folder")
    parser.add_argument("--log-key", required=True, help="NAME+KEYID+BASE64")
    parser.add_argument("--witness-key", help="NAME+KEYID+BASE64; then the checkpoint must be cosigned by it")
    chosen = parser.parse_args(arguments)
    log = chosen.log if chosen.log.startswith(("http://", "https://")) else Path(chosen.log)
    try:
        report = check(log, chosen.log_key, chosen.witness_key)
    except VermilionError as fault:
        sys.stderr.write(f"{fault}\n{fault.way_out}\n")
        return 2
    for finding in report.findings:
        sys.stdout.write(f"{finding.place}: {finding.problem}\n")
    if not report.findings:
        sys.stdout.write(f"{report.size} entries recomputed; root {report.root.hex()}; every byte fits\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
