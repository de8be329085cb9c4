"""The form's default resources, to which programs that sign or fill in add what they take for missing: standard fonts, their own looks.

Looks may share them with the form, so that an object of theirs may be written anew with more in it, wherever it is referred to.
"""

from __future__ import annotations

from verify.changes.account import RESOURCES, Account, ChangedError, members
from verify.changes.fonts import claim_form_font
from verify.changes.values import Ref, Value, same

Gained = list[tuple[str, str, Value]]
"""Category, name, and what it leads to."""


def claim_resources(account: Account, old: Value, new: Value) -> Gained:
    """Claims the dictionaries that hold them. What is there stays; what is gained is for ``require_known``."""
    before, now = _part(account, old, new)
    if before.keys() - now.keys():
        raise ChangedError("the form: /DR was changed")
    gained: Gained = []
    for key, value in now.items():
        if key == "/ProcSet" and isinstance(value, list) and all(isinstance(each, str) for each in value):
            continue
        if same(before.get(key), value) and not account.differs(value):
            continue
        was, one = _part(account, before.get(key), value)
        if any(not same(content, one.get(name)) for name, content in was.items()):
            raise ChangedError("the form: /DR was changed")
        gained += [(key, name, one[name]) for name in one.keys() - was.keys()]
    account.gained_fonts = {name for key, name, _value in gained if key == "/Font"}
    return gained


def require_known(account: Account, gained: Gained) -> None:
    """New names lead to standard fonts, or to what a later signature shows anyway."""
    for key, name, value in gained:
        if account.is_claimed(value, "signature "):
            continue
        if key != "/Font":
            raise ChangedError("the form: /DR was changed")
        claim_form_font(account, name, value)


def _part(account: Account, old: Value, new: Value) -> tuple[dict[str, Value], dict[str, Value]]:
    if isinstance(new, Ref) and same(old, new) and account.differs(new):
        was, now = account.sealed.get(old), account.rewritten(new, RESOURCES)
    else:
        was, now = account.opened(old, new, RESOURCES)
    return members({} if was is None else was, RESOURCES), members({} if now is None else now, RESOURCES)
