"""PDF values as regular expressions (ISO 32000-2 §7.3), without comments: one match an object, none of its bytes looked at in Python.

Strict: what readers could take in two ways matches nowhere. Values nest to a fixed depth here; ``values`` reads the deeper ones.
Repeats are possessive and each alternative stands once, so that no text takes more than linear time: an alternative that stood twice
would double the ways to match with each element of an array that is never closed.
"""

from __future__ import annotations

import re
from typing import Final

from signer.pdf.plan import Document


class NotLeanError(Exception):
    """The document is not one that the lean writer understands; the message says why, for tests and statistics."""


SPACE: Final = rb"[\t\n\x0c\r ]"  # without NUL, which readers differ about
_BEHIND: Final = rb"(?=[\t\n\x0c\r ()<>\[\]/%])"  # what may follow a number or a word
_REGULAR: Final = rb"[^\x00-\x20\x7f\x80\xff()<>\[\]{}/%]"  # PDFium takes 0x80 and 0xFF for blanks
NAME: Final = rb"/" + _REGULAR + rb"++"  # an empty one is a name, too, yet not for all readers
REFERENCE: Final = rb"[1-9]\d{0,9}+" + SPACE + rb"++\d{1,5}+" + SPACE + rb"++R" + _BEHIND
NUMBER: Final = rb"[+-]?(?:\d{1,20}+(?:\.\d{0,20}+)?|\.\d{1,20}+)" + _BEHIND
HEXADECIMAL: Final = rb"<[0-9A-Fa-f\t\n\x0c\r ]*+>"
_WORD: Final = rb"(?:true|false|null)" + _BEHIND
_PLAIN: Final = rb"[^()\\]*+"
_ESCAPED: Final = rb"\\(?:[nrtbf()\\ /%<>\[\]#_&$]|[0-3][0-7]{2}|[0-7]{1,2}(?![0-9])|\r\n|[\r\n])"  # what all readers know (table 3)


def _literal(depth: int) -> bytes:
    """A string in parentheses with balanced ones in it (§7.3.4.2)."""
    inner = b"" if depth == 0 else b"|" + _literal(depth - 1)
    return rb"\(" + _PLAIN + rb"(?:(?:" + _ESCAPED + inner + rb")" + _PLAIN + rb")*+\)"


STRING: Final = _literal(2)
_SCALAR: Final = b"|".join((REFERENCE, NUMBER, STRING, HEXADECIMAL, _WORD))


def _container(depth: int) -> bytes:
    value = _value(depth)
    array = rb"\[(?:" + SPACE + rb"*+(?:" + value + rb"))*+" + SPACE + rb"*+\]"
    dictionary = rb"<<(?:" + SPACE + rb"*+" + NAME + SPACE + rb"*+(?:" + value + rb"))*+" + SPACE + rb"*+>>"
    return array + b"|" + dictionary


def _value(depth: int) -> bytes:
    containers = b"" if depth == 0 else b"|" + _container(depth - 1)
    return NAME + containers + b"|" + _SCALAR


_DEPTH: Final = 3
_VALUE: Final = _value(_DEPTH)
_ARRAY: Final = rb"\[(?:" + SPACE + rb"*+(?:" + _VALUE + rb"))*+" + SPACE + rb"*+\]"
_HEAD: Final = SPACE + rb"*+(\d{1,10}+)" + SPACE + rb"(\d{1,5}+)" + SPACE + rb"obj"

