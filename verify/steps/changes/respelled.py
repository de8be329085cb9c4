"""Entries that programs write anew in their own spelling when they fill in a field, and that mean what they meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from verify.steps.changes.account import plain_leaves
from verify.steps.changes.painting import NotDerivedError, colour_of
from verify.steps.changes.values import IrregularError, Value, is_number, parse, pdf_text, same

_CLOSE = 0.006  # of a colour's part: rounding to 8 bits, or to two digits
_NEAR = 0.001
_DEFAULTS: dict[str, Value] = {"/Type": "/Annot", "/Ff": 0, "/F": 0, "/Q": 0, "/BS": {"/S": "/S", "/W": 1}}
_DRAWN = {"/BC", "/BG", "/CA"}
_COLOURS = {"/BC", "/BG"}
_WORD = re.compile(rb"[\0\t\n\f\r ]*([A-Za-z]{1,3})(?=[\0\t\n\f\r ]|$)")
_COUNTS = {b"g": 1, b"rg": 3, b"k": 4}
Parts = tuple[str, float, list[Value]]


def is_same_character(old: dict[str, Value], new: Value, *, is_button: bool, is_redrawn: bool) -> bool:
    """/MK: the same but for rounded colours. A box that is drawn anew, or says less, may say what it likes of how it was drawn."""
    new = {} if new is None else new
    if not isinstance(new, dict):
        return False
    for key in old.keys() | new.keys():
        free = is_button and (key not in new or (is_redrawn and key in _DRAWN and plain_leaves(new[key])))
        if key in _COLOURS and _is_close(old.get(key, []), new.get(key, [])):
            continue
        if not free and not same(old.get(key), new.get(key)):
            return False
    return True


def is_default(key: str, value: Value) -> bool:
    """Whether an entry of a field that had none says what its absence means (ISO 32000-2 tables 166 to 168, 226)."""
    return key in _DEFAULTS and same(value, _DEFAULTS[key])


def is_same_text(old: Value, new: Value) -> bool:
    """The same texts in the same places, in whichever encodings."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(is_same_text, old, new))
    return isinstance(old, bytes) and isinstance(new, bytes) and pdf_text(old) == pdf_text(new)


def is_same_place(old: Value, new: Value) -> bool:
    """/Rect: the same to a thousandth of a unit."""
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != 4 or len(new) != 4:
        return False
    if not all(map(is_number, [*old, *new])):
        return False
    return all(abs(float(one) - float(other)) <= _NEAR for one, other in zip(old, new, strict=True))


def is_same_appearance(old: Value, new: Value, is_plain_font: Callable[[str], bool], *, is_button: bool) -> bool:
    """/DA: the same size and colour, in whichever order, and the same or a plain font. A box that had none may gain a black one."""
    if same(old, new):
        return True
    was, now = _parts(old), _parts(new)
    if now is None:
        return False
    if was is None:
        return is_button and old is None and not any(now[2])
    return was[1] == now[1] and _is_close(was[2], now[2]) and (was[0] == now[0] or is_plain_font(now[0]))


def _is_close(old: Value, new: Value) -> bool:
    if not _is_colour(old) or not _is_colour(new):
        return same(old, new)
    if not old or not new:
        return len(old) == len(new)
    try:
        one, other = colour_of([float(each) for each in old]), colour_of([float(each) for each in new])
    except NotDerivedError:
        return False
    return all(abs(a - b) <= _CLOSE for a, b in zip(one, other, strict=True))


def _is_colour(value: Value) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) in {0, 1, 3, 4} and all(map(is_number, value))


def _parts(appearance: Value) -> Parts | None:
    """Font, size, colour; None where it says more than that, or something twice."""
    if not isinstance(appearance, bytes):
        return None
    at, operands = 0, list[Value]()
    font: tuple[str, float] | None = None
    colour: list[Value] | None = None
    while appearance[at:].strip(b"\0\t\n\f\r "):
        word = _WORD.match(appearance, at)
        if word is None:
            try:
                operand, at = parse(appearance, at)
            except IrregularError:
                return None
            operands.append(operand)
            continue
        at = word.end()
        if word[1] == b"Tf" and font is None and len(operands) == 2 and isinstance(operands[0], str) and is_number(operands[1]):
            font = operands[0], float(operands[1])
        elif _COUNTS.get(word[1]) == len(operands) and colour is None and all(map(is_number, operands)):
            colour = operands
        else:
            return None
        operands = []
    return None if font is None or operands else (*font, [0] if colour is None else colour)
