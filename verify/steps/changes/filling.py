"""The rule for form fields that were filled in: a value, and an appearance that shows nothing but that value.

A new value whose appearance is text in a font that we cannot read is named, and leaves the answer open.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from verify.facts import Fact, fact
from verify.steps.changes.account import RESOURCES, Account, Addition, ChangedError, Place, members, rectangle_of, require_same, shows
from verify.steps.changes.choices import View, chosen_of, is_ambiguous, options_of, view_of_choices
from verify.steps.changes.derived import Look, UnprovenError, Usual, Wanted, require_derived
from verify.steps.changes.fonts import Font, font_of, is_plain
from verify.steps.changes.painting import NotDerivedError
from verify.steps.changes.respelled import is_default, is_same_appearance, is_same_character, is_same_place, is_same_text
from verify.steps.changes.sealed import Node
from verify.steps.changes.values import Stream, Value, is_text, pdf_text, same

_READ_ONLY, _PUSH_BUTTON, _COMBO, _EDIT, _COMB, _MULTILINE = (
    1 << 0,
    1 << 16,
    1 << 17,
    1 << 18,
    1 << 24,
    1 << 12,
)  # /Ff (ISO 32000-2 §12.7.5)
_OFF = "/Off"
_FILLED = {"/V", "/AP", "/AS", "/M", "/MK", "/DA"}
_CHOSEN = {"/I", "/TI"}  # of a choice

_TEXTS = {"/T", "/TU", "/TM", "/Opt", "/DV"}


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


@dataclass
class Filled:
    """The new values by the fields' names, and whose state was entered as a text, which not all readers take for a state."""

    values: dict[str, Value] = field(default_factory=dict)
    as_text: set[str] = field(default_factory=set)


def claim_filled(account: Account, node: Node, locks: Locks, filled: Filled) -> None:
    """Claims a field or widget of the sealed form where it was filled in; raises ChangedError where more happened to it.

    filled  what was filled in so far: a field comes before its widgets
    """
    look = node.own.get("/AP")
    stream = account.sealed.entries(look).get("/N")
    states = account.sealed.entries(stream).values()
    if not any(map(account.differs, (node.ref, look, stream, *states))):
        if node.is_field and account.sealed.get(node.own.get("/V")) is None and node.name_above in filled.values:
            filled.values[node.name] = filled.values[node.name_above]
        return
    rule = fact("part_field", name=node.name)
    flags = account.sealed.get(node.inherited.get("/Ff", 0))
    if not isinstance(flags, int) or flags & _READ_ONLY or locks.hold(node.name):
        raise ChangedError("field_locked", part=rule)
    new = members(account.rewritten(node.ref, rule), rule) if account.differs(node.ref) else node.own
    _require_only_filled(account, node, new, rule)
    kind = account.sealed.get(node.inherited.get("/FT"))
    old = account.sealed.get(node.inherited.get("/V"))
    entered = _enter(account, node, new, kind, filled)
    value = filled.values.get(node.name, old)
    is_proven = node.name not in filled.as_text
    if kind == "/Btn" and not flags & _PUSH_BUTTON:
        is_new = not same(old, value) or not same(node.own.get("/AS"), new.get("/AS"))
        is_proven &= _require_state(account, node, new | ({"/V": entered} if "/V" in new else {}), rule, is_new=is_new)
        require_look_of_state(account, node, new, filled)
    elif kind not in ("/Tx", "/Ch") or not _is_value(value) or not same(node.own.get("/AS"), new.get("/AS")):
        raise ChangedError("field_value_none", part=rule)
    elif kind == "/Ch" and (view := view_of_choices(account, node, new, value)) is View.OTHER:
        raise ChangedError("field_other_options", part=rule)
    elif not same(look, new.get("/AP")) or account.differs(look) or account.differs(stream):
        wanted = _wanted(account, node, kind, flags, value)
        is_proven = _claim_look(account, node, new.get("/AP"), wanted, rule, is_new=_text(old) != _text(value))
    elif "/Rect" in node.own and is_other(old, value):
        is_proven = False  # what is shown is still the old value, or what readers make of the new one
    if kind == "/Ch":
        is_proven &= view is View.SAME and not is_ambiguous(options_of(account, node), value)
    is_proven &= same(old, value) or _is_taken(account, node, kind, flags, value)
    note_filled(account, node, value, is_proven=is_proven)


