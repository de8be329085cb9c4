"""Reads single values of the strict subset of PDF that the quick account understands.

Anything spelled differently raises ``OtherwiseError`` and is left to the general ``Reader``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from signer.pdf.readback.syntax import WHITE

_DEEPEST: Final = 4  # nesting of values. Each level doubles the expression, which every process has to compile
_DICTIONARIES_HELD: Final = 256
_REFERENCES_HELD: Final = 1024
_LARGEST_HELD_BYTES: Final = 2048

W: Final = rb"[\x00\t\n\x0c\r ]"  # white space, in all expressions of the quick account
_NAME: Final = rb"/[^\x00\t\n\x0c\r ()<>\[\]{}/%#]++"  # no escapes: one name has one spelling here
_SIMPLE: Final = (
    rb"%b|\d{1,10}%b++\d{1,5}%b++R(?![A-Za-z0-9])|[+-]?+(?:\d++\.?+\d*+|\.\d++)"
    rb"|\((?>[^()\\]++|\\.)*+\)|<[0-9A-Fa-f]*+>|(?:true|false|null)(?![A-Za-z0-9])" % (_NAME, W, W)
)


def _value(depth: int) -> bytes:
    """A value with that much nesting."""
    if depth == 0:
        return rb"(?>%b)" % _SIMPLE
    inner = _value(depth - 1)
    return rb"(?>%b|\[(?>%b*+%b)*+%b*+\]|<<(?>%b*+%b%b*+%b)*+%b*+>>)" % (_SIMPLE, W, inner, W, W, _NAME, W, inner, W)


# One entry; or everything from where there is no entry, so that ``findall`` shows it as a key without name.
_ENTRIES: Final = re.compile(rb"%b*+/(%b)%b*+(%b)%b*+|.++" % (W, _NAME[1:], W, _value(_DEEPEST), W), re.DOTALL)
VALUE: Final = re.compile(_value(1), re.DOTALL)
_REFERENCE: Final = re.compile(rb"([1-9]\d{0,9})%b++(\d{1,5})%b++R" % (W, W))
_INTEGERS: Final = re.compile(rb"\[[\d\x00\t\n\x0c\r ]*+\]")

Entries = dict[bytes, bytes]
"""A dictionary: raw values by name, without the slash."""


class OtherwiseError(Exception):
    """Spelled in a way that only the general reader understands."""


def entries_of(text: bytes) -> Entries:
    """The entries of a text that is one whole dictionary. Callers must not change them: they are shared between documents."""
    if text[:2] != b"<<" or text[-2:] != b">>":
        raise OtherwiseError
    return entries_within(text[2:-2])


def entries_within(text: bytes) -> Entries:
    """The same for the text between the brackets. It is cached: catalogs and pages of documents from one template are often identical."""
    return _held(text) if len(text) <= _LARGEST_HELD_BYTES else entries_anew(text)


def entries_anew(text: bytes) -> Entries:
    """The same without the cache, for what no two documents have in common: trailers, dictionaries of streams. A key may occur once."""
    found = _ENTRIES.findall(text)
    entries = dict(found)
    if b"" in entries or len(entries) != len(found):
        if text.strip(WHITE):
            raise OtherwiseError
        return {}
    return entries


_held = lru_cache(maxsize=_DICTIONARIES_HELD)(entries_anew)


@lru_cache(maxsize=_REFERENCES_HELD)
def reference(value: bytes | None) -> tuple[int, int]:
    """Number and generation of the object that ``value`` refers to."""
    match = _REFERENCE.fullmatch(value or b"")
    if match is None:
        raise OtherwiseError
    return int(match[1]), int(match[2])


def references(array: bytes) -> tuple[tuple[int, int], ...]:
    """The same for an array of references. Cached like dictionaries: the kids of a page tree are often the same."""
    return _references_held(array) if len(array) <= _LARGEST_HELD_BYTES else _references(array)


def _references(array: bytes) -> tuple[tuple[int, int], ...]:
    found = _REFERENCE.findall(array)
    if array[:1] != b"[" or array[-1:] != b"]" or array[1:-1].split() != [part for each in found for part in (*each, b"R")]:
        raise OtherwiseError
    return tuple((int(number), int(generation)) for number, generation in found)


_references_held = lru_cache(maxsize=_DICTIONARIES_HELD)(_references)


def integer(value: bytes | None) -> int:
    """A number without sign or point."""
    if value is None or not value.isdigit():
        raise OtherwiseError
    return int(value)


def integers(value: bytes | None) -> list[int]:
    """An array of such numbers."""
    if value is None or _INTEGERS.fullmatch(value) is None:
        raise OtherwiseError
    return [int(each) for each in value[1:-1].split()]
