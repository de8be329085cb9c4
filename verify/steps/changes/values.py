"""PDF values as plain Python data, and a strict parser for them (ISO 32000-2 §7.3).

What was appended to a sealed file is read by this parser alone: what it does not take is no proper update, however a lenient
reader would understand it.

A name is ``str`` with its slash, a string ``bytes``, an array ``list``, a dictionary ``dict``.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

from pyhanko.pdf_utils import generic

from verify.facts import FactError

Value = Any
"""None, bool, int, Decimal, str, bytes, list, dict, Ref or Stream."""

MOST_DECODED_BYTES: Final = 32 * 1024 * 1024
MOST_LEVELS: Final = 40
_SPACE = rb"[\0\t\n\f\r ]"
_END = rb"(?=[\0\t\n\f\r ()<>\[\]{}/%]|$)"
_TOKEN = re.compile(
    rb"%b*(?:(?P<reference>(\d{1,10})%b{1,4}(\d{1,5})%b{1,4}R)%b|(?P<number>[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20}))%b"
    rb"|(?P<name>/[^\0\t\n\f\r ()<>\[\]{}/%%]*)|(?P<open><<|\[)|(?P<close>>>|\])|<(?P<hex>[0-9A-Fa-f\0\t\n\f\r ]*)>|(?P<text>\()"
    rb"|(?P<word>true|false|null)%b)" % (_SPACE, _SPACE, _SPACE, _END, _END, _END)
)
_WORDS = {b"true": True, b"false": False, b"null": None}
_TEXT_PART = re.compile(rb"[()\\]")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"(": b"(", b")": b")", b"\\": b"\\"}
_OCTAL = re.compile(rb"[0-7]{1,3}")
_NOT_ASCII, _NOT_LATIN_1 = 0x80, 0x100
BOXES: Final = frozenset({"/MediaBox", "/CropBox", "/BleedBox", "/TrimBox", "/ArtBox", "/Rect", "/BBox", "/Matrix"})
_EITHER: Final = "#?"  # ends a name that could be one of two
_NAME_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})?")


class IrregularError(FactError):
    """What was appended is no proper update, and in which way."""


class Ref(NamedTuple):
    """An indirect reference."""

    number: int
    generation: int


@dataclass(frozen=True)
class Stream:
    """``data`` as it stands in the file, encoded."""

    entries: dict[str, Value]
    data: bytes


def parse(data: bytes, at: int, level: int = 0) -> tuple[Value, int]:
    """The value that begins at ``at``, and where it ends; raises IrregularError."""
    token = _TOKEN.match(data, at)
    if token is None or level > MOST_LEVELS:
        raise IrregularError("syntax")
    kind, end = token.lastgroup, token.end()
    if token["reference"] is not None:
        return Ref(int(token[2]), int(token[3])), end
    match kind:
        case "number":
            return number(token["number"]), end
        case "name":
            return name(token["name"]), end
        case "word":
            return _WORDS[token["word"]], end
        case "hex":
            digits = b"".join(token["hex"].translate(None, b"\0").split())
            return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii")), end
        case "text":
            return _text(data, end)
        case "open":
            return _members(data, end, level) if token["open"] == b"<<" else _elements(data, end, level)
    raise IrregularError("syntax")


def _elements(data: bytes, at: int, level: int) -> tuple[list[Value], int]:
    found: list[Value] = []
    while not (close := _TOKEN.match(data, at)) or close["close"] is None:
        value, at = parse(data, at, level + 1)
        found.append(value)
    if close["close"] != b"]":
        raise IrregularError("syntax")
    return found, close.end()


def _members(data: bytes, at: int, level: int) -> tuple[dict[str, Value], int]:
    found: dict[str, Value] = {}
    while not (close := _TOKEN.match(data, at)) or close["close"] is None:
        if close is None or close["name"] is None:
            raise IrregularError("syntax")
        key = name(close["name"])
        value, at = parse(data, close.end(), level + 1)
        if key in found:
            raise IrregularError("key_twice")
        found[key] = value
    if close["close"] != b">>":
        raise IrregularError("syntax")
    return found, close.end()


def number(text: bytes) -> int | Decimal:
    """A number's value."""
    return Decimal(text.decode("ascii")) if b"." in text else int(text)


def name(text: bytes) -> str:
    """A name with its slash; different bytes give different names. What is no UTF-8 is escaped, and so is a number sign."""

    def byte(escape: re.Match[bytes]) -> bytes:
        if escape[1] is None or escape[1] == b"00":
            raise IrregularError("syntax")
        return bytes.fromhex(escape[1].decode("ascii"))

    raw = _NAME_ESCAPE.sub(byte, text)
    try:
        return raw.decode("utf-8").replace("#", "#23")
    except UnicodeDecodeError:
        return "".join(chr(each) if each < _NOT_ASCII and each != ord("#") else f"#{each:02x}" for each in raw)


def _name_from_pyhanko(found: str) -> str:
    """pyHanko takes what is no UTF-8 for Latin-1, so that some of its names could be either."""
    highest = ord(max(found, default="/"))
    return found.replace("#", "#23") + (_EITHER if _NOT_ASCII <= highest < _NOT_LATIN_1 else "")


def is_certain(value: Value) -> bool:
    """Whether no name in it could be one of two."""
    if isinstance(value, Stream):
        value = value.entries
    if isinstance(value, dict):
        return all(not key.endswith(_EITHER) and is_certain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(is_certain, value))
    return not (isinstance(value, str) and value.endswith(_EITHER))


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    parts, depth = [], 1
    while True:
        special = _TEXT_PART.search(data, at)
        if special is None:
            raise IrregularError("syntax")
        parts.append(data[at : special.start()])
        at, sign = special.end(), special.group()
        if sign == b"\\":
            part, at = _escape(data, at)
            parts.append(part)
            continue
        depth += 1 if sign == b"(" else -1
        if depth == 0:
            return b"".join(parts), at
        parts.append(sign)


