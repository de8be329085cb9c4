"""Finds numbers for new objects: the lowest that nothing in the document refers to and that no object there has.

A document may refer to objects that it does not have; such a reference means null (ISO 32000-2 §7.3.10). An update that took one of these
numbers would bring the reference to life: a page could show the seal's picture at a place that nobody approved.
Nor is a number taken that an object has which no table names: a cross-reference stream's own need be in none (§7.5.8), and readers that
search a damaged file find objects of older revisions.
Numbers stay dense but for these: some readers take objects with far too high numbers for damage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Final

from sealcore.errors import Code, VermilionError
from signer.pdf.plan import Document

LARGEST_OBJECT_NUMBER: Final = 4_000_000  # PDFium reads no larger ones
BLOCK: Final = 10  # numbers that differ in the last digit only are searched for together
_MOST_TRIES: Final = 32  # each may search the whole document
_LONGEST_COMMENT_BYTES: Final = 128  # of a comment between the parts of a reference
MOST_SECONDS: Final = 2.0  # spent searching: an ordinary document takes well below a millisecond

_BLANK: Final = rb"[\0\t\n\f\r ]"
_BETWEEN: Final = rb"(?=[\0\t\n\f\r %%])%b*+(?:%%[^\r\n]{0,%d}+(?:[\r\n]|\Z)%b*+)?+" % (_BLANK, _LONGEST_COMMENT_BYTES, _BLANK)
_NUMERIC: Final = rb"[0-9.+-]"  # lenient readers accept odd numbers as integers


class FreeNumbers:
    """Gives out ascending numbers, from ``first`` or higher.

    texts  everything that may hold references: the file, and its decoded object streams
    """

    __slots__ = ("_ends_s", "_left", "_next", "_texts")

    def __init__(self, first: int, texts: Sequence[Document]) -> None:
        self._next = max(first, BLOCK)
        self._left = 0  # numbers left in the block of ``_next``
        self._texts = texts
        self._ends_s = 0.0

    @property
    def size(self) -> int:
        """One more than the highest number given out (/Size of a trailer)."""
        return self._next

    def take(self, count: int = 1) -> int:
        """The first of so many consecutive numbers; DOCUMENT_TOO_COMPLEX if the document leaves none free."""
        if count > self._left:
            self._find_blocks(-(-count // BLOCK))
        first = self._next
        self._next += count
        self._left -= count
        return first

    def _find_blocks(self, count: int) -> None:
        """Advances to the next free run of so many blocks."""
        start = block = -(-self._next // BLOCK)
        tries = 0
        now_s = monotonic()
        self._ends_s = self._ends_s or now_s + MOST_SECONDS
        # Bounded by tries and by time: a document could refer to one number in every block, and
        # each try searches all of it.
        while block - start < count and tries <= _MOST_TRIES and now_s < self._ends_s:
            if self._referred(b"%d" % block):
                start, tries = block + 1, tries + 1
            block += 1
            now_s = monotonic()
        self._next, self._left = start * BLOCK, count * BLOCK
        if block - start < count or self._next + self._left > LARGEST_OBJECT_NUMBER:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, "the document refers to very many objects that it does not have")

    def _referred(self, prefix: bytes) -> bool:
        holders = [text for text in self._texts if text.find(prefix) >= 0]
        if not holders:
            return False
        reference = _reference(prefix)
        return any(reference.search(text) is not None for text in holders)


@lru_cache(maxsize=2048)
def _reference(prefix: bytes) -> re.Pattern[bytes]:
    """Matches a reference to any number of a block, in linear time for any text.

    Of all places in one run of digits where the block's digits stand, the last alone is followed to the end of the run: what comes behind
    the run is the same for all of them. A comment between the parts that is long, or a second one, is not read: then the block counts as
    referred to.
    """
    here = prefix + b"[0-9]"
    rest = b"%b{0,12}+(?:(?!%b)%b)*+" % (_NUMERIC, here, _NUMERIC)  # the first few digits need no lookahead
    return re.compile(b"%b%b%b(?:%%|%b++%b(?:%%|R|obj))" % (here, rest, _BETWEEN, _NUMERIC, _BETWEEN))
