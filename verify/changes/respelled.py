"""Entries that programs write anew in their own spelling when they fill in a field, and that mean what they meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from verify.changes.painting import NotDerivedError, colour_of
from verify.changes.values import IrregularError, Value, is_number, parse, same

_CLOSE = 0.006  # of a colour's part: rounding to 8 bits, or to two digits
_COLOURS = {"/BC", "/BG"}
_WORD = re.compile(rb"[\0\t\n\f\r ]*([A-Za-z]{1,3})(?=[\0\t\n\f\r ]|$)")
_COUNTS = {b"g": 1, b"rg": 3, b"k": 4}
Parts = tuple[str, float, list[Value]]


def is_same_character(old: dict[str, Value], new: Value, *, is_button: bool) -> bool:
    """/MK: the same but for rounded colours. What a box loses says nothing of the looks that it has."""
    if new is None:
        new = {}
    if not isinstance(new, dict):
        return False
    for key in old.keys() | new.keys():
        if key in _COLOURS and key in old and key in new:
            if not _is_close(old[key], new[key]):
                return False
        elif not (is_button and key not in new) and not same(old.get(key), new.get(key)):
            return False
    return True


def is_same_appearance(old: Value, new: Value, *, is_button: bool) -> bool:
    """/DA: the same font, size and colour, in whichever order. A box that had none may gain a black one."""
    if same(old, new):
        return True
    was, now = _parts(old), _parts(new)
    if now is None:
        return False
    if was is None:
        return is_button and old is None and not any(now[2])
    return was[:2] == now[:2] and _is_close(was[2], now[2])


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
