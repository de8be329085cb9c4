"""Who follows the ledger reads on from where it was, and believes nothing that does not lead to the head."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.follower import ENTRIES_A_STEP, Head, follow
from sealcore.protocol.ledger_entry import Entry, EntryKind, entry_hash
from sealcore.protocol.ledger_tiles import WIDTH
from sealcore.protocol.merkle import Frontier

MANY = 2 * ENTRIES_A_STEP + WIDTH + 3


def entry(number: int) -> bytes:
    return Entry(EntryKind.AUDIT, 1_777_896_000_000_000 + number, subject_sha256=hashlib.sha256(b"%d" % number).digest()).encode()


BOOK = [entry(number) for number in range(MANY)]


def frontier(size: int) -> Frontier:
    return Frontier().extend(map(entry_hash, BOOK[:size]))


def head(size: int) -> Head:
    return Head(size, frontier(size).root())


class Source:
    """A ledger as somebody serves it; remembers what was asked for."""

    def __init__(self, book: Sequence[bytes] = BOOK) -> None:
        self._book = book
        self.asked: list[tuple[int, int]] = []

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        self.asked.append((start, end))
        yield from self._book[start:end]


def inconsistent(source: Source, before: Frontier, to: Head) -> None:
    with pytest.raises(VermilionError) as refusal:
        list(follow(source.entries, before, to))
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


@pytest.mark.parametrize("start", [0, 1, WIDTH, ENTRIES_A_STEP - 1, ENTRIES_A_STEP, MANY - 1])
def test_it_reads_on_from_where_it_was_in_steps_of_whole_bundles(start: int) -> None:
    source = Source()
    kept = Frontier.decode(frontier(start).encode())  # as a follower keeps it between two starts
    steps = list(follow(source.entries, kept, head(MANY)))
    assert [one for step in steps for one in step.data] == BOOK[start:]
    assert [one.encode() for step in steps for one in step.entries] == BOOK[start:]
    assert [step.start for step in steps] == [begin for begin, _ in source.asked]
    assert all(end % WIDTH == 0 for _, end in source.asked[:-1]) and source.asked[-1][1] == MANY
    assert all(end - begin <= ENTRIES_A_STEP for begin, end in source.asked)
    assert steps[-1].frontier == frontier(MANY)


def test_where_nothing_is_new_nothing_is_asked() -> None:
    source = Source()
    assert list(follow(source.entries, frontier(7), head(7))) == [] and source.asked == []


def test_a_head_over_another_history_of_the_same_length_is_no_end() -> None:
    inconsistent(Source(), frontier(7), Head(7, frontier(8).root()))
    inconsistent(Source(), frontier(7), Head(9, frontier(8).root()))


def test_a_ledger_that_became_shorter_is_no_end() -> None:
    inconsistent(Source(), frontier(7), head(6))


@pytest.mark.parametrize(
    "book",
    [
        [*BOOK[:5], entry(99_999), *BOOK[6:9]],
        BOOK[:5] + BOOK[6:9] + [BOOK[5]],
        BOOK[:8],
        [*BOOK[:5], b"no entry", *BOOK[6:9]],
    ],
    ids=["altered", "reordered", "one is missing", "no entry"],
)
def test_other_entries_than_those_under_the_head_are_no_end(book: list[bytes]) -> None:
    inconsistent(Source(book), frontier(3), head(9))


def test_more_than_was_asked_for_is_refused_before_it_fills_the_memory() -> None:
    def endless(start: int, _end: int) -> Iterator[bytes]:
        while True:
            yield BOOK[start]

    with pytest.raises(VermilionError) as refusal:
        list(follow(endless, frontier(3), head(9)))
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


def test_another_past_is_not_continued() -> None:
    forged = Frontier().extend([hashlib.sha256(b"%d" % number).digest() for number in range(3)])
    inconsistent(Source(), forged, head(9))
