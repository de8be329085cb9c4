"""What was entered in one place of a form stands in others too: fields below and of the same name, widgets, also those that no field lists.

Whoever reads the form's data gets one value. Where a page goes on showing another one, the answer stays open.
"""

from __future__ import annotations

from collections.abc import Iterator

from verify.steps.changes.account import Account
from verify.steps.changes.filling import Filled, is_other, note_filled, require_look_of_state
from verify.steps.changes.sealed import MOST_FIELD_LEVELS, Node
from verify.steps.changes.values import Ref, Value, pdf_text


def note_elsewhere(account: Account, filled: Filled) -> None:
    """Holds every widget to the value that its field has in the end; raises ChangedError where it shows another state."""
    if not filled.values:
        return
    nodes = {node.ref: node for node in account.sealed.fields() if account.sealed.get(node.inherited.get("/FT")) != "/Sig"}
    for node in nodes.values():
        if node.name in filled.values and "/Rect" in node.own:
            _hold(account, node, filled)
    for node in _unlisted(account, nodes):
        value = filled.values.get(node.name)
        if node.name in filled.values and is_other(account.sealed.get(node.inherited.get("/V")), value):
            note_filled(account, node, value, is_proven=False)


def _hold(account: Account, node: Node, filled: Filled) -> None:
    value, now = filled.values[node.name], account.now(node.ref)
    own = now if isinstance(now, dict) else {}
    if account.sealed.get(node.inherited.get("/FT")) == "/Btn":
        require_look_of_state(account, node, own, filled)
        return
    stands = account.sealed.get(own.get("/V"))
    if stands is None and not _is_touched(account, node):
        stands = account.sealed.get(node.inherited.get("/V"))
        if not is_other(stands, value):
            return
    elif stands is None or not is_other(stands, value):
        return
    note_filled(account, node, value, is_proven=False)


def _is_touched(account: Account, node: Node) -> bool:
    look = node.own.get("/AP")
    return any(map(account.differs, (node.ref, look, account.sealed.entries(look).get("/N"))))


def _unlisted(account: Account, nodes: dict[Ref, Node]) -> Iterator[Node]:
    """The fields of those widgets of the pages that no field lists: they name it as what is above them, or have its name."""
    named = {node.name: node for node in nodes.values()}
    for _ref, page in account.sealed.pages:
        for each in account.sealed.elements(page.get("/Annots")):
            own = account.sealed.entries(each)
            if own.get("/Subtype") == "/Widget" and not (isinstance(each, Ref) and each in nodes):
                found = _field_of(account, own, nodes, named)
                if found is not None:
                    yield found


def _field_of(account: Account, own: dict[str, Value], nodes: dict[Ref, Node], named: dict[str, Node]) -> Node | None:
    titles: list[str] = []
    for _ in range(MOST_FIELD_LEVELS):
        above, title = own.get("/Parent"), account.sealed.get(own.get("/T"))
        if isinstance(title, bytes):
            titles.insert(0, pdf_text(title))
        if not isinstance(above, Ref):
            return named.get(".".join(titles)) if titles else None
        if above in nodes:
            return named.get(".".join([nodes[above].name, *titles]), nodes[above])
        own = account.sealed.entries(above)
    return None
