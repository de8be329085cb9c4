"""Whether all readers agree which page is page n and what part of it is visible. If not, a mark may show on a page that nobody approved.

Readers count pages by what nodes say, by what they lead to, or by both; they go up by /Parent or come down by /Kids. Where a tree is in order
(ISO 32000-2 §7.7.3) all of them see the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from pyhanko.pdf_utils import generic

from sealcore.errors import Code, VermilionError
from signer.pdf.full.objects import found, found_array
from signer.pdf.full.pages import DEEPEST, INHERITED, Page

_UNREADABLE: Final = object()
_BOXES: Final = ("/MediaBox", "/CropBox")


def require_agreed(root: generic.DictionaryObject, pages: Collection[Page]) -> None:
    """DOCUMENT_DAMAGED unless all readers find the same pages where marks are to go."""
    if not _is_in_order(root, max(page.index for page in pages)):
        raise VermilionError(
            Code.DOCUMENT_DAMAGED, "the document's page tree is not in order, and readers do not agree which page is which"
        )
    for page in pages:
        if not (_inherits_alike(page) and _is_plain(page)):
            reason = f"readers do not agree what is visible of page {page.index + 1}, or which way up"
            raise VermilionError(Code.DOCUMENT_DAMAGED, reason)


def _is_in_order(root: generic.DictionaryObject, last: int) -> bool:
    top = root.raw_get("/Pages") if "/Pages" in root else None
    return isinstance(top, generic.IndirectObject) and _Tree(last).pages(top, top.idnum, 0) is not None


@dataclass
class _Tree:
    """Walks the tree once. After the ``last`` page that matters, a node that cannot be read counts as a page."""

    last: int
    met: set[int] = field(default_factory=set)
    before: int = 0

    def pages(self, raw: Any, above: int, depth: int) -> int | None:
        """How many pages are below a node; None if readers may count differently."""
        node = self._node(raw)
        if not isinstance(node, generic.DictionaryObject) or depth > DEEPEST or (depth and not _names(node, above)):
            return self._page() if node is _UNREADABLE else None
        kind = found(node, "/Type")
        if "/Kids" not in node:
            return self._page() if kind in ("/Page", None) and depth else None
        kids = found_array(node, "/Kids")
        if kids is None or kind not in ("/Pages", None) or not isinstance(raw, generic.IndirectObject) or raw.idnum in self.met:
            return None
        self.met.add(raw.idnum)
        count = 0
        for kid in [kids.raw_get(index) for index in range(len(kids))]:
            below = self.pages(kid, raw.idnum, depth + 1)
            if below is None:
                return None
            count += below
        return count if found(node, "/Count") == count else None

    def _page(self) -> int:
        self.before += 1
        return 1

    def _node(self, raw: Any) -> Any:
        if not isinstance(raw, generic.IndirectObject):
            return raw
        try:
            node = raw.get_object()
        except Exception:  # noqa: BLE001  (pyHanko raises anything)
            node = generic.NullObject()
        if isinstance(node, generic.NullObject | generic.StreamObject) and self.before > self.last:
            return _UNREADABLE
        return None if isinstance(node, generic.StreamObject) else node


def _names(node: generic.DictionaryObject, above: int) -> bool:
    """Whether a node's /Parent, if it has one, is the node above it."""
    parent = node.raw_get("/Parent") if "/Parent" in node else None
    return parent is None or (isinstance(parent, generic.IndirectObject) and parent.idnum == above)


def _inherits_alike(page: Page) -> bool:
    """Whether climbing by /Parent finds the same attributes as descending by /Kids."""
    node, steps = page.content, 0
    told: dict[str, Any] = {}
    while isinstance(node, generic.DictionaryObject) and steps <= DEEPEST:
        told = {key: value for key in INHERITED if (value := found(node, key)) is not None} | told
        node, steps = found(node, "/Parent"), steps + 1
    return told.keys() == page.attributes.keys() and all(told[key] == page.attributes[key] for key in told)


def _is_plain(page: Page) -> bool:
    """Whether boxes and rotation are spelled in a way that all readers understand alike."""
    boxes = [page.attributes[key] for key in _BOXES if key in page.attributes]
    turn = page.attributes.get("/Rotate", 0)
    return all(is_box(each) for each in boxes) and page.shows and not isinstance(turn, generic.FloatObject)


def is_box(value: Any) -> bool:
    """Whether a value is four numbers."""
    return (
        isinstance(value, generic.ArrayObject)
        and len(value) == 4
        and all(isinstance(value[index], generic.NumberObject | generic.FloatObject) for index in range(4))
    )
