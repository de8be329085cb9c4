"""Which objects the marked pages are, for the quick account of an update (ISO 32000-2 §7.7.3)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from signer.pades.readback_lookup import Entries, Lookup, OtherwiseError, reference, references

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
    if len(set(kids)) != len(kids):
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
    found: dict[int, MarkedPage] = {}
    met: Counter[int] = Counter()
    for index, (own, line) in enumerate(_walk(lookup, top)):
        met[own[0]] += 1
        if index in wanted:
            found[index] = _page(lookup, own, line)
    if len(found) < len(wanted) or any(met[page.reference[0]] > 1 for page in found.values()):
        raise OtherwiseError
    return found


def _walk(lookup: Lookup, top: _Reference) -> Iterator[tuple[_Reference, list[Entries]]]:
    stack: list[tuple[_Reference, list[Entries]]] = [(top, [])]
    for _ in range(_MOST_NODES):
        if not stack:
            return
        own, line = stack.pop()
        entries, _ = lookup.dictionary(*own)
        if b"Kids" not in entries:
            yield own, line
        elif len(line) < _DEEPEST:
            stack += [(kid, [*line, _node(entries)]) for kid in reversed(references(lookup.array(entries[b"Kids"])))]
        else:
            raise OtherwiseError
    raise OtherwiseError


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
