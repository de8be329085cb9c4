"""The rule for form fields that were filled in: a value, and an appearance that shows nothing but that value."""

from __future__ import annotations

from dataclasses import dataclass, field

from verify.changes.account import Account, Addition, ChangedError, Place, members, rectangle_of, require_same, shows
from verify.changes.derived import NotDerivedError, Usual, require_derived
from verify.changes.sealed import Node, readable
from verify.changes.values import Ref, Stream, Value, same

_READ_ONLY, _PUSH_BUTTON = 1 << 0, 1 << 16  # /Ff (ISO 32000-2 tables 227 and 229)
_OFF = "/Off"


@dataclass(frozen=True)
class Locks:
    """Fields that the seal locked (FieldMDP, ISO 32000-2 §12.8.2.4): all but, or only, these."""

    everything_but: bool = False
    names: frozenset[str] = field(default_factory=frozenset)

    def hold(self, name: str) -> bool:
        """Whether a field of this full name is locked, by itself or with what it is part of."""
        parts = name.split(".")
        listed = any(".".join(parts[: count + 1]) in self.names for count in range(len(parts)))
        return listed != self.everything_but


def claim_filled(account: Account, node: Node, locks: Locks, filled: dict[str, Value]) -> None:
    """Claims a field or widget of the sealed form where it was filled in; raises ChangedError where more happened to it.

    filled  the new values by the fields' names so far: a field comes before its widgets
    """
    look = node.own.get("/AP")
    stream = account.sealed.entries(look).get("/N")
    if not (account.differs(node.ref) or account.differs(look) or account.differs(stream)):
        if node.name in filled and account.sealed.get(node.inherited.get("/FT")) == "/Btn":
            _require_look_of_state(account, node, node.own, filled[node.name])
        return
    rule = f"field {node.name}"
    flags = account.sealed.get(node.inherited.get("/Ff", 0))
    if not isinstance(flags, int) or flags & _READ_ONLY or locks.hold(node.name):
        raise ChangedError(f"{rule} is not to be filled in")
    new = members(account.rewritten(node.ref, rule), rule) if account.differs(node.ref) else node.own
    require_same(node.own, new, rule, {"/V", "/AP", "/AS"})
    kind = account.sealed.get(node.inherited.get("/FT"))
    if "/V" in node.own.keys() | new.keys():
        filled[node.name] = account.sealed.get(new.get("/V"))
    value = filled[node.name] if node.name in filled else account.sealed.get(node.inherited.get("/V"))
    if kind == "/Btn" and not flags & _PUSH_BUTTON:
        _require_state(account, node, new, rule)
        _require_look_of_state(account, node, new, value)
    elif kind not in ("/Tx", "/Ch") or not _is_value(value) or not same(node.own.get("/AS"), new.get("/AS")):
        raise ChangedError(f"{rule}: its value is none")
    elif not same(look, new.get("/AP")) or account.differs(look) or account.differs(stream):
        _claim_look(account, node, new.get("/AP"), value, rule)
    _note(account, node, node.name)


def _claim_look(account: Account, node: Node, look: Value, value: Value, rule: str) -> None:
    """A new normal appearance, or the old one written anew; it shows the value and nothing else."""
    sealed = account.sealed
    before, now = account.opened(node.own.get("/AP"), look, rule)
    before, now = members({} if before is None else before, rule), members(now, rule)
    require_same(before, now, rule, {"/N"})
    was, stream = account.opened(before.get("/N"), now.get("/N"), rule)
    form = sealed.entries(sealed.entries(sealed.root).get("/AcroForm"))
    known = [sealed.entries(sealed.entries(form.get("/DR")).get("/Font"))]
    if isinstance(was, Stream):
        known.append(sealed.entries(sealed.entries(was.entries.get("/Resources")).get("/Font")))
    fonts = [font for each in known for font in each.values() if isinstance(font, Ref)]
    left, bottom, right, top = rectangle_of([sealed.get(each) for each in sealed.elements(node.own.get("/Rect"))], rule)
    usual = Usual.of(sealed.get(node.inherited.get("/DA", form.get("/DA"))))
    try:
        require_derived(stream, value, (right - left, top - bottom), lambda font: font in fonts and not account.differs(font), usual)
    except NotDerivedError:
        raise ChangedError(f"{rule}: its appearance could show something else than its value") from None


def _require_state(account: Account, node: Node, new: dict[str, Value], rule: str) -> None:
    """A check box or radio button: one of the states that it had when it was sealed."""
    require_same(node.own, new, rule, {"/V", "/AS"})
    if account.differs(new.get("/AP")):
        raise ChangedError(f"{rule}: its appearance was changed")
    states = {_OFF}
    for each in (node.own, *(account.sealed.entries(kid) for kid in account.sealed.elements(node.own.get("/Kids")))):
        normal = account.sealed.get(account.sealed.entries(each.get("/AP")).get("/N"))
        states |= set(normal) if isinstance(normal, dict) else set()
        if isinstance(normal, dict) and any(map(account.differs, normal.values())):
            raise ChangedError(f"{rule}: its appearance was changed")
    for key in ("/V", "/AS"):
        if not same(node.own.get(key), new.get(key)) and new.get(key) not in states:
            raise ChangedError(f"{rule}: a state that it did not have")


def _require_look_of_state(account: Account, node: Node, new: dict[str, Value], value: Value) -> None:
    """A widget shows the state that is its field's value, where it has it, and otherwise that it is off."""
    normal = account.sealed.get(account.sealed.entries(node.own.get("/AP")).get("/N"))
    if isinstance(normal, dict) and new.get("/AS", _OFF) != (value if value in normal else _OFF):
        raise ChangedError(f"field {node.name}: it shows another state than its value")


def _is_value(value: Value) -> bool:
    return value is None or isinstance(value, bytes) or (isinstance(value, list) and all(isinstance(each, bytes) for each in value))


def _note(account: Account, node: Node, name: str) -> None:
    addition = next((each for each in account.additions if each.kind == "form" and each.name == name), None)
    if addition is None:
        addition = Addition("form", name)
        account.additions.append(addition)
    if "/Rect" not in node.own:
        return
    corners = [account.sealed.get(each) for each in account.sealed.elements(node.own["/Rect"])]
    rectangle = rectangle_of(corners, f"field {name}")
    for number, (_ref, page) in enumerate(account.sealed.pages, 1):
        if shows(rectangle) and node.ref in account.sealed.elements(page.get("/Annots")):
            addition.places.append(Place(number, rectangle))


def locks_of(references: Value) -> Locks:
    """From a signature's /Reference; what cannot be read locks everything."""
    found: Locks | None = None
    for each in references if isinstance(references, list) else []:
        if isinstance(each, dict) and each.get("/TransformMethod") == "/DocMDP":
            continue
        if not isinstance(each, dict) or each.get("/TransformMethod") != "/FieldMDP" or found is not None:
            return Locks(everything_but=True)
        parameters = each.get("/TransformParams")
        action, names = (parameters.get("/Action"), parameters.get("/Fields", [])) if isinstance(parameters, dict) else (None, [])
        if action not in ("/Include", "/Exclude") or not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
            return Locks(everything_but=True)
        found = Locks(action == "/Exclude", frozenset(map(readable, names)))
    return found or Locks()
