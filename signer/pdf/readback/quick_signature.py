"""The quick way to the signature in the usual update: the newest cross-reference section and all that leads to the seal lie in the suffix.

It reads a strict subset of PDF with one compiled pattern for each object on the way. It never refuses: whatever is spelled in another way
gives None, and the general ``Reader`` judges. What it finds, the general reader finds in the same place (tests hold both together).
"""

from __future__ import annotations

import re
import zlib
from binascii import unhexlify
from typing import Final, NamedTuple

from signer.pdf.readback.syntax import unescape

_DEEPEST: Final = 4  # nesting of values that is read here, in catalog and form
_SHALLOW: Final = 2  # in what the writers make by themselves: cross-references, field, signature
_END_BYTES: Final = 64  # where startxref is looked for
_MOST_ROWS_BYTES: Final = 1024 * 1024  # of a cross-reference stream that is read here
_LENGTH_DIGITS: Final = 12  # tag and length of any CMS that fits into a hole

_W: Final = rb"[\x00\t\n\x0c\r ]"
_DELIMITED: Final = rb"(?=[\x00\t\n\x0c\r ()<>\[\]{}/%])"
_NAME: Final = rb"/[^\x00\t\n\x0c\r ()<>\[\]{}/%#]++"  # no escapes: one name has one spelling here
_REFERENCE: Final = rb"\d{1,10}%b++\d{1,5}%b++R(?![A-Za-z0-9])" % (_W, _W)
_SIMPLE: Final = rb"%b|%b|[+-]?+(?:\d++\.?+\d*+|\.\d++)|\((?>[^()\\]++|\\.)*+\)|<[0-9A-Fa-f]*+>|(?:true|false|null)(?![A-Za-z0-9])" % (
    _NAME,
    _REFERENCE,
)


def value_pattern(depth: int) -> bytes:
    """A value with that much nesting. Each level doubles the expression, which is compiled anew in every process."""
    if depth == 0:
        return rb"(?>%b)" % _SIMPLE
    inner = value_pattern(depth - 1)
    return rb"(?>%b|\[(?>%b*+%b)*+%b*+\]|<<(?>%b*+%b%b*+%b)*+%b*+>>)" % (_SIMPLE, _W, inner, _W, _W, _NAME, _W, inner, _W)


def _entries_pattern(first_group: int, *wanted: bytes, never: bytes = b"", depth: int = _SHALLOW, wanted_depth: int = 1) -> bytes:
    """Entries of a dictionary, in any order; the values of the wanted ones are groups, and none of these is there twice."""
    value, other_value = value_pattern(wanted_depth), value_pattern(depth)
    keys = b"|".join((*wanted, never) if never else wanted)
    each = [rb"%b%b%b*+(?(%d)(?!)|(%b))" % (key, _DELIMITED, _W, group, value) for group, key in enumerate(wanted, first_group)]
    other = rb"(?!(?:%b)%b)%b%b*+%b" % (keys, _DELIMITED, _NAME[1:], _W, other_value)
    return rb"(?>%b*+/(?>%b))*+%b*+" % (_W, b"|".join((*each, other)), _W)


_HEAD: Final = rb"(\d{1,10})%b++\d{1,5}%b++obj%b*+<<" % (_W, _W, _W)
_CLOSE: Final = rb">>%b*+endobj" % _W
_ROW: Final = rb"\d{10} \d{5} [nf](?: \r| \n|\r\n)"  # 20 bytes (ISO 32000-2 §7.5.4)
_ROW_BYTES: Final = 20
_ROWS: Final = rb"\d{1,10} \d{1,10} ?+\r?+\n(?>%b)++" % _ROW


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


