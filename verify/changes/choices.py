"""Choice fields: what their options are, and which of them the entries that only repeat the value name (ISO 32000-2 §12.7.5.4)."""

from __future__ import annotations

from verify.changes.account import Account
from verify.changes.sealed import Node
from verify.changes.values import Value, pdf_text, same

Options = list[tuple[str, str]]
"""Each with the value that it stands for, and the text that is shown for it."""


def options_of(account: Account, node: Node) -> Options:
    """The sealed field's options; those that cannot be read are empty, so that no value is theirs."""
    found: Options = []
    for each in map(account.sealed.get, account.sealed.elements(node.inherited.get("/Opt"))):
        parts = [account.sealed.get(part) for part in each] if isinstance(each, list) and len(each) == 2 else [each, each]
        texts = [pdf_text(part) if isinstance(part, bytes) else "" for part in parts]
        found.append((texts[0], texts[1]))
    return found


def chosen_of(options: Options, value: Value) -> frozenset[int]:
    """Where the values stand among the options. Some writers take the shown text for the value."""
    values = [pdf_text(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, bytes)]
    exports, shown = [export for export, _shown in options], [text for _export, text in options]
    places = (exports.index(each) if each in exports else shown.index(each) if each in shown else -1 for each in values)
    return frozenset(places)


def is_view_of_choices(account: Account, node: Node, new: dict[str, Value], value: Value) -> bool:
    """Whether /I lists the chosen options and /TI one that may come first; each may be as it was or left out."""
    options = options_of(account, node)
    indices, first = new.get("/I"), new.get("/TI")
    if indices is not None and not same(indices, node.own.get("/I")):
        if not isinstance(indices, list) or not all(type(each) is int for each in indices):
            return False
        if frozenset(indices) != chosen_of(options, value) - {-1}:
            return False
    return first is None or same(first, node.own.get("/TI")) or (type(first) is int and 0 <= first <= len(options))