def _escape(data: bytes, at: int) -> tuple[bytes, int]:
    octal = _OCTAL.match(data, at)
    if octal is not None:
        return bytes([int(octal.group(), 8) & 0xFF]), octal.end()
    sign = data[at : at + 1]
    if sign in {b"\r", b"\n"}:
        return b"", at + (2 if data[at : at + 2] == b"\r\n" else 1)
    return _ESCAPES.get(sign, sign), at + 1


def pdf_text(text: bytes) -> str:
    """A text string: PDFDocEncoding, or Unicode with a byte order mark (ISO 32000-2 §7.9.2.2); what has no meaning is U+FFFD."""
    for mark, encoding in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"), (b"\xef\xbb\xbf", "utf-8")):
        if text.startswith(mark):
            return text[len(mark) :].decode(encoding, "replace")
    return "".join(map(_pdf_letter, text))


def is_text(text: bytes) -> bool:
    """Whether it is one to the letter: what has no meaning, and UTF-16 the other way round, some readers take for other letters."""
    return not text.startswith(b"\xff\xfe") and "\ufffd" not in pdf_text(text)


@cache
def _pdf_letter(code: int) -> str:
    if code in b"\0\t\n\r":  # some writers end a text with NUL, in whichever encoding
        return chr(code)
    try:
        return str(generic.decode_pdfdocencoding(bytes([code])))
    except UnicodeDecodeError:
        return "\ufffd"


def decoded(stream: Stream, limit: int = MOST_DECODED_BYTES) -> bytes:
    """A stream's data: plain, or by FlateDecode with at most a PNG predictor; raises IrregularError."""
    filters, parameters = stream.entries.get("/Filter"), stream.entries.get("/DecodeParms")
    filters = filters[0] if isinstance(filters, list) and len(filters) == 1 else filters
    parameters = parameters[0] if isinstance(parameters, list) and len(parameters) == 1 else parameters
    if filters is None and parameters is None:
        return stream.data
    if filters != "/FlateDecode":
        raise IrregularError("stream_filter")
    engine = zlib.decompressobj()
    try:
        data = engine.decompress(stream.data, limit)
    except zlib.error:
        raise IrregularError("stream_data") from None
    if not engine.eof or engine.unused_data.strip(b"\r\n"):
        raise IrregularError("stream_data")
    return data if parameters is None else _unpredicted(data, parameters)


def _unpredicted(data: bytes, parameters: Value) -> bytes:
    """PNG predictors None and Up, 8 bits a sample and one colour: as cross-reference streams use them (ISO 32000-2 §7.4.4.4)."""
    if not isinstance(parameters, dict) or parameters.keys() - {"/Predictor", "/Columns", "/Colors", "/BitsPerComponent"}:
        raise IrregularError("stream_predictor")
    predictor, columns = parameters.get("/Predictor", 1), parameters.get("/Columns", 1)
    if predictor == 1:
        return data
    if predictor not in range(10, 16) or not isinstance(columns, int) or not 0 < columns < 256:
        raise IrregularError("stream_predictor")
    if parameters.get("/Colors", 1) != 1 or parameters.get("/BitsPerComponent", 8) != 8 or len(data) % (columns + 1):
        raise IrregularError("stream_predictor")
    row, rows = bytes(columns), []
    for at in range(0, len(data), columns + 1):
        line = data[at + 1 : at + 1 + columns]
        if data[at] not in (0, 2):
            raise IrregularError("stream_predictor")
        row = bytes((a + b) & 0xFF for a, b in zip(line, row, strict=True)) if data[at] else line
        rows.append(row)
    return b"".join(rows)


def same(one: Value, other: Value) -> bool:
    """Whether two values are the same in type and content; references are compared, not followed.

    2 is not 2.0: a reader may take flags, counts or an angle from an integer alone. Of boxes all readers take both.
    """
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(value, other[key]) or (key in BOXES and same_box(value, other[key])) for key, value in one.items()
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Stream):
        return one.data == other.data and same(one.entries, other.entries)
    return bool(one == other)


def same_box(one: Value, other: Value) -> bool:
    """Whether two arrays hold the same numbers, as integers or not."""
    return (
        isinstance(one, list)
        and isinstance(other, list)
        and len(one) == len(other)
        and all(is_number(each) and is_number(its) and each == its for each, its in zip(one, other, strict=True))
    )


def is_number(value: Value) -> bool:
    """Whether it is an integer or a real."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def from_pyhanko(found: Any) -> Value:
    """What pyHanko's reader gives, as plain data; raises ValueError for what has no plain form."""
    match found:
        case None | generic.NullObject():
            return None
        case generic.IndirectObject():
            return Ref(found.idnum, found.generation)
        case generic.StreamObject():
            entries = {_name_from_pyhanko(key): from_pyhanko(value) for key, value in dict.items(found)}
            return Stream(entries, found.encoded_data)
        case generic.DictionaryObject():
            return {_name_from_pyhanko(key): from_pyhanko(value) for key, value in dict.items(found)}
        case generic.ArrayObject():
            return [from_pyhanko(value) for value in list.__iter__(found)]
        case generic.BooleanObject():
            return bool(found.value)
        case generic.NameObject():
            return _name_from_pyhanko(found)
        case generic.TextStringObject() | generic.ByteStringObject():
            return bytes(found.original_bytes)
        case generic.NumberObject():
            return int(found)
        case generic.FloatObject():
            return Decimal(str(found))
    raise ValueError(type(found).__name__)
