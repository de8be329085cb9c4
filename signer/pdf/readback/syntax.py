"""PDF values as bytes spell them (ISO 32000-2 §7.3), for the small reader that reads sealed documents back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

DEEPEST: Final = 100  # nesting of arrays and dictionaries

WHITE: Final = b"\x00\t\n\x0c\r "
BLANK: Final = rb"(?:[\x00\t\n\x0c\r ]|%[^\r\n]*[\r\n])*"
_LONGEST_COMMENT_BYTES: Final = 128  # between the parts of a reference
# Between the parts of a reference that is searched for: a longer comment is not read, or each place in one could be the start of another search.
BETWEEN: Final = rb"(?=[\x00\t\n\x0c\r %%])[\x00\t\n\x0c\r ]*+(?:%%[^\r\n]{0,%d}+[\r\n][\x00\t\n\x0c\r ]*+)*+" % _LONGEST_COMMENT_BYTES
_VALUE: Final = (
    rb"(?:(?P<open><<|\[)|(?P<close>>>|\])|/(?P<name>[^\x00\t\n\x0c\r ()<>\[\]{}/%]*)|<(?P<hex>[0-9A-Fa-f\x00\t\n\x0c\r ]*)>"
    rb"|(?P<literal>\()|(?P<ref>(?P<numbered>\d{1,10})[\x00\t\n\x0c\r ]+(?P<generation>\d{1,5})[\x00\t\n\x0c\r ]+R(?![a-zA-Z0-9]))"
    rb"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))|(?P<word>[^\x00\t\n\x0c\r ()<>\[\]{}/%]+))"
)
_TOKEN: Final = re.compile(BLANK + _VALUE)
_STRICT_TOKEN: Final = re.compile(rb"[\x00\t\n\x0c\r ]*" + _VALUE)
_ESCAPED: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_IN_LITERAL: Final = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|\r\n|.)", re.DOTALL)
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}
# Where PDFDocEncoding differs from Latin-1 (ISO 32000-2 Annex D.2).
_DOCUMENT_ENCODING: Final = {0xA0: "€"} | dict(
    zip((*range(0x18, 0x20), *range(0x80, 0x9F)), "˘ˇˆ˙˝˛˚˜•†‡…—–ƒ⁄‹›−‰„“”‘’‚™ﬁﬂŁŒŠŸŽıłœšž\ufffd", strict=False)
)
_DELIMITERS: Final = WHITE + b"()<>[]{}/%"
_WORDS: Final = {b"true": True, b"false": False, b"null": None}


class UnreadableError(Exception):
    """The file does not have the form that this reader understands; the message says what is wrong where."""


class DisagreementError(UnreadableError):
    """Readers take the document in different ways: it is the document's fault, whoever wrote the update."""


class Name(str):
    """A PDF name, without its slash."""

    __slots__ = ()


class Doubtful(dict[str, Any]):
    """A dictionary that has ``key`` twice; the first one is in it."""

    key = ""


@dataclass(frozen=True, slots=True)
class Ref:
    """An indirect reference."""

    number: int
    generation: int


@dataclass(frozen=True, slots=True)
class Hex:
    """A hexadecimal string and where it stands: from ``<`` to behind ``>``."""

    value: bytes
    start: int
    end: int


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same, however strings and numbers are spelled; an entry that is null is none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    texts = [each.value if isinstance(each, Hex) else each for each in (one, other)]
    if all(isinstance(each, bytes) for each in texts):
        return texts[0] == texts[1] or plain_text(texts[0]) == plain_text(texts[1])
    if isinstance(one, float) or isinstance(other, float):
        return isinstance(one, int | float) and isinstance(other, int | float) and abs(one - other) <= 1e-6 * max(1, abs(one))
    return type(one) is type(other) and bool(one == other)


def plain_text(value: Any) -> str | None:
    """Of a text string (ISO 32000-2 §7.9.2.2); None of anything else."""
    raw = value.value if isinstance(value, Hex) else value
    if not isinstance(raw, bytes):
        return None
    if raw.startswith(b"\xfe\xff"):
        return raw[2:].decode("utf-16-be", "replace")
    return raw.decode("latin-1").translate(_DOCUMENT_ENCODING)