def _enter(account: Account, node: Node, new: dict[str, Value], kind: Value, filled: Filled) -> Value:
    """The value that a field has now, entered among those that were filled in; a widget below a field has none of its own.

    A field without a value has that of the field above it.
    """
    own, above = account.sealed.get(new.get("/V")), filled.values.get(node.name_above, account.sealed.get(node.above.get("/V")))
    if kind == "/Btn" and isinstance(own, bytes):
        filled.as_text.add(node.name)
        own = f"/{pdf_text(own).removeprefix('/')}"
    entered = above if own is None else own
    if node.is_field or "/Parent" not in node.own or ("/V" in node.own and above is None):
        if "/V" in node.own.keys() | new.keys() or node.name_above in filled.values:
            filled.values[node.name] = entered
    elif own is not None and "/V" not in node.own and (own != new.get("/AS", _OFF) if kind == "/Btn" else is_other(above, own)):
        raise ChangedError("field_other_state", part=fact("part_field", name=node.name))
    return entered


def is_other(old: Value, value: Value) -> bool:
    """Whether a field's value is another one: readers of data take it, whatever the page shows."""
    if isinstance(old, list) or isinstance(value, list):
        return not same(old, value)
    return _text(old) != _text(value)


def _require_only_filled(account: Account, node: Node, new: dict[str, Value], rule: Fact) -> None:
    """Nothing differs but value, look and date; colours and text's look may be spelled otherwise, as writers do that know no originals."""
    added = {key for key in new.keys() - node.own.keys() if is_default(key, new[key]) and key not in node.inherited}
    respelled = {key for key in _TEXTS if is_same_text(node.own.get(key), new.get(key))}
    respelled |= {"/Rect"} if is_same_place(node.own.get("/Rect"), new.get("/Rect")) else set()
    kind = account.sealed.get(node.inherited.get("/FT"))
    require_same(node.own, new, rule, _FILLED | added | respelled | (_CHOSEN if kind == "/Ch" else set()))
    if not isinstance(new.get("/M", b""), bytes):
        raise ChangedError("entry_changed", part=rule, entry="/M")
    is_button = kind == "/Btn"
    redrawn = not same(node.own.get("/AP"), new.get("/AP"))
    old_character = account.sealed.entries(node.own.get("/MK"))
    if not is_same_character(old_character, account.sealed.get(new.get("/MK")), is_button=is_button, is_redrawn=redrawn):
        raise ChangedError("entry_changed", part=rule, entry="/MK")
    form = account.sealed.entries(account.sealed.entries(account.sealed.root).get("/AcroForm"))
    was = account.sealed.get(node.inherited.get("/DA", form.get("/DA")))
    fonts = _form_fonts(account, node)
    now = account.sealed.get(new.get("/DA", was))
    if not is_same_appearance(was, now, lambda name: is_plain(account, name, fonts), is_button=is_button):
        raise ChangedError("entry_changed", part=rule, entry="/DA")


def _form_fonts(account: Account, node: Node) -> dict[str, Value]:
    """The sealed fonts of form and field by their names."""
    sealed = account.sealed
    form = sealed.entries(sealed.entries(sealed.root).get("/AcroForm"))
    parts = (sealed.entries(sealed.entries(each.get("/DR")).get("/Font")) for each in (form, node.own))
    return {name: font for part in parts for name, font in part.items()}


