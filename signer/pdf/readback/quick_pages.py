"""Finds the marked pages in the page tree, for the quick account (ISO 32000-2 §7.7.3)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from signer.pdf.readback.quick_document import Lookup
from signer.pdf.readback.quick_values import Entries, OtherwiseError, reference, references

_MOST_NODES: Final = 2_000
_DEEPEST: Final = 32
_SEARCHED_BYTES: Final = 4096  # of the document, in about the time that one page takes to be looked at
_ESCAPED: Final = re.compile(rb"#(?:4[Bb](?:i|#69)|69(?:d|#64)|64(?:s|#73)|73)")  # letters of /Kids (ISO 32000-2 §7.3.5)
_ROTATION: Final = re.compile(rb"[+-]?\d{1,6}")
_Reference = tuple[int, int]


class MarkedPage(NamedTuple):
    """A page before the update; ``text`` is its dictionary without the closing brackets."""

    reference: _Reference
    entries: Entries
    text: bytes
    rotation: int


def marked_pages(lookup: Lookup, root: bytes | None, wanted: set[int]) -> dict[int, MarkedPage]:
    """The wanted pages by index, each of which occurs once in the whole tree; the first page if none is wanted."""
    top = reference(root)
    if not wanted:
        return {0: _first(lookup, top)}
    entries = lookup.dictionary(*top)[0]
    kids = references(lookup.array(entries[b"Kids"]))
    # Whichever costs less: to search the bytes for a second /Kids, or to look at every page.
    if len(kids) * _SEARCHED_BYTES < sum(map(len, lookup.texts())) or not _is_flat(lookup):
        return _found(lookup, top, wanted)
    if len({top, *kids}) != len(kids) + 1 or entries.get(b"Count") != b"%d" % len(kids):
        raise OtherwiseError
    return {index: _page(lookup.dictionary(*kids[index]), kids[index], [_node(entries)]) for index in wanted}


def _is_flat(lookup: Lookup) -> bool:
    """Whether only the root has /Kids, however the name is spelled. Then all its kids are pages, and need not be looked at one by one."""
    left = 1
    for text in lookup.texts():
        position = text.find(b"/Kids")
        while position >= 0:
            left -= 1
            position = text.find(b"/Kids", position + 1) if left >= 0 else -1
        if left < 0 or _ESCAPED.search(text) is not None:
            return False
    return True


def _found(lookup: Lookup, top: _Reference, wanted: set[int]) -> dict[int, MarkedPage]:
    """Walks the whole tree, in which every node must occur once and every count must be right."""
    found: dict[int, MarkedPage] = {}
    met: set[int] = set()

    def pages(own: _Reference, line: list[Entries], before: int) -> int:
        entries, _ = node = lookup.dictionary(*own)
        if own[0] in met or len(met) >= _MOST_NODES or len(line) > _DEEPEST:
            raise OtherwiseError
        met.add(own[0])
        if b"Kids" not in entries:
            if entries.get(b"Type") != b"/Page":  # readers do not agree whether that counts as a page
                raise OtherwiseError
            if before in wanted:
                found[before] = _page(node, own, line)
            return 1
        count, below = 0, [*line, _node(entries)]
        for kid in references(lookup.array(entries[b"Kids"])):
            count += pages(kid, below, before + count)
        if entries.get(b"Count") != b"%d" % count:
            raise OtherwiseError
        return count

    pages(top, [], 0)
    if len(found) < len(wanted):
        raise OtherwiseError
    return found


def _first(lookup: Lookup, top: _Reference) -> MarkedPage:
    line: list[Entries] = []
    own = top
    while len(line) <= _DEEPEST:
        entries, _ = node = lookup.dictionary(*own)
        if b"Kids" not in entries:
            return _page(node, own, line)
        line.append(_node(entries))
        own = references(lookup.array(entries[b"Kids"]))[0]
    raise OtherwiseError


def _node(entries: Entries) -> Entries:
    if entries.get(b"Type") != b"/Pages":
        raise OtherwiseError
    return entries


def _page(node: tuple[Entries, bytes], own: _Reference, line: list[Entries]) -> MarkedPage:
    entries, text = node
    turn = entries.get(b"Rotate")
    for above in reversed(line):
        turn = above.get(b"Rotate") if turn is None else turn
        if b"Annots" in above:
            raise OtherwiseError
    turn = b"0" if turn is None else turn
    if entries.get(b"Type") != b"/Page" or not line or _ROTATION.fullmatch(turn) is None or int(turn) % 90:
        raise OtherwiseError
    return MarkedPage(own, entries, text, int(turn) % 360)
