"""Following the ledger by index: whoever has read the first n entries reads on from there, and can tell when they are not continued.

Nothing that a source says is believed: only when the hashes of the old and the new entries lead to the new head are the new ones
what was signed, or committed, and all of it. So a follower keeps the frontier of what it has read (a few dozen hashes), acts on new
entries after the last step, and then keeps the new frontier; a crash in between repeats the same entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.platform.periodic import progress
from sealcore.protocol.ledger_entry import Entry, entry_hash, use_facts
from sealcore.protocol.ledger_tiles import WIDTH
from sealcore.protocol.merkle import Frontier

# At most 128 MiB of entries in memory, were each as large as it may be; about 1 MiB as they are. A multiple of a bundle's width: a
# published log serves whole bundles and the last one, nothing in between.
ENTRIES_A_STEP: Final = 8 * WIDTH

Entries = Callable[[int, int], Iterator[bytes]]
"""(start, end) → the encodings of the entries [start, end), in order, as a source has them."""


@dataclass(frozen=True)
class Head:
    """How far the ledger goes: the number of its entries, and the root over them."""

    size: int
    root: bytes


@dataclass(frozen=True)
class Step:
    """Some entries that follow each other; untrusted until the last step was followed by no error.

    start     index of the first
    data      their encodings
    frontier  over everything up to and with them
    """

    start: int
    data: Sequence[bytes]
    frontier: Frontier

    @property
    def entries(self) -> Sequence[Entry]:
        """The same, decoded: anew each time, since not everyone who follows wants them."""
        return [Entry.decode(one) for one in self.data]


def follow(entries: Entries, before: Frontier, head: Head) -> Iterator[Step]:
    """The entries from ``before`` to ``head``, in steps of at most ``ENTRIES_A_STEP``.

    LEDGER_INCONSISTENT where something is no entry of the protocol, and, instead of an end, where the entries do not lead from
    ``before`` to ``head``.
    """
    frontier = before
    while frontier.size < head.size:
        start, end = frontier.size, min(head.size, (frontier.size // ENTRIES_A_STEP + 1) * ENTRIES_A_STEP)
        # One more than asked for, so that a source that hands out too many is noticed, and no more
        # than that is taken.
        data = list(islice(entries(start, end), end - start + 1))
        if len(data) != end - start:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"of the entries {start} to {end - 1}, {len(data)} came")
        for one in data:
            if use_facts(one) is None:  # nearly all are of this shape, and this costs a tenth
                Entry.decode(one)
        frontier = frontier.extend(map(entry_hash, data))
        progress()
        yield Step(start, data, frontier)
    # Only here are the steps proven: who acts on one before the last has to be able to take it
    # back.
    if frontier.size != head.size or frontier.root() != head.root:
        reason = f"the ledger's {head.size} entries do not continue the {before.size} that were read before"
        raise VermilionError(Code.LEDGER_INCONSISTENT, reason)