def _wanted(account: Account, node: Node, kind: str, flags: int, value: Value) -> Wanted:
    if kind == "/Ch":
        options = options_of(account, node)
        if not flags & _COMBO:
            return Wanted((), tuple(shown for _export, shown in options), chosen_of(options, value))
        names = tuple(shown for export, shown in options if export == _text(value))
        is_other_option = any(shown == _text(value) != export for export, shown in options) and names and _text(value) not in names
        return Wanted(names if is_other_option else (_text(value), *names))
    cells = account.sealed.get(node.inherited.get("/MaxLen", 0)) if flags & _COMB else 0
    return Wanted((_text(value),), cells=cells if type(cells) is int and cells > 0 else 0, is_tall=bool(flags & _MULTILINE))


def _is_taken(account: Account, node: Node, kind: str, flags: int, value: Value) -> bool:
    """Whether all readers take a new value whole: in an encoding of PDF, no longer than its field, and of the options where it has to be."""
    texts = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, bytes)]
    most = account.sealed.get(node.inherited.get("/MaxLen"))
    if not all(map(is_text, texts)) or (kind == "/Tx" and type(most) is int and any(len(pdf_text(each)) > most for each in texts)):
        return False
    if kind != "/Ch" or (flags & _COMBO and flags & _EDIT):
        return True
    known = {one for pair in options_of(account, node) for one in pair} | {""}
    return all(pdf_text(each) in known for each in texts)


def _text(value: Value) -> str:
    if value is None:
        return ""
    return pdf_text(value) if isinstance(value, bytes) else "\ufffd"


def _said(value: Value) -> str:
    """A field's value as a person reads it; empty where nothing was entered or ticked."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_said, value)))
    return pdf_text(value) if isinstance(value, bytes) else value[1:] if isinstance(value, str) and value != _OFF else ""


def _claim_look(account: Account, node: Node, look: Value, wanted: Wanted, rule: Fact, *, is_new: bool) -> bool:
    """A new normal appearance, or the old one written anew; it shows what is wanted and nothing else. False where that is not proven."""
    before, now = account.opened(node.own.get("/AP"), look, rule)
    before, now = members({} if before is None else before, rule), members(now, rule)
    require_same(before, now, rule, {"/N"})
    was, stream = account.opened(before.get("/N"), now.get("/N"), rule)
    return _require_shown(account, node, (was, stream), wanted, rule, is_new=is_new)


def _require_shown(account: Account, node: Node, looks: tuple[Value, Value], wanted: Wanted, rule: Fact, *, is_new: bool) -> bool:
    sealed, (was, stream) = account.sealed, looks
    form = sealed.entries(sealed.entries(sealed.root).get("/AcroForm"))
    old_fonts = sealed.entries(sealed.entries(was.entries.get("/Resources")).get("/Font")) if isinstance(was, Stream) else {}
    known = [*_form_fonts(account, node).values(), *old_fonts.values()]
    left, bottom, right, top = rectangle_of([sealed.get(each) for each in sealed.elements(node.own.get("/Rect"))], rule)
    usual = Usual.of(sealed.get(node.inherited.get("/DA", form.get("/DA"))))
    try:
        fonts = _fonts(account, stream, sealed.entries(form.get("/DR")), known, rule)
        require_derived(Look(stream, fonts, (right - left, top - bottom)), wanted, usual)
    except UnprovenError:
        if is_new:
            return False
        raise ChangedError("field_look_alone", part=rule) from None
    except NotDerivedError:
        raise ChangedError("field_look_other", part=rule) from None
    return True


def _fonts(account: Account, stream: Value, form: dict[str, Value], known: list[Value], rule: Fact) -> dict[str, Font | None]:
    """By the names that the appearance's resources give them; None for those that could draw anything."""
    if not isinstance(stream, Stream):
        raise NotDerivedError
    resources = _part(account, stream.entries.get("/Resources"), rule)
    account.drafts += [
        resources,
        Stream({key: value for key, value in stream.entries.items() if key in {"/Filter", "/Length"}}, stream.data),
    ]
    for key, value in resources.items():
        if key not in {"/Font", "/ProcSet"} and not same(value, form.get(key)):
            raise NotDerivedError
    fonts = {name: font_of(account, font, known) for name, font in _part(account, resources.get("/Font"), rule).items()}
    for name, font in _part(account, resources.get("/Font"), rule).items():
        if fonts[name] is None:
            account.take_static(font, rule)
    return fonts


