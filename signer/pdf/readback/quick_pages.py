"""Which objects the marked pages are, for the quick account of an update (ISO 32000-2 §7.7.3)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from signer.pdf.readback.lookup import Entries, Lookup, OtherwiseError, reference, references

_MOST_NODES: Final = 2_000
_DEEPEST: Final = 32
_ESCAPED: Final = re.compile(rb"#(?:4[Bb](?:i|#69)|69(?:d|#64)|64(?:s|#73)|73)")  # letters of /Kids (ISO 32000-2 §7.3.5)
_ROTATION: Final = re.compile(rb"[+-]?\d{1,6}")
_Reference = tuple[int, int]


class MarkedPage(NamedTuple):
    """A page as it was; ``text`` is all of its dictionary but the closing brackets."""

    reference: _Reference
    entries: Entries
    text: bytes
    rotation: int


def marked_pages(lookup: Lookup, root: bytes | None, wanted: set[int]) -> dict[int, MarkedPage]:
    """The wanted pages by index, each of which stands once in the whole tree; the first page where none is wanted."""
    top = reference(root)
    if not wanted:
        return {0: _first(lookup, top)}
    entries = lookup.dictionary(*top)[0]
    if not _is_flat(lookup):
        return _found(lookup, top, wanted)
    kids = references(lookup.array(entries[b"Kids"]))
    if len({top, *kids}) != len(kids) + 1 or entries.get(b"Count") != b"%d" % len(kids):
        raise OtherwiseError
    return {index: _page(lookup, kids[index], [_node(entries)]) for index in wanted}


def _is_flat(lookup: Lookup) -> bool:
    """Whether the root alone has kids, however they are spelled: then all of them are pages, without looking at each."""
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
    """In a tree of which every node stands once, names the one above it, and counts its pages right."""
    found: dict[int, MarkedPage] = {}
    met: set[int] = set()

    def pages(own: _Reference, line: list[Entries], before: int) -> int:
        entries, _ = lookup.dictionary(*own)
        if own[0] in met or len(met) >= _MOST_NODES or len(line) > _DEEPEST:
            raise OtherwiseError
        met.add(own[0])
        if b"Kids" not in entries:
            if before in wanted:
                found[before] = _page(lookup, own, line)
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
        entries, _ = lookup.dictionary(*own)
        if b"Kids" not in entries:
            return _page(lookup, own, line)
        line.append(_node(entries))
        own = references(lookup.array(entries[b"Kids"]))[0]
    raise OtherwiseError


def _node(entries: Entries) -> Entries:
    if entries.get(b"Type") != b"/Pages":
        raise OtherwiseError
    return entries


def _page(lookup: Lookup, own: _Reference, line: list[Entries]) -> MarkedPage:
    entries, text = lookup.dictionary(*own)
    turn = next((each[b"Rotate"] for each in reversed([*line, entries]) if b"Rotate" in each), b"0")
    if entries.get(b"Type") != b"/Page" or not line or _ROTATION.fullmatch(turn) is None or int(turn) % 90:
        raise OtherwiseError
    if any(b"Annots" in above for above in line):
        raise OtherwiseError
    return MarkedPage(own, entries, text, int(turn) % 360)
