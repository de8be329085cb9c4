"""The form's default resources, to which programs that sign or fill in add what they take for missing: standard fonts, their own looks."""

from __future__ import annotations

from verify.changes.account import Account, ChangedError, members
from verify.changes.fonts import claim_form_font
from verify.changes.values import Value, same

_RULE = "the form's resources"


def claim_resources(account: Account, old: Value, new: Value) -> None:
    """What is there stays; new names lead to standard fonts, or to what a later signature shows anyway."""
    before, now = account.opened(old, new, _RULE)
    before, now = members({} if before is None else before, _RULE), members({} if now is None else now, _RULE)
    if before.keys() - now.keys():
        raise ChangedError("the form: /DR was changed")
    for key, value in now.items():
        if key == "/ProcSet" and isinstance(value, list) and all(isinstance(each, str) for each in value):
            continue
        if same(before.get(key), value) and not account.differs(value):
            continue
        was, one = account.opened(before.get(key), value, _RULE)
        was, one = members({} if was is None else was, _RULE), members(one, _RULE)
        if any(not same(content, one.get(name)) for name, content in was.items()):
            raise ChangedError("the form: /DR was changed")
        for name in one.keys() - was.keys():
            _claim_entry(account, key, name, one[name])


def _claim_entry(account: Account, key: str, name: str, value: Value) -> None:
    if account.is_claimed(value, "signature "):
        return
    if key != "/Font":
        raise ChangedError("the form: /DR was changed")
    claim_form_font(account, name, value)