ARRAY: Final = re.compile(_ARRAY)
HEAD: Final = re.compile(_HEAD + SPACE + rb"*+")
# Number, generation, and the number that the object is, or where its array begins.
ARRAY_HEAD: Final = re.compile(_HEAD + SPACE + rb"*+(?=\[)")
INTEGER_OBJECT: Final = re.compile(_HEAD + SPACE + rb"*+(\d{1,15}+)" + SPACE + rb"*+endobj")
DICTIONARY_HEAD: Final = re.compile(_HEAD + SPACE + rb"*+<<")
# The end of a dictionary that is an object, and the word behind it: b"endobj", or b"stream" with its line end.
DICTIONARY_END: Final = re.compile(SPACE + rb"*+>>" + SPACE + rb"*+(endobj|stream(?:\r\n|\n))")
_CLOSE: Final = re.compile(SPACE + rb"*+>>")
FOLLOWING: Final = re.compile(SPACE + rb"*+(endobj|stream(?:\r\n|\n))")
END: Final = re.compile(SPACE + rb"*+endobj")
ENDSTREAM: Final = re.compile(SPACE + rb"{0,2}+endstream" + SPACE + rb"++endobj")
_PAIR: Final = re.compile(SPACE + rb"*+/(" + _REGULAR + rb"++)" + SPACE + rb"*+(" + _VALUE + rb")")
VALUE: Final = re.compile(_VALUE)
# Backslashes outside of strings are stepped over, or else each escaped parenthesis behind an open string would begin a search of its own.
_COMMENT: Final = re.compile(rb"(" + STRING + rb"|" + HEXADECIMAL + rb"|\\[\x00-\xff])|%[^\r\n]*+")


class Deep(bytes):
    """A value that is nested deeper than the expressions here: it can be passed on, but not be taken apart."""


def entries_from(text: Document, position: int, end: int) -> tuple[dict[bytes, bytes], int]:
    """Keys (without slash) and values of a dictionary behind its ``<<``, and where the last value ends; each key once, without escapes.

    Values are raw. What stands behind the last of them is for the caller to look at: anything but the end of the dictionary means that
    it is one that these expressions do not know.
    """
    match = _PAIR.scanner(text, position, end).match  # type: ignore[attr-defined]  # where one pair ends, the next must begin
    entries: dict[bytes, bytes] = {}
    start, count = position, 0
    while (pair := match()) is not None:
        key, value = pair.groups()
        entries[key] = value
        position = pair.end()
        count += 1
    if len(entries) != count:
        raise NotLeanError("a dictionary has a key twice")
    if text.find(b"#", start, position) >= 0 and b"#" in b"".join(entries):
        raise NotLeanError("a dictionary has a key with escapes")
    return entries, position


def pairs(text: bytes) -> dict[bytes, bytes]:
    """Of a dictionary that is a value which the grammar has matched."""
    if text.__class__ is Deep:
        raise NotLeanError("a value is nested too deep")
    return entries_from(text, 2, len(text))[0]


def closed(text: Document, position: int) -> int | None:
    """Where a dictionary ends whose last value ends at ``position``; None where something else follows."""
    close = _CLOSE.match(text, position)
    return close.end() if close is not None else None


def uncommented(text: bytes) -> bytes:
    """The same with blanks in place of comments (§7.2.4), so that everything else stays where it is."""
    return _COMMENT.sub(lambda match: match[0] if match[1] is not None else b" " * len(match[0]), text)


def items(text: bytes) -> list[bytes]:
    """The elements of an array that ``ARRAY`` has matched as a whole."""
    if text.__class__ is Deep:
        raise NotLeanError("a value is nested too deep")
    return VALUE.findall(text, 1)  # between them stand blanks alone


def is_reference(value: bytes) -> bool:
    """Of a value that the grammar has matched: only references begin with a digit and end with R."""
    return value[-1] == 0x52 and 0x30 <= value[0] <= 0x39


def reference(value: bytes) -> tuple[int, int]:
    """Number and generation."""
    if value[-1] != 0x52 or not 0x30 <= value[0] <= 0x39:
        raise NotLeanError("there is no reference where one should be")
    number, generation, _r = value.split()
    return int(number), int(generation)


def integer(value: bytes | None) -> int:
    """A whole number that stands there itself, not negative."""
    if value is None or not value.isdigit():
        raise NotLeanError("there is no whole number where one should be")
    return int(value)
