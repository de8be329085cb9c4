"""Finds the marked pages in the page tree (ISO 32000-2 §7.7.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import DisagreementError, Ref, UnreadableError

_DEEPEST: Final = 200
_MOST_NODES: Final = 200_000


@dataclass(frozen=True, slots=True)
class PageFound:
    """A page before the update. One without ``reference`` is a direct object in ``holder`` (its parent or the array of kids), at ``position``."""

    reference: Ref | None
    content: dict[str, Any]
    rotation: int
    holder: Ref | None
    position: int


def find_marked(reader: Reader, wanted: set[int], *, single: set[int] | frozenset[int] = frozenset()) -> dict[int, PageFound]:
    """The wanted pages by index. Those in ``single`` must occur once in the whole tree, since a mark shows wherever its page occurs."""
    found: dict[int, PageFound] = {}
    met: Counter[Ref] = Counter()
    root = reader.resolve(reader.trailer.get("Root"))
    if single and _Order(reader, max(single)).pages(root.get("Pages"), None, 0) is None:
        raise DisagreementError("the document's page tree is not in order, and readers do not agree which page is which")
    for index, page in enumerate(_walk(reader, root.get("Pages"))):
        if index in wanted:
            found[index] = page
        if single and page.reference is not None:
            met[page.reference] += 1
        if index == max(wanted) and not single:
            break
    if len(found) < len(wanted):
        raise UnreadableError("a marked page is not there")
    if any(met[page.reference] > 1 for index, page in found.items() if index in single and page.reference is not None):
        raise DisagreementError("a marked page stands more than once in the document")
    return found


@dataclass(slots=True)
class _Order:
    """Whether all readers find the same pages in the tree, at least up to the ``last`` marked one."""

    reader: Reader
    last: int
    met: set[int] = field(default_factory=set)
    before: int = 0

    def pages(self, raw: Any, above: int | None, depth: int) -> int | None:
        """How many pages are below a node; None if readers may count differently. After the last marked page, an unreadable node counts as a page."""
        try:
            node = self.reader.resolve(raw)
        except UnreadableError:
            node = None
        if not isinstance(node, dict):
            return self._page() if isinstance(raw, Ref) and self.before > self.last else None
        parent, kind = node.get("Parent"), node.get("Type")
        if depth > _DEEPEST or (above is not None and isinstance(parent, Ref) and parent.number != above):
            return None
        if "Kids" not in node:
            is_page = kind == "Page" or (kind is None and "Length" not in node)  # a stream is not a page
            return self._page() if depth and (is_page or self.before > self.last) else None
        kids = self.reader.resolve(node["Kids"])
        if not isinstance(kids, list) or kind not in ("Pages", None) or not isinstance(raw, Ref) or raw.number in self.met:
            return None
        self.met.add(raw.number)
        counts = [self.pages(kid, raw.number, depth + 1) for kid in kids]
        total = sum(count or 0 for count in counts)
        return total if None not in counts and self.reader.resolve(node.get("Count")) == total else None

    def _page(self) -> int:
        self.before += 1
        return 1


def _walk(reader: Reader, top: Any) -> Iterator[PageFound]:
    stack: list[tuple[Any, int, tuple[int, ...], Ref | None, int]] = [(top, 0, (), None, 0)]
    for _ in range(_MOST_NODES):
        if not stack:
            return
        raw, turn, above, holder, position = stack.pop()
        node = reader.resolve(raw)
        if not isinstance(node, dict):
            continue
        own = reader.resolve(node.get("Rotate"))
        turn = int(own) if isinstance(own, int | float) and not isinstance(own, bool) else turn
        kids = reader.resolve(node.get("Kids"))
        reference = raw if isinstance(raw, Ref) else None
        if not isinstance(kids, list):
            if node.get("Type") != "Pages":
                yield PageFound(reference, node, turn % 360 if turn % 90 == 0 else 0, holder, position)
            continue
        if reference is not None:
            if reference.number in above or len(above) > _DEEPEST:
                continue
            above = (*above, reference.number)
        within = node["Kids"] if isinstance(node["Kids"], Ref) else reference
        stack += [(kids[i], turn, above, within, i) for i in reversed(range(len(kids)))]
    raise UnreadableError("the page tree is very large")
