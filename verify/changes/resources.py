"""The form's default resources, to which programs that sign or fill in add what they take for missing: standard fonts, their own looks.

Looks may share them with the form, so that an object of theirs may be written anew with more in it. What else shares them, and what
draws by a name that was missing, could show more than it did: then nothing can be said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from verify.changes.account import RESOURCES, Account, ChangedError, members
from verify.changes.fonts import claim_form_font
from verify.changes.sealed import UnclearError
from verify.changes.values import IrregularError, Ref, Stream, Value, decoded, name, same

Gained = list[tuple[str, str, Value]]
"""Category, name, and what it leads to."""
_NAME = re.compile(rb"(/[^\0\t\n\f\r ()<>\[\]{}/%]*)")


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
        if any(not same(content, one.get(title)) for title, content in was.items()):
            raise ChangedError("the form: /DR was changed")
        gained += [(key, title, one[title]) for title in one.keys() - was.keys()]
    account.gained_fonts = {title for key, title, _value in gained if key == "/Font"}
    if gained:
        _require_nothing_missed(account, {title for _key, title, _value in gained})
    return gained


def require_known(account: Account, gained: Gained) -> None:
    """New names lead to standard fonts, or to what a later signature shows anyway."""
    for key, title, value in gained:
        if account.is_claimed(value, "signature "):
            continue
        if key != "/Font":
            raise ChangedError("the form: /DR was changed")
        claim_form_font(account, title, value)


def _part(account: Account, old: Value, new: Value) -> tuple[dict[str, Value], dict[str, Value]]:
    if isinstance(new, Ref) and same(old, new) and account.differs(new):
        was, now = account.sealed.get(old), account.rewritten(new, RESOURCES)
        if account.sites(new) != _times_named(account, new):
            raise UnclearError("what shares the form's resources")
    else:
        was, now = account.opened(old, new, RESOURCES)
    return members({} if was is None else was, RESOURCES), members({} if now is None else now, RESOURCES)


def _looks(account: Account) -> list[Ref]:
    """The streams that widgets of the form show, in any state, each once."""
    found: dict[Ref, None] = {}
    for node in account.sealed.fields():
        for each in account.sealed.entries(node.own.get("/AP")).values():
            states = account.sealed.get(each)
            found |= {one: None for one in (states.values() if isinstance(states, dict) else [each]) if isinstance(one, Ref)}
    return list(found)


def _resources(account: Account) -> Iterator[Value]:
    """Of the form, its fields and its widgets' looks."""
    sealed = account.sealed
    yield sealed.entries(sealed.entries(sealed.root).get("/AcroForm")).get("/DR")
    for own in {node.ref: node.own for node in sealed.fields()}.values():
        yield own.get("/DR")
    for look in map(sealed.get, _looks(account)):
        if isinstance(look, Stream):
            yield look.entries.get("/Resources")


def _times_named(account: Account, ref: Ref) -> int:
    """How often these refer to it, directly or as one of their parts."""
    all_of_them = list(_resources(account))
    whole = {each: each for each in all_of_them if isinstance(each, Ref)}.values()
    parts = [account.sealed.entries(each) for each in [*whole, *(each for each in all_of_them if not isinstance(each, Ref))]]
    return all_of_them.count(ref) + sum(list(each.values()).count(ref) for each in parts)


def _require_nothing_missed(account: Account, names: set[str]) -> None:
    """No look that stays as it is, and no value without a look, has waited for one of these names."""
    sealed = account.sealed
    for ref in _looks(account):
        look = sealed.get(ref)
        if account.differs(ref) or not isinstance(look, Stream):
            continue
        resources = look.entries.get("/Resources")
        parts = sealed.entries(resources)
        if resources is not None and not any(map(account.differs, (resources, *parts.values()))):
            continue
        if _names_in(look) & names or parts.keys() - {"/Font", "/ProcSet", "/Encoding"}:  # what it draws by could name them as well
            raise UnclearError("a look that uses the form's resources")
    default = sealed.entries(sealed.entries(sealed.root).get("/AcroForm")).get("/DA")
    for node in account.sealed.fields():
        appearance = sealed.get(node.inherited.get("/DA", default))
        if "/Rect" not in node.own or "/AP" in node.own or account.differs(node.ref) or not isinstance(appearance, bytes):
            continue
        if sealed.get(node.inherited.get("/V")) not in (None, b"") and any(each.encode() in appearance for each in names):
            raise UnclearError("a value without a look")


def _names_in(look: Stream) -> set[str]:
    try:
        return {name(each) for each in _NAME.findall(decoded(look))}
    except IrregularError:
        raise UnclearError("a look that uses the form's resources") from None