_STARTXREF: Final = _compiled(rb"startxref%b++(\d{1,12})%b++%%%%EOF%b*+\Z" % (_W, _W, _W))
_TABLE: Final = _compiled(
    rb"xref ?+\r?+\n((?>%b)++)trailer%b*+<<%b>>%b*+startxref" % (_ROWS, _W, _entries_pattern(2, b"Root", never=b"Encrypt"), _W)
)
_SUBSECTION: Final = _compiled(rb"(\d{1,10}) (\d{1,10}) ?+\r?+\n((?>%b)++)" % _ROW)
_STREAM_KEYS: Final = (b"Root", b"Type", b"W", b"Index", b"Size", b"Length", b"Filter")
_STREAM: Final = _compiled(_HEAD + _entries_pattern(2, *_STREAM_KEYS, never=b"Encrypt|DecodeParms") + rb">>%b*+stream\r?+\n" % _W)
_STREAM_END: Final = _compiled(rb"%b*+endstream" % _W)
_CATALOG: Final = _compiled(_HEAD + _entries_pattern(2, b"AcroForm", depth=_DEEPEST, wanted_depth=_DEEPEST - 1) + _CLOSE)
_FORM: Final = _compiled(_HEAD + _entries_pattern(2, b"Fields", depth=_DEEPEST) + _CLOSE)
_FORM_INLINE: Final = _compiled(b"(<<)" + _entries_pattern(2, b"Fields", depth=_DEEPEST) + b">>")
_FIELD: Final = _compiled(_HEAD + _entries_pattern(2, b"FT", b"T", b"V") + _CLOSE)
_BEFORE_HOLE: Final = _compiled(_HEAD + _entries_pattern(2, b"ByteRange", never=b"Contents") + rb"/Contents%b*+<(?=[0-9A-Fa-f])" % _W)
_BEHIND_HOLE: Final = _compiled(_entries_pattern(1, b"ByteRange", never=b"Contents") + _CLOSE)


class Found(NamedTuple):
    """The hole (from ``<`` to behind ``>``, offsets in the suffix) and the DER value in it; behind it the hole is zeros."""

    contents: bytes
    start: int
    end: int


class _OtherwiseError(Exception):
    """The update is spelled in a way that is for the general reader."""


def find(suffix: bytes, document_size_bytes: int, field_name: str) -> Found | None:
    """Startxref → cross-references → catalog → form → its last field → its signature, all within ``suffix``; None where that is not so."""
    try:
        return _find(suffix, document_size_bytes, field_name)
    except (_OtherwiseError, ValueError, LookupError, zlib.error):
        return None


def _find(suffix: bytes, base: int, field_name: str) -> Found:
    section = _newest_section(suffix, base)
    form = section.object(section.root, _CATALOG)[2]
    if form is None:
        raise _OtherwiseError
    inline = _FORM_INLINE.fullmatch(form)
    fields = (inline or section.object(form, _FORM))[2]
    if fields is None or fields[:1] != b"[":
        raise _OtherwiseError
    _number, kind, name, signature = section.object(b" ".join(fields[1:-1].split()[-3:]), _FIELD).groups()
    if kind != b"/Sig" or name is None or signature is None or _text(name) != field_name:
        raise _OtherwiseError
    return _signature(suffix, base, section.object(signature, _BEFORE_HOLE))