def _part(account: Account, value: Value, rule: Fact) -> dict[str, Value]:
    if value is None:
        return {}
    if account.is_claimed(value, RESOURCES.key):
        return members(account.now(value), rule)
    return members(account.take(value, rule) if account.differs(value) else account.sealed.get(value), rule)


def _require_state(account: Account, node: Node, new: dict[str, Value], rule: Fact, *, is_new: bool) -> bool:
    """A check box or radio button: one of the states that it had when it was sealed, each drawn as it was or as a plain mark.

    False where that is not proven.
    """
    normals = account.sealed.entries(account.sealed.entries(node.own.get("/AP")).get("/N"))
    states = {_OFF, *normals}
    for kid in account.sealed.elements(node.own.get("/Kids")):
        states |= set(account.sealed.entries(account.sealed.entries(account.sealed.entries(kid).get("/AP")).get("/N")))
    for key in ("/V", "/AS"):
        if not same(node.own.get(key), new.get(key)) and not _is_one_of(new.get(key), states):
            raise ChangedError("field_new_state", part=rule)
    before, now = (members(each or {}, rule) for each in account.opened(node.own.get("/AP"), new.get("/AP"), rule))
    was, looks = account.opened(before.get("/N"), now.get("/N"), rule)
    require_same(before, before | now, rule, {"/N"})
    if same(was, looks) and not any(map(account.differs, normals.values())):
        return True
    if not isinstance(looks, dict) or not isinstance(was, dict) or not was.keys() <= looks.keys() <= {_OFF, *was}:
        raise ChangedError("field_look_changed", part=rule)
    is_proven = True
    for state, look in looks.items():
        old, stream = account.opened(was.get(state), look, rule)
        if not same(old, stream):
            is_proven &= _require_shown(account, node, (old, stream), Wanted(marks=int(state != _OFF)), rule, is_new=is_new)
    return is_proven


def require_look_of_state(account: Account, node: Node, new: dict[str, Value], filled: Filled) -> None:
    """A widget shows the state that is its field's value, where it has it, and otherwise that it is off.

    Beside a state that was entered as a text, what it shows may also be as it was.
    """
    value = filled.values.get(node.name, account.sealed.get(node.inherited.get("/V")))
    if node.name in filled.as_text and same(new.get("/AS"), node.own.get("/AS")):
        return
    normal = account.sealed.get(account.sealed.entries(node.own.get("/AP")).get("/N"))
    if isinstance(normal, dict) and new.get("/AS", _OFF) != (value if _is_one_of(value, normal) else _OFF):
        raise ChangedError("field_other_state", part=fact("part_field", name=node.name))


def _is_one_of(value: Value, states: Collection[str]) -> bool:
    return isinstance(value, str) and value in states


def _is_value(value: Value) -> bool:
    return value is None or isinstance(value, bytes) or (isinstance(value, list) and all(isinstance(each, bytes) for each in value))


def note_filled(account: Account, node: Node, value: Value, *, is_proven: bool) -> None:
    name = node.name
    addition = next((each for each in account.additions if each.kind == "form" and each.name == name), None)
    if addition is None:
        addition = Addition("form", name)
        account.additions.append(addition)
    addition.proven &= is_proven
    old = account.sealed.get(node.inherited.get("/V"))
    if _said(old) and _said(old) != _said(value):
        addition.replaced = (_said(old), _said(value))
    if "/Rect" not in node.own:
        return
    corners = [account.sealed.get(each) for each in account.sealed.elements(node.own["/Rect"])]
    rectangle = rectangle_of(corners, fact("part_field", name=name))
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
        found = Locks(action == "/Exclude", frozenset(map(pdf_text, names)))
    return found or Locks()
