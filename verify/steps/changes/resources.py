"""The form's default resources, to which programs that sign or fill in add what they take for missing: standard fonts, their own looks.

Looks may share them with the form, so that an object of theirs may be written anew with more in it. What else shares them, and what
draws by a name that was missing, could show more than it did: then nothing can be said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from verify.facts import fact
from verify.steps.changes.account import RESOURCES, Account, ChangedError, members
from verify.steps.changes.fonts import claim_form_font
from verify.steps.changes.sealed import UnclearError
from verify.steps.changes.values import IrregularError, Ref, Stream, Value, decoded, name, same

Gained = list[tuple[str, str, Value]]
"""Category, name, and what it leads to."""
_WAITED = fact("resources_waited_for")
_NAME = re.compile(rb"(/[^\0\t\n\f\r ()<>\[\]{}/%]*)")


def claim_resources(account: Account, old: Value, new: Value) -> Gained:
    """Claims the dictionaries that hold them. What is there stays; what is gained is for ``require_known``."""
    before, now = _part(account, old, new)
    if before.keys() - now.keys():
        raise ChangedError("entry_changed", part=fact("part_form"), entry="/DR")
    gained: Gained = []
    for key, value in now.items():
        if key == "/ProcSet" and isinstance(value, list) and all(isinstance(each, str) for each in value):
            continue
        if same(before.get(key), value) and not account.differs(value):
            continue
        was, one = _part(account, before.get(key), value)
        if any(not same(content, one.get(title)) for title, content in was.items()):
            raise ChangedError("entry_changed", part=fact("part_form"), entry="/DR")
        gained += [(key, title, one[title]) for title in one.keys() - was.keys()]
    account.gained_fonts = {title for key, title, _value in gained if key == "/Font"}
    if gained:
        try:
            _require_nothing_missed(account, {title for _key, title, _value in gained})
        except UnclearError as unclear:
            account.unclear.append(unclear.fact)
    return gained


def require_known(account: Account, gained: Gained) -> None:
    """New names lead to standard fonts, or to what a later signature shows anyway."""
    for key, title, value in gained:
        if account.is_claimed(value, "part_signature"):
            continue
        if key != "/Font":
            raise ChangedError("entry_changed", part=fact("part_form"), entry="/DR")
        claim_form_font(account, title, value)


def _part(account: Account, old: Value, new: Value) -> tuple[dict[str, Value], dict[str, Value]]:
    if isinstance(new, Ref) and same(old, new) and account.differs(new):
        was, now = account.sealed.get(old), account.rewritten(new, RESOURCES)
        if account.sites(new) != _times_named(account, new):
            account.unclear.append(fact("resources_shared"))
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


def _pages(account: Account) -> list[tuple[Ref | None, dict[str, Value]]]:
    """Each page once, however often it stands in the document."""
    pages = account.sealed.pages
    return [*{ref: (ref, page) for ref, page in pages if ref is not None}.values(), *(each for each in pages if each[0] is None)]


def _resources(account: Account) -> Iterator[Value]:
    """Of the form, its fields and its widgets' looks, of pages and of what these are below."""
    sealed = account.sealed
    yield sealed.entries(sealed.entries(sealed.root).get("/AcroForm")).get("/DR")
    for own in {node.ref: node.own for node in sealed.fields()}.values():
        yield own.get("/DR")
    for look in map(sealed.get, _looks(account)):
        if isinstance(look, Stream):
            yield look.entries.get("/Resources")
    for _ref, page in _pages(account):
        yield page.get("/Resources")
    for node in sealed.nodes():
        yield sealed.entries(node).get("/Resources")


def _times_named(account: Account, ref: Ref) -> int:
    """How often these refer to it, directly or as one of their parts."""
    all_of_them = list(_resources(account))
    whole = {each: each for each in all_of_them if isinstance(each, Ref)}.values()
    parts = [account.sealed.entries(each) for each in [*whole, *(each for each in all_of_them if not isinstance(each, Ref))]]
    return all_of_them.count(ref) + sum(list(each.values()).count(ref) for each in parts)


def _require_nothing_missed(account: Account, names: set[str]) -> None:
    """No page, no look that stays as it is, and no value without a look, has waited for one of these names."""
    sealed = account.sealed
    for ref in _looks(account):
        look = sealed.get(ref)
        if isinstance(look, Stream) and not account.differs(ref):
            _require_other_names(account, [look], look.entries.get("/Resources"), names, is_own="/Resources" in look.entries)
    for place, page in _pages(account):
        resources = page["/Resources"] if "/Resources" in page or place is None else sealed.inherited(place, "/Resources")
        contents = sealed.get(page.get("/Contents"))
        streams = map(sealed.get, contents if isinstance(contents, list) else [contents])
        _require_other_names(account, [each for each in streams if isinstance(each, Stream)], resources, names, is_own=True)
    default = sealed.entries(sealed.entries(sealed.root).get("/AcroForm")).get("/DA")
    for node in account.sealed.fields():
        appearance = sealed.get(node.inherited.get("/DA", default))
        if "/Rect" not in node.own or "/AP" in node.own or account.differs(node.ref) or not isinstance(appearance, bytes):
            continue
        if sealed.get(node.inherited.get("/V")) not in (None, b"") and any(each.encode() in appearance for each in names):
            account.unclear.append(fact("value_without_look"))


def _require_other_names(account: Account, streams: list[Stream], resources: Value, names: set[str], *, is_own: bool) -> None:
    """Where these resources have gained names, what draws by them, also what has none of its own, uses others."""
    sealed = account.sealed
    parts = sealed.entries(resources)
    if is_own and not any(map(account.differs, (resources, *parts.values()))):
        return
    if sealed.entries(parts.get("/Pattern")) or any(
        "/CharProcs" in sealed.entries(each) for each in sealed.entries(parts.get("/Font")).values()
    ):
        raise UnclearError(_WAITED)
    inner = map(sealed.get, sealed.entries(parts.get("/XObject")).values())
    streams += [
        each for each in inner if isinstance(each, Stream) and each.entries.get("/Subtype") != "/Image" and "/Resources" not in each.entries
    ]
    if any(_names_in(each) & names for each in streams):
        raise UnclearError(_WAITED)


def _names_in(look: Stream) -> set[str]:
    try:
        return {name(each) for each in _NAME.findall(decoded(look))}
    except IrregularError:
        raise UnclearError(_WAITED) from None
