"""The page tree, walked in order up to the last wanted page (ISO 32000-2 §7.7.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from signer.pdf.kids import more_kids
from signer.pdf.lean.file import File, Found
from signer.pdf.lean.grammar import SPACE, NotLeanError, integer, is_reference, reference
from signer.pdf.marks import Box, intersection

MOST_NODES: Final = 2_000  # visited; a page costs about 10 µs
DEEPEST: Final = 32
_KIDS: Final = re.compile(rb"\[(?:" + SPACE + rb"*+\d++" + SPACE + rb"++\d++" + SPACE + rb"++R)*+" + SPACE + rb"*+\]")
_REFERENCE: Final = re.compile(rb"(\d++)" + SPACE + rb"++(\d++)" + SPACE + rb"++R")  # in what ``_KIDS`` has matched
_CORNERS: Final = re.compile(rb"\[ ?(-?[0-9.]++) (-?[0-9.]++) (-?[0-9.]++) (-?[0-9.]++) ?\]\Z")  # the usual spelling
_WHOLE: Final = re.compile(rb"[+-]?\d{1,9}")


@dataclass(slots=True)
class Page:
    """One page: its object, and the entries of all nodes from the root down to the page itself."""

    number: int
    generation: int
    content: Found
    line: list[dict[bytes, bytes]]

    def inherited(self, key: bytes) -> bytes | None:
        """The raw value of an attribute, its own or that of the nearest node above; None if there is none."""
        for entries in reversed(self.line):
            value = entries.get(key, b"null")
            if value != b"null":
                return value
        return None


def first_page(file: File, root: bytes | None) -> Page:
    """The first page, found by going straight down; ``root`` is the raw value of the catalog's /Pages."""
    number, generation = reference(root or b"?")
    above: tuple[int, int] | None = None
    line: list[dict[bytes, bytes]] = []
    while len(line) <= DEEPEST:
        found, kids = _node(file, number, generation, above)
        line.append(found.entries)
        if kids is None:
            return Page(number, generation, found, line)
        kid = _REFERENCE.search(kids)
        if kid is None:
            raise NotLeanError("a node of the page tree is empty")
        above = (number, generation)
        number, generation = int(kid[1]), int(kid[2])
    raise NotLeanError("a page tree has a circle, or is very deep")


def find_pages(file: File, root: bytes | None, wanted: Collection[int]) -> dict[int, Page]:
    """The wanted pages, by index."""
    pages, last = {}, max(wanted)
    for index, page in enumerate(_Walk(file).pages(reference(root or b"?"), None, [])):
        if index in wanted:
            pages[index] = page
        if index == last:
            return pages
    raise NotLeanError("a page is not there")


def require_single(file: File, root: bytes | None, page: Page) -> None:
    """Every page stands once in the whole tree; ``page`` is one of them. A mark on one that stands twice would show twice.

    And the tree counts its pages right, or else some readers make up for what they miss by showing a page again.
    """
    if not more_kids((file.document, *file.object_streams()), 1):  # only the root has kids, so all of these are pages
        kids = page.line[0][b"Kids"]
        numbers = [int(kid[1]) for kid in _REFERENCE.finditer(file.array(*reference(kids)) if is_reference(kids) else kids)]
        if len({*numbers, reference(root or b"?")[0]}) != len(numbers) + 1:
            raise NotLeanError("a page stands twice in the page tree")
        if integer(page.line[0].get(b"Count")) != len(numbers) or any(file.place(number) is None for number in numbers):
            raise NotLeanError("the page tree miscounts")
        return
    for _page in _Walk(file).pages(reference(root or b"?"), None, []):
        pass


def _node(file: File, number: int, generation: int, above: tuple[int, int] | None) -> tuple[Found, bytes | None]:
    """A node and its kids (None for a page). Readers climb by /Parent while this descends by /Kids, so both must describe the same tree."""
    found = file.dictionary(number, generation)
    if found is None or found.data_offset is not None:
        raise NotLeanError("a node of the page tree is missing")
    entries = found.entries
    if above is not None and reference(entries.get(b"Parent", b"?")) != above:
        raise NotLeanError("a node of the page tree has another parent")
    kind, kids = entries.get(b"Type"), entries.get(b"Kids")
    if kids is None:
        if kind != b"/Page" or above is None:
            raise NotLeanError("a node of the page tree is neither page nor pages")
        return found, None
    if kind != b"/Pages":
        raise NotLeanError("a node of the page tree is neither page nor pages")
    if is_reference(kids):
        kids = file.array(*reference(kids))
    if _KIDS.fullmatch(kids) is None:
        raise NotLeanError("a page stands within its parent")
    return found, kids


class _Walk:
    def __init__(self, file: File) -> None:
        self._file = file
        self._seen: set[int] = set()

    def pages(self, own: tuple[int, int], above: tuple[int, int] | None, line: list[dict[bytes, bytes]]) -> Iterator[Page]:
        """Each page below a node, in order."""
        if own[0] in self._seen or len(self._seen) >= MOST_NODES or len(line) > DEEPEST:
            raise NotLeanError("a page tree has a circle, is very large, or very deep")
        self._seen.add(own[0])
        found, kids = _node(self._file, *own, above)
        line = [*line, found.entries]
        if kids is None:
            yield Page(*own, found, line)
            return
        count = 0
        for kid in _REFERENCE.finditer(kids):
            for page in self.pages((int(kid[1]), int(kid[2])), own, line):
                count += 1
                yield page
        if count != integer(found.entries.get(b"Count")):
            raise NotLeanError("the page tree miscounts")


def visible_box(file: File, page: Page) -> Box:
    """What is shown of a page, in default user space."""
    media = _box(file, page.inherited(b"MediaBox"))
    crop = page.inherited(b"CropBox")
    visible = intersection(media, _box(file, crop)) if crop is not None else media
    if visible is None:
        raise NotLeanError("a page's boxes lie apart")
    return visible


def _box(file: File, value: bytes | None) -> Box:
    corners = _CORNERS.match(value) if value is not None else None
    x0, y0, x1, y1 = map(float, corners.groups() if corners is not None else file.elements(value))
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    if not (box[0] < box[2] and box[1] < box[3]):
        raise NotLeanError("a page's box has no area")
    return box


def rotation(page: Page) -> int:
    """Clockwise turn in degrees when shown."""
    turn = page.inherited(b"Rotate") or b"0"
    if _WHOLE.fullmatch(turn) is None or int(turn) % 90:
        raise NotLeanError("a page is turned by an odd angle")
    return int(turn) % 360