class _Section:
    """The newest cross-reference section: a table."""

    __slots__ = ("_base", "_suffix", "_table", "root")

    def __init__(self, suffix: bytes, base: int, root: bytes | None, table: bytes) -> None:
        if root is None:
            raise _OtherwiseError
        self._suffix, self._base, self.root = suffix, base, root
        self._table = [(int(first), int(count) * _ROW_BYTES, rows) for first, count, rows in _SUBSECTION.findall(table)]

    def object(self, reference: bytes, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """What is referred to, matched; the pattern begins with the object's head."""
        number, _generation, letter = reference.split()
        if letter != b"R":
            raise _OtherwiseError
        offset = self._offset(int(number)) - self._base
        match = pattern.match(self._suffix, offset) if offset >= 0 else None
        if match is None or (match[1] != number and int(match[1]) != int(number)):
            raise _OtherwiseError
        return match

    def _offset(self, number: int) -> int:
        found = None
        for first, size_bytes, rows in self._table:
            if size_bytes != len(rows):
                raise _OtherwiseError
            if 0 <= (place := (number - first) * _ROW_BYTES) < size_bytes:
                found = rows[place : place + _ROW_BYTES]  # a later row counts
        if found is None or found[17] != ord("n"):
            raise _OtherwiseError
        return int(found[:10])


class _StreamSection(_Section):
    """The same from a cross-reference stream (ISO 32000-2 §7.5.8)."""

    __slots__ = ("_index", "_rows", "_widths")

    def __init__(self, suffix: bytes, base: int, root: bytes | None, *, rows: bytes, widths: list[int], index: list[int]) -> None:
        super().__init__(suffix, base, root, b"")
        if len(widths) != 3 or not 0 < widths[1] <= 8 or max(widths) > 8 or min(widths) < 0 or min(index) < 0:
            raise _OtherwiseError
        if sum(index[1::2]) * sum(widths) > len(rows):
            raise _OtherwiseError
        self._rows, self._widths, self._index = rows, widths, index

    def _offset(self, number: int) -> int:
        kind_bytes, place_bytes, other_bytes = self._widths
        index, before, row = self._index, 0, -1
        for i in range(0, len(index), 2):
            if 0 <= number - index[i] < index[i + 1]:
                row = before + number - index[i]  # a later row counts
            before += index[i + 1]
        at = row * (kind_bytes + place_bytes + other_bytes)
        if row < 0 or (kind_bytes and int.from_bytes(self._rows[at : at + kind_bytes], "big") != 1):
            raise _OtherwiseError
        at += kind_bytes
        return int.from_bytes(self._rows[at : at + place_bytes], "big")


def _newest_section(suffix: bytes, base: int) -> _Section:
    end = _STARTXREF.search(suffix, max(0, len(suffix) - _END_BYTES))
    offset = int(end[1]) - base if end else -1
    if end is None or offset < 0:
        raise _OtherwiseError
    table = _TABLE.match(suffix, offset)
    if table is None:
        return _stream_section(suffix, base, offset)
    if table.end() != end.start() + len(b"startxref"):
        raise _OtherwiseError
    return _Section(suffix, base, table[2], table[1])


def _stream_section(suffix: bytes, base: int, offset: int) -> _Section:
    head = _STREAM.match(suffix, offset)
    if head is None:
        raise _OtherwiseError
    _number, root, kind, widths, index, size, length, coding = head.groups()
    start = head.end()
    end = start + int(length)
    if kind != b"/XRef" or coding not in (None, b"/FlateDecode") or not start <= end or _STREAM_END.match(suffix, end) is None:
        raise _OtherwiseError
    rows = suffix[start:end] if coding is None else zlib.decompressobj().decompress(suffix[start:end], _MOST_ROWS_BYTES)
    numbers = _integers(index) if index is not None else [0, int(size)]
    return _StreamSection(suffix, base, root, rows=rows, widths=_integers(widths), index=numbers)


def _integers(array: bytes) -> list[int]:
    return [int(each) for each in array[1:-1].split()] if array[:1] == b"[" else []


def _text(literal: bytes) -> str:
    raw = literal[1:-1]
    if b"\\" in raw:
        raw = unescape(raw)
    if literal[:1] != b"(" or raw[:2] == b"\xfe\xff":
        raise _OtherwiseError
    return raw.decode("latin-1")


def _signature(suffix: bytes, base: int, before: re.Match[bytes]) -> Found:
    """Each side of the hole is whole entries by itself: so it is the value of this dictionary's own, only /Contents."""
    start = before.end() - 1
    end = suffix.index(b">", start) + 1
    behind = _BEHIND_HOLE.match(suffix, end)
    if behind is None or (before[2] is None) == (behind[1] is None):
        raise _OtherwiseError
    byte_range, expected = before[2] or behind[1], (0, base + start, base + end, len(suffix) - end)
    if byte_range != b"[%d %d %d %d]" % expected and tuple(_integers(byte_range)) != expected:
        raise _OtherwiseError
    return Found(_decoded(suffix, start + 1, end - 1), start, end)


def _decoded(suffix: bytes, start: int, end: int) -> bytes:
    """The DER value at the beginning of these digits; all behind it must be zeros."""
    head = unhexlify(suffix[start : min(start + _LENGTH_DIGITS, end)])
    count = head[1] & 0x7F if head[1] & 0x80 else 0
    size = 2 + count + int.from_bytes(head[2 : 2 + count], "big") if count else 2 + head[1]
    behind = start + 2 * size
    if count > 4 or behind > end or suffix.count(b"0", behind, end) != end - behind:
        raise _OtherwiseError
    return unhexlify(suffix[start:behind])
