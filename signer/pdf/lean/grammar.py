"""PDF values as regular expressions (ISO 32000-2 §7.3), without comments: one match per object, so that Python looks at no single byte.

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


SPACE: Final = rb"[\t\n\x0c\r ]"  # without NUL: readers do not agree on it
_BEHIND: Final = rb"(?=[\t\n\x0c\r ()<>\[\]/%])"  # what may follow a number or a word
_REGULAR: Final = rb"[^\x00-\x20\x7f\x80\xff()<>\[\]{}/%]"  # PDFium treats 0x80 and 0xFF as white space
NAME: Final = rb"/" + _REGULAR + rb"++"  # the empty name is legal, but not all readers accept it
REFERENCE: Final = rb"[1-9]\d{0,9}+" + SPACE + rb"++\d{1,5}+" + SPACE + rb"++R" + _BEHIND
NUMBER: Final = rb"[+-]?(?:\d{1,20}+(?:\.\d{0,20}+)?|\.\d{1,20}+)" + _BEHIND
HEXADECIMAL: Final = rb"<[0-9A-Fa-f\t\n\x0c\r ]*+>"
_WORD: Final = rb"(?:true|false|null)" + _BEHIND
_PLAIN: Final = rb"[^()\\]*+"
_ESCAPED: Final = (
    rb"\\(?:[nrtbf()\\ /%<>\[\]#_&$]|[0-3][0-7]{2}|[0-7]{1,2}(?![0-9])|\r\n|[\r\n])"  # the escapes that all readers know (table 3)
)


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
# The end of an object's dictionary, and the word after it: b"endobj", or b"stream" with its line ending.
DICTIONARY_END: Final = re.compile(SPACE + rb"*+>>" + SPACE + rb"*+(endobj|stream(?:\r\n|\n))")
_CLOSE: Final = re.compile(SPACE + rb"*+>>")
FOLLOWING: Final = re.compile(SPACE + rb"*+(endobj|stream(?:\r\n|\n))")
END: Final = re.compile(SPACE + rb"*+endobj")
ENDSTREAM: Final = re.compile(SPACE + rb"{0,2}+endstream" + SPACE + rb"++endobj")
_PAIR: Final = re.compile(SPACE + rb"*+/(" + _REGULAR + rb"++)" + SPACE + rb"*+(" + _VALUE + rb")")
VALUE: Final = re.compile(_VALUE)
# Skips backslashes outside of strings; otherwise each escaped parenthesis after an unclosed string would start another search.
_COMMENT: Final = re.compile(rb"(" + STRING + rb"|" + HEXADECIMAL + rb"|\\[\x00-\xff])|%[^\r\n]*+")


class Deep(bytes):
    """A value nested deeper than the expressions here allow: it can be copied as it is, but not parsed."""


def entries_from(text: Document, position: int, end: int) -> tuple[dict[bytes, bytes], int]:
    """Keys (without slash) and values of a dictionary behind its ``<<``, and where the last value ends; each key once, without escapes.

    Values are raw. What stands behind the last of them is for the caller to look at: anything but the end of the dictionary means that
    it is one that these expressions do not know.
    """
    match = _PAIR.scanner(text, position, end).match  # type: ignore[attr-defined]  # each pair must begin where the one before ends
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
    """The entries of a dictionary that the grammar has matched as a value."""
    if text.__class__ is Deep:
        raise NotLeanError("a value is nested too deep")
    return entries_from(text, 2, len(text))[0]


def closed(text: Document, position: int) -> int | None:
    """Where a dictionary ends if its last value ends at ``position``; None if anything else follows."""
    close = _CLOSE.match(text, position)
    return close.end() if close is not None else None


def uncommented(text: bytes) -> bytes:
    """The text with its comments replaced by blanks (§7.2.4), so that offsets stay the same."""
    return _COMMENT.sub(lambda match: match[0] if match[1] is not None else b" " * len(match[0]), text)


def items(text: bytes) -> list[bytes]:
    """The elements of an array that ``ARRAY`` has matched as a whole."""
    if text.__class__ is Deep:
        raise NotLeanError("a value is nested too deep")
    return VALUE.findall(text, 1)  # there is only white space between them


def is_reference(value: bytes) -> bool:
    """Whether a matched value is a reference: nothing else begins with a digit and ends with R."""
    return value[-1] == 0x52 and 0x30 <= value[0] <= 0x39


def reference(value: bytes) -> tuple[int, int]:
    """Number and generation of the object that a reference leads to."""
    if value[-1] != 0x52 or not 0x30 <= value[0] <= 0x39:
        raise NotLeanError("there is no reference where one should be")
    number, generation, _r = value.split()
    return int(number), int(generation)


def integer(value: bytes | None) -> int:
    """A direct, non-negative integer."""
    if value is None or not value.isdigit():
        raise NotLeanError("there is no whole number where one should be")
    return int(value)
