"""Reading the ledger as a stranger does: a cosigned checkpoint, every entry up to it, and proofs from tiles.

``LogReader`` follows a log. Each ``update`` takes the newest checkpoint, reads the entries since the last one, and goes on
only if old frontier + new entries lead to the new root; that is the consistency proof, and at the same time the proof that
all entries were seen. Only after that does "not found" mean anything (docs/protocol.md, "Ledger").
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.follower import Head, follow
from sealcore.platform.ledger.sources import HttpSource, Source, load_tile
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import Entry, entry_hash
from sealcore.protocol.ledger_tiles import WIDTH, TileName, TileTree, decode_bundle, width_at
from sealcore.protocol.signed_note import (
    MOST_NOTE_BYTES,
    Checkpoint,
    SignedCheckpoint,
    VerifierKey,
    head_read_at,
    verify_log,
    verify_witness,
)

CHECKPOINT_PATH = "checkpoint"


@dataclass(frozen=True)
class TrustedCheckpoint:
    """A checkpoint that the log signed.

    cosigned_at_s   POSIX time of the witness's cosignature; None when no witness is configured
    note            the signed note as served, for evidence
    head_read_at_s  POSIX time at which the log says that it read the head; None when it does not say
    """

    checkpoint: Checkpoint
    cosigned_at_s: int | None
    note: bytes
    head_read_at_s: int | None = None

    @property
    def complete_as_of_s(self) -> int | None:
        """POSIX time before which nothing was committed that it does not cover; None where that is not known.

        The log's word, and never later than the witness's: whose clock is ahead gains nothing by it.
        """
        if self.cosigned_at_s is None or self.head_read_at_s is None:
            return None
        return min(self.cosigned_at_s, self.head_read_at_s)

    @property
    def size(self) -> int:
        """Entries that it covers."""
        return self.checkpoint.size


@dataclass(frozen=True)
class LocatedEntry:
    """An entry with its index, proven to be in the tree of the checkpoint that was followed."""

    index: int
    entry: Entry


@dataclass(frozen=True)
class EntryProof:
    """An entry's encoding with its inclusion proof under a trusted checkpoint; verified when it was made."""

    index: int
    data: bytes
    proof: tuple[bytes, ...]
    checkpoint: TrustedCheckpoint

    @property
    def entry(self) -> Entry:
        """The entry, decoded."""
        return Entry.decode(self.data)


class LogReader:
    """A verifying reader of one log; safe to share between threads.

    source        where the log is served, a base URL or a ``Source``
    log_key       the log's key (``NAME+KEYID+BASE64`` or parsed)
    witness_key   the witness whose cosignature is demanded of every checkpoint; None demands none
    """

    def __init__(self, source: str | Source, log_key: str | VerifierKey, witness_key: str | VerifierKey | None = None) -> None:
        self._source: Source = HttpSource(source) if isinstance(source, str) else source
        self._log_key = VerifierKey.parse(log_key) if isinstance(log_key, str) else log_key
        self._witness_key = VerifierKey.parse(witness_key) if isinstance(witness_key, str) else witness_key
        self._updating = threading.Lock()  # one update at a time; nobody who only looks something up waits for it
        self._lock = threading.Lock()
        self._frontier = merkle.Frontier()
        self._followed: TrustedCheckpoint | None = None
        self._by_signature: dict[bytes, int] = {}

    def checkpoint(self) -> TrustedCheckpoint:
        """The newest checkpoint, signatures verified; raises SERVICE_UNAVAILABLE or LEDGER_INCONSISTENT."""
        data = self._source.fetch(CHECKPOINT_PATH, MOST_NOTE_BYTES)
        if data is None:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "the log has not published a checkpoint yet")
        signed = SignedCheckpoint.parse(data)
        verify_log(signed, self._log_key)
        cosigned_at_s = verify_witness(signed, self._witness_key) if self._witness_key is not None else None
        return TrustedCheckpoint(signed.checkpoint, cosigned_at_s, data, head_read_at(signed, self._log_key))

    def update(self) -> TrustedCheckpoint:
        """Follows the log to its newest checkpoint, reading every new entry; raises LEDGER_INCONSISTENT when it does not continue."""
        with self._updating:
            newest = self.checkpoint()
            before = self._followed
            if before is not None and newest.size < before.size:
                # Fewer entries under a later cosignature: the log has been cut. Under an earlier
                # one, somebody serves an old copy.
                if newest.cosigned_at_s is None or before.cosigned_at_s is None or newest.cosigned_at_s > before.cosigned_at_s:
                    raise VermilionError(Code.LEDGER_INCONSISTENT, "the log shows fewer entries than it did before")
                return before  # an older answer out of some cache: what was proven stays proven
            frontier, found = self._read_on(newest.checkpoint)
            with self._lock:
                for signature_hash, index in found:
                    # The first counts: a later entry of the same signature cannot take its place.
                    self._by_signature.setdefault(signature_hash, index)
                self._frontier, self._followed = frontier, newest
            return newest

    def _read_on(self, checkpoint: Checkpoint) -> tuple[merkle.Frontier, list[tuple[bytes, int]]]:
        """The frontier after all entries of a checkpoint, and which signature stands where among the new ones."""
        frontier, found = self._frontier, list[tuple[bytes, int]]()
        for step in follow(self._encodings, frontier, Head(checkpoint.size, checkpoint.root)):
            frontier = step.frontier
            for index, entry in enumerate(step.entries, step.start):
                if entry.signature_hash is not None:
                    found.append((entry.signature_hash, index))
        return frontier, found

    def _encodings(self, start: int, end: int) -> Iterator[bytes]:
        return (data for _, data in self.entries(start, end))

    def find(self, signature_hash: bytes) -> LocatedEntry | None:
        """The first entry of this signature value among all entries up to the checkpoint of the last ``update``.

        None means: every entry up to that checkpoint was searched, and it is not among them.
        """
        with self._lock:
            followed, index = self._followed, self._by_signature.get(signature_hash)
        if followed is None:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "the log was not followed yet")
        # Proven anew from tiles: the map above keeps no entries, and what is served now may differ
        # from what was read then.
        return None if index is None else LocatedEntry(index, self.prove(index, followed).entry)

    def entries(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(index, encoding) of entries [start, end), as served: untrusted until a root was reached with them."""
        at = start
        while at < end:
            number = at // WIDTH
            name = TileName(None, number, width_at(0, number, end))
            for offset, data in enumerate(decode_bundle(load_tile(self._source, name), name)):
                if number * WIDTH + offset >= at:
                    yield number * WIDTH + offset, data
            at = min(end, (number + 1) * WIDTH)

    def prove(self, index: int, checkpoint: TrustedCheckpoint) -> EntryProof:
        """Entry ``index`` with its inclusion proof under ``checkpoint``, from tiles; raises PROOF_INVALID or LEDGER_INCONSISTENT."""
        size, name = checkpoint.size, TileName(None, index // WIDTH, width_at(0, index // WIDTH, checkpoint.size))
        proof = merkle.inclusion_proof_of(TileTree(size, self._load).node, index, size)
        data = decode_bundle(load_tile(self._source, name), name)[index % WIDTH]
        merkle.verify_inclusion(entry_hash(data), index, size, proof, checkpoint.checkpoint.root)
        return EntryProof(index, data, tuple(proof), checkpoint)

    def _load(self, name: TileName) -> bytes:
        return load_tile(self._source, name)
