"""Choice fields: what their options are, and which of them the entries that only repeat the value name (ISO 32000-2 §12.7.5.4)."""

from __future__ import annotations

from enum import Enum

from verify.steps.changes.account import Account
from verify.steps.changes.sealed import MOST_FIELD_LEVELS, Node
from verify.steps.changes.values import Ref, Value, pdf_text, same

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


class View(Enum):
    """What /I says of a field's value: some readers show the options that it lists, whatever the value."""

    SAME = "same"
    OPEN = "open"  # it was left behind, or was at odds with the value when it was sealed, or several options have the value
    OTHER = "other"


def view_of_choices(account: Account, node: Node, new: dict[str, Value], value: Value) -> View:
    """How /I and /TI of a field that was filled in go with its value; each may be left out. ``new`` is its dictionary now."""
    options, old_value = options_of(account, node), account.sealed.get(node.inherited.get("/V"))
    old, now = account.sealed.get(node.inherited.get("/I")), account.sealed.get(_present_indices(account, new))
    is_other_value, is_kept = _texts(old_value) != _texts(value), same(old, now)
    if not same(new.get("/TI"), node.own.get("/TI")) and not (new.get("/TI") is None or _is_place(new["/TI"], options)):
        return View.OTHER
    if is_kept and not is_other_value:
        return View.SAME
    if not _lists(options, now, value):
        return View.OPEN if is_kept or _lists_alike(options, now, value) else View.OTHER
    return View.SAME if is_other_value or _lists(options, old, old_value) else View.OPEN


def _present_indices(account: Account, field: dict[str, Value]) -> Value:
    """Its own, or those of the nodes above it, as they are now: some readers take these for its own."""
    for _ in range(MOST_FIELD_LEVELS):
        if field.get("/I") is not None or not isinstance(field.get("/Parent"), Ref):
            break
        above = account.now(field["/Parent"])
        field = above if isinstance(above, dict) else {}
    return field.get("/I")


def _is_place(value: Value, options: Options) -> bool:
    return type(value) is int and 0 <= value < max(1, len(options))


def _texts(value: Value) -> list[str]:
    return [pdf_text(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, bytes) and each]


def _lists(options: Options, indices: Value, value: Value) -> bool:
    """Whether the indices, where there are any, are those of the value."""
    if indices is None:
        return True
    return _are_places(indices) and frozenset(indices) == chosen_of(options, value) - {-1}


def _lists_alike(options: Options, indices: Value, value: Value) -> bool:
    """Whether they are of options that have the same values."""
    if not _are_places(indices) or not all(0 <= each < len(options) for each in indices):
        return False
    return sorted(options[each][0] for each in indices) == sorted(_texts(value))


def _are_places(indices: Value) -> bool:
    return isinstance(indices, list) and all(type(each) is int for each in indices)


def is_ambiguous(options: Options, value: Value) -> bool:
    """Whether options of different texts stand for the same value."""
    return any(len({shown for export, shown in options if export == each}) > 1 for each in _texts(value))
