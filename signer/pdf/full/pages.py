"""The page tree: which object is page n, what part of it is visible, and how it is rotated (ISO 32000-2 §7.7.3)."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from sealcore.errors import Code, VermilionError
from signer.pdf.full.kids import more_kids
from signer.pdf.full.objects import found, found_array
from signer.pdf.marks import Box, intersection

MOST_PAGES: Final = 1_000_000  # a tree of shared branches can name more pages than there are objects
DEEPEST: Final = 200  # levels of the tree; balanced trees of a million pages have fewer than ten
INHERITED: Final = ("/MediaBox", "/CropBox", "/Rotate")
_LETTER: Final = (0.0, 0.0, 612.0, 792.0)  # what readers assume if there is no MediaBox


@dataclass(frozen=True)
class Page:
    """One page.

    index      0-based
    reference  to its object; None where it stands in its parent's ``kids`` itself, at ``position``, which PDF does not allow
    visible    box in default user space
    rotation   clockwise turn in degrees when shown
    annotated_above  whether a node that it is below has /Annots, which is not inherited, yet some readers think so
    attributes what it has of ``INHERITED``, itself or from nodes that it is below
    shows      whether its boxes leave anything visible
    """

    index: int
    reference: generic.IndirectObject | None
    content: generic.DictionaryObject
    visible: Box
    rotation: int
    kids: generic.ArrayObject | None = None
    position: int = 0
    annotated_above: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shows: bool = True

    @property
    def key(self) -> object:
        """The same for the same object, however often it is named."""
        return self.reference.idnum if self.reference is not None else id(self.content)


def require_single(root: generic.DictionaryObject, pages: Collection[Page], texts: Iterable[bytes]) -> None:
    """DOCUMENT_PAGE_REPEATED if one of these pages, or a node above it, occurs more than once in the whole tree.

    An annotation belongs to the page's object: it would show wherever that stands. DOCUMENT_DAMAGED where a broken node may name a page.

    texts  all of the document's objects: the file, and its decoded object streams
    """
    named, parents, nodes = _named(root)
    if nodes is not None and more_kids(texts, nodes):
        raise VermilionError(Code.DOCUMENT_DAMAGED, "a part of the document's page tree cannot be read")
    for page in pages:
        key: Any = page.key
        while key in parents:
            if named[key] > 1:
                raise VermilionError(Code.DOCUMENT_PAGE_REPEATED, f"page {page.index + 1} stands more than once in the document")
            key = parents[key]


def _named(root: generic.DictionaryObject) -> tuple[Counter[Any], dict[Any, Any], int | None]:
    """How often each node but the root is named as a kid, and by which node first; each node is looked into once.

    Where one cannot be read, the number of those that have kids as well.
    """
    broken, nodes = False, 0
    named: Counter[Any] = Counter()
    parents: dict[Any, Any] = {}
    top = _raw(root, "/Pages")
    first = _key(top)
    stack = [(first, top)]
    while stack:
        own, raw = stack.pop()
        try:
            node = raw.get_object() if isinstance(raw, generic.IndirectObject) else raw
            kids = found_array(node, "/Kids") if isinstance(node, generic.DictionaryObject) else None
        except Exception:  # noqa: BLE001  (pyHanko raises anything)
            kids, broken = None, True
        nodes += kids is not None
        for kid in [kids.raw_get(i) for i in range(len(kids))] if kids is not None else ():
            key = _key(kid)
            named[key] += 1
            if key not in parents and key != first:
                parents[key] = own
                stack.append((key, kid))
        if len(parents) > MOST_PAGES:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"the page tree has more than {MOST_PAGES} entries")
    return named, parents, nodes if broken else None


def _key(raw: Any) -> Any:
    return raw.idnum if isinstance(raw, generic.IndirectObject) else id(raw)


def find_pages(root: generic.DictionaryObject, wanted: Collection[int]) -> dict[int, Page]:
    """Those of the wanted pages that exist; stops after the last one. DOCUMENT_NO_PAGES if the document has no page at all."""
    last = max(wanted)
    pages = {page.index: page for page in itertools.islice(_walk(root), last + 1) if page.index in wanted or page.index == 0}
    if not pages:
        raise VermilionError(Code.DOCUMENT_NO_PAGES, "the document has no page")
    return {index: page for index, page in pages.items() if index in wanted}


@lru_cache(maxsize=4)
def page_of_picture(source: bytes) -> Page:
    """The one page of a registered picture, opened once for whoever looks at it."""
    return find_pages(PdfFileReader(io.BytesIO(source), strict=False).root, {0})[0]


def every_page(root: generic.DictionaryObject) -> Iterator[generic.DictionaryObject]:
    """The dictionaries of all pages, in order."""
    return (page.content for page in _walk(root))


@dataclass(frozen=True)
class _Visit:
    """A node yet to be visited: its raw value in ``kids``, what it inherits, and the references above it."""

    raw: Any
    attributes: Mapping[str, Any]
    above: frozenset[tuple[int, int]] = frozenset()
    annotated: bool = False
    kids: generic.ArrayObject | None = None
    position: int = 0


def _walk(root: generic.DictionaryObject) -> Iterator[Page]:
    index = 0
    stack: list[_Visit] = [_Visit(_raw(root, "/Pages"), {})]
    for _ in range(MOST_PAGES):
        if not stack:
            return
        visit = stack.pop()
        raw, above = visit.raw, visit.above
        node = raw.get_object() if isinstance(raw, generic.IndirectObject) else raw
        if not isinstance(node, generic.DictionaryObject):
            continue
        attributes = {**visit.attributes} | {key: value for key in INHERITED if (value := found(node, key)) is not None}
        kids = found_array(node, "/Kids")
        if kids is None:
            if found(node, "/Type") != "/Pages":
                yield _page(index, visit, node, attributes)
                index += 1
            continue
        if isinstance(raw, generic.IndirectObject):
            own = (raw.idnum, raw.generation)
            if own in above or len(above) > DEEPEST:
                continue  # a loop, which readers skip
            above |= {own}
        annotated = visit.annotated or bool(found_array(node, "/Annots"))
        stack.extend(_Visit(kids.raw_get(i), attributes, above, annotated, kids, i) for i in reversed(range(len(kids))))
    raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"the page tree has more than {MOST_PAGES} entries")


def _raw(holder: generic.DictionaryObject, key: str) -> Any:
    try:
        return holder.raw_get(key)
    except KeyError:
        return None


def _page(index: int, visit: _Visit, node: generic.DictionaryObject, attributes: dict[str, Any]) -> Page:
    media = _box(attributes.get("/MediaBox")) or _LETTER
    crop = _box(attributes.get("/CropBox")) or media
    visible = intersection(media, crop)
    turn = attributes.get("/Rotate", 0)
    rotation = int(turn) % 360 if isinstance(turn, generic.NumberObject) and turn % 90 == 0 else 0
    reference = visit.raw if isinstance(visit.raw, generic.IndirectObject) else None
    shown = visible or media
    return Page(index, reference, node, shown, rotation, visit.kids, visit.position, visit.annotated, attributes, visible is not None)


def _box(value: Any) -> Box | None:
    if not isinstance(value, generic.ArrayObject) or len(value) != 4:
        return None
    corners = [value[i] for i in range(4)]
    if not all(isinstance(each, generic.NumberObject | generic.FloatObject) for each in corners):
        return None
    x0, y0, x1, y1 = (float(each) for each in corners)
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    return box if box[0] < box[2] and box[1] < box[3] else None
