"""Parses values into Python objects, to a bounded depth, where copying them as they are is not enough (ISO 32000-2 §7.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from signer.pdf.lean.grammar import HEXADECIMAL, NAME, NUMBER, REFERENCE, SPACE, STRING, VALUE, Deep, NotLeanError
from signer.pdf.plan import Document
from signer.pdf.reasons import expanded

DEEPEST: Final = 64
_TOKEN: Final = re.compile(
    SPACE
    + rb"*+(?:(?P<name>"
    + NAME
    + rb")|(?P<reference>"
    + REFERENCE
    + rb")|(?P<number>"
    + NUMBER
    + rb")|(?P<open><<|\[)|(?P<close>>>|\])"
    rb"|(?P<string>" + STRING + rb"|" + HEXADECIMAL + rb")|(?P<word>true|false|null)(?=[\t\n\x0c\r ()<>\[\]/%]))"
)
_OPEN: Final = re.compile(SPACE + rb"*+<<")
_CLOSE: Final = re.compile(SPACE + rb"*+>>")
_KEY: Final = re.compile(SPACE + rb"*+/(" + NAME.removeprefix(b"/") + rb")" + SPACE + rb"*+")
_WORDS: Final = {b"true": True, b"false": False, b"null": None}


@dataclass(frozen=True, slots=True)
class Name:
    """A name without slash, escapes expanded."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """An indirect reference."""

    number: int
    generation: int


def parse(text: Document, position: int, most_bytes: int) -> tuple[Any, int]:
    """The value at ``position``, at most so long, and where it ends.

    A dict by name, list, Name, Reference, the bytes of a string as it stands, bool, None, or a number as ``float``.
    """
    end = position + most_bytes
    holders: list[tuple[bytes, list[Any]]] = []
    while True:
        token = _TOKEN.match(text, position, end)
        if token is None:
            raise NotLeanError("a value cannot be read")
        position = token.end()
        kind = token.lastgroup
        assert kind is not None
        raw = token[kind]
        if kind == "open":
            if len(holders) == DEEPEST:
                raise NotLeanError("values are nested too deep")
            holders.append((raw, []))
            continue
        if kind == "close":
            if not holders or (raw == b">>") != (holders[-1][0] == b"<<"):
                raise NotLeanError("brackets do not match")
            opened, content = holders.pop()
            value: Any = _dictionary(content) if opened == b"<<" else content
        else:
            value = _scalar(kind, raw)
        if not holders:
            return value, position
        holders[-1][1].append(value)


def _dictionary(content: list[Any]) -> dict[bytes, Any]:
    keys = content[::2]
    if len(content) % 2 or not all(isinstance(key, Name) for key in keys):
        raise NotLeanError("a dictionary has something else for a key")
    entries = dict(zip((key.value for key in keys), content[1::2], strict=True))
    if len(entries) != len(keys):
        raise NotLeanError("a dictionary has a key twice")
    return entries


def _scalar(kind: str, raw: bytes) -> Any:
    if kind == "name":
        return Name(expanded(raw[1:]) if b"#" in raw else raw[1:])
    if kind == "reference":
        number, generation, _r = raw.split()
        return Reference(int(number), int(generation))
    if kind == "number":
        return float(raw)
    return _WORDS[raw] if kind == "word" else raw


def deep_pairs(text: bytes) -> tuple[dict[bytes, bytes], int]:
    """Like ``grammar.pairs``, but token by token, for a dictionary at the beginning that may be nested deeper; and where it ends."""
    start = _OPEN.match(text)
    if start is None:
        raise NotLeanError("there is no dictionary where one should be")
    position = start.end()
    entries: dict[bytes, bytes] = {}
    while (key := _KEY.match(text, position)) is not None:
        _value, position = parse(text, key.end(), len(text))
        raw = text[key.end() : position]
        if key[1] in entries or b"#" in key[1]:
            raise NotLeanError("a dictionary has a key twice, or one with escapes")
        entries[key[1]] = raw if VALUE.fullmatch(raw) else Deep(raw)
    end = _CLOSE.match(text, position)
    if end is None:
        raise NotLeanError("a dictionary cannot be read")
    return entries, end.end()
