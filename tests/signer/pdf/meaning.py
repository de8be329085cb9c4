"""Do two prepared files mean the same? Compared by outside readers: object by object from the trailer on, whatever their numbers are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pikepdf
from pyhanko.pdf_utils.reader import PdfFileReader

from signer.pdf.plan import Prepared

_OF_THE_FILE = {"/Size", "/Prev", "/Length", "/Filter", "/DecodeParms", "/W", "/Index", "/Type", "/XRefStm"}
_OF_THE_CODING = {"/Length", "/Filter", "/DecodeParms"}
MOST_PAIRS = 20_000


def differences(document: bytes, one: Prepared, other: Prepared) -> list[str]:
    """What two updates of one document tell differently, as paths from the trailer; empty where they mean the same."""
    facts = (one.hole_size_bytes, one.field_name, one.warnings), (other.hole_size_bytes, other.field_name, other.warnings)
    result = [] if facts[0] == facts[1] else [f"{facts[0]} is not {facts[1]}"]
    with _opened(document + one.suffix) as left, _opened(document + other.suffix) as right:
        result += _Comparison(one, other).of(left, right)
    return result


def _opened(file: bytes) -> pikepdf.Pdf:
    return pikepdf.open(io.BytesIO(file), suppress_warnings=True)


class _Comparison:
    """Two graphs are the same when every path leads to the same; loops end where a pair of objects was met before."""

    def __init__(self, one: Prepared, other: Prepared) -> None:
        self._ranges: Any = (list(one.byte_range), list(other.byte_range))
        self._met: set[tuple[tuple[int, int], tuple[int, int]]] = set()
        self._stack: list[tuple[str, Any, Any]] = []

    def of(self, left: pikepdf.Pdf, right: pikepdf.Pdf) -> list[str]:
        trailers = [{key: value for key, value in dict(file.trailer).items() if key not in _OF_THE_FILE} for file in (left, right)]
        found = list(self._entries("", *trailers))
        while self._stack and len(found) < 10 and len(self._met) < MOST_PAIRS:
            found += self._compared(*self._stack.pop())
        return found

    def _entries(self, path: str, one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
        if one.keys() != other.keys():
            yield f"{path}: {sorted(one)} is not {sorted(other)}"
            return
        self._stack += [(f"{path}{key}", one[key], other[key]) for key in one]

    def _compared(self, path: str, one: Any, other: Any) -> Iterator[str]:
        if isinstance(one, pikepdf.Object) and isinstance(other, pikepdf.Object) and one.is_indirect and other.is_indirect:
            pair = (one.objgen, other.objgen)
            if pair in self._met:
                return
            self._met.add(pair)
        unlike = type(one) is not type(other) or (isinstance(one, pikepdf.Object) and one._type_code != other._type_code)
        if unlike and not _numbers(one, other):
            yield f"{path}: {one!r} is not {other!r}"
            return
        if isinstance(one, pikepdf.Stream):
            if one.objgen != other.objgen and one.read_raw_bytes() != other.read_raw_bytes() and _data(one) != _data(other):
                yield f"{path}: other data"
            yield from self._entries(path, _uncoded(one), _uncoded(other))
        elif isinstance(one, pikepdf.Dictionary):
            yield from self._entries(path, dict(one.items()), dict(other.items()))
        elif isinstance(one, pikepdf.Array):
            if path.endswith("/ByteRange") and (list(one), list(other)) == self._ranges:
                return
            if len(one) != len(other):
                yield f"{path}: {len(one)} are not {len(other)} elements"
                return
            self._stack += [(f"{path}[{i}]", one[i], other[i]) for i in range(len(one))]
        elif isinstance(one, pikepdf.String):
            if bytes(one) != bytes(other) and str(one) != str(other):
                yield f"{path}: {one!r} is not {other!r}"
        elif _numbers(one, other):
            if abs(float(one) - float(other)) > 1e-6:
                yield f"{path}: {one!r} is not {other!r}"
        elif one != other:
            yield f"{path}: {one!r} is not {other!r}"


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values)


def _uncoded(stream: pikepdf.Stream) -> dict[str, Any]:
    return {key: value for key, value in stream.stream_dict.items() if key not in _OF_THE_CODING}


def _data(stream: pikepdf.Stream) -> bytes:
    return stream.read_bytes(pikepdf.StreamDecodeLevel.generalized)


def rewritten(file: bytes) -> set[tuple[int, int]]:
    """Numbers and generations that the last cross-reference section of a file names."""
    reader = PdfFileReader(io.BytesIO(file), strict=False)
    last = reader.xrefs.get_xref_data(reader.total_revisions - 1)
    return {(number, generation) for number, (generation, _offset) in last.standard_xrefs.items()} | {
        (number, 0) for number in last.xrefs_in_objstm
    }


def root_and_form(document: bytes) -> set[tuple[int, int]]:
    """The objects that the lean writer writes anew even where nothing in them changes: catalog and form."""
    root = PdfFileReader(io.BytesIO(document), strict=False).trailer.raw_get("/Root")
    form: Any = dict.get(root.get_object(), "/AcroForm")
    found = {(root.idnum, root.generation)}
    return found | {(form.idnum, form.generation)} if hasattr(form, "idnum") else found


def digest_is_right(document: bytes, prepared: Prepared, hash_name: str = "sha256") -> bool:
    """Over both ranges, which leave out the hole and nothing else."""
    file = document + prepared.suffix
    _start, first, second, rest = prepared.byte_range
    hole = file[first:second]
    whole = second + rest == len(file) and hole == b"<" + b"0" * (2 * prepared.hole_size_bytes) + b">"
    return whole and hashlib.new(hash_name, file[:first] + file[second:]).digest() == prepared.digest