def parse(data: bytes, position: int, depth: int = 0, *, strict: bool = False) -> tuple[Any, int]:
    """The value at ``position`` and where it ends.

    ``strict``: only what all readers take alike: no comments or odd blanks, no words that PDF does not have, no key twice in a dictionary.
    """
    token = (_STRICT_TOKEN if strict else _TOKEN).match(data, position)
    if token is None:
        raise UnreadableError(f"there is no value at {position}")
    return _value(data, token, depth, strict)


def _value(data: bytes, token: re.Match[bytes], depth: int, strict: bool) -> tuple[Any, int]:
    """The value that begins with this token."""
    kind, end = token.lastgroup, token.end()
    if depth <= DEEPEST and not (strict and (b"\x00" in token[0] or b"\x0c" in token[0])):
        if kind == "name":
            raw = token[kind]
            raw = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), raw) if b"#" in raw else raw
            return Name(raw.decode("latin-1")), end
        if kind == "ref":
            return Ref(int(token["numbered"]), int(token["generation"])), end
        if kind == "open":
            return (_dictionary if token[kind] == b"<<" else _array)(data, end, depth, strict)
        if kind == "number" and (not strict or data[end : end + 1] in _DELIMITERS):
            return (float(token[kind]) if b"." in token[kind] else int(token[kind])), end
        if kind == "literal":
            return _literal(data, end)
        if kind == "hex":
            digits = token[kind].translate(None, b"\x00\t\n\x0c\r ")
            return Hex(bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii")), token.start(kind) - 1, end), end
        if kind == "word" and (token[kind] in _WORDS or not strict):
            return _WORDS.get(token[kind]), end
    raise UnreadableError(f"there is no value at {token.start()}")


def _tokens(data: bytes, strict: bool) -> Callable[[int], re.Match[bytes]]:
    """What reads the token at a position of ``data``, within a value that has begun."""
    match = (_STRICT_TOKEN if strict else _TOKEN).match

    def at(position: int) -> re.Match[bytes]:
        token = match(data, position)
        if token is None:
            raise UnreadableError("the file ends within a value")
        return token

    return at


def _array(data: bytes, position: int, depth: int, strict: bool) -> tuple[list[Any], int]:
    at, values = _tokens(data, strict), []
    while (token := at(position))["close"] != b"]":
        value, position = _value(data, token, depth + 1, strict)
        values.append(value)
    return values, token.end()


def _dictionary(data: bytes, position: int, depth: int, strict: bool) -> tuple[dict[str, Any], int]:
    at, values = _tokens(data, strict), dict[str, Any]()
    while (token := at(position))["close"] != b">>":
        key, position = _value(data, token, depth + 1, strict)
        if not isinstance(key, Name):
            raise UnreadableError(f"a dictionary has no name before {position}")
        value, position = parse(data, position, depth + 1, strict=strict)
        if key not in values:
            values[key] = value
            continue
        if strict:
            raise UnreadableError(f"a dictionary has /{key} twice")
        # Kept readable: a document may have such objects where no seal touches them. ``ambiguity``
        # refuses those that it does.
        values = Doubtful(values)
        values.key = key
    return values, token.end()


def _literal(data: bytes, position: int) -> tuple[bytes, int]:
    """A string in parentheses (ISO 32000-2 §7.3.4.2)."""
    depth, start = 1, position
    while depth:
        match = _IN_LITERAL.search(data, position)
        if match is None:
            raise UnreadableError("the file ends within a string")
        depth += {b"(": 1, b")": -1}.get(match[0], 0)
        position = match.end()
    return unescape(data[start : position - 1]), position


def unescape(literal: bytes) -> bytes:
    """What stands between the parentheses of a string, with its escapes undone (ISO 32000-2 table 3)."""
    return _ESCAPE.sub(_unescaped, literal)


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if escape.isdigit():
        return bytes((int(escape, 8) & 0xFF,))
    return _ESCAPES.get(escape, escape)
