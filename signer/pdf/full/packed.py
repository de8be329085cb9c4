"""pyHanko's reader, made to read the head of an object stream once instead of once for every object in it (ISO 32000-2 §7.5.7).

With thousands of objects in a stream the repeated reading takes most of a minute. Whatever is irregular is left to pyHanko.
"""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic, misc
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.reader import PdfFileReader


@dataclass(frozen=True)
class _Packed:
    """An object stream, decoded: where in ``data`` each object begins, by its number."""

    data: bytes
    begins: dict[int, int]


class Reader(PdfFileReader):
    """A lenient reader of one document."""

    def __init__(self, file: bytes) -> None:
        self._packed: dict[int, _Packed | None] = {}
        super().__init__(BytesIO(file), strict=False)

    def object_streams(self) -> list[bytes]:
        """All object streams, decoded, including those that only the cross-reference stream of a hybrid file lists."""
        return [self.get_object(each).read_data(DecodePurpose.OBJECT_STREAM) for each in self._object_stream_references()]

    def _object_stream_references(self) -> set[generic.Reference]:
        found: set[generic.Reference] = set()
        for revision in range(self.total_revisions):
            found |= self.xrefs.object_streams_used_in(revision)
            hybrid = self.xrefs.get_xref_data(revision).hybrid
            if hybrid is not None:
                found |= {generic.Reference(number, pdf=self) for number in hybrid.xref_data.obj_streams_used}
        return found

    def _get_object_from_stream(self, idnum: int, stmnum: int, idx: int) -> Any:
        if stmnum not in self._packed:
            self._packed[stmnum] = self._unpack(stmnum)
        packed = self._packed[stmnum]
        if packed is None or idnum not in packed.begins:
            return super()._get_object_from_stream(idnum, stmnum, idx)
        source = BytesIO(packed.data)
        source.seek(packed.begins[idnum])
        try:
            value = generic.read_object(source, generic.Reference(idnum, 0, self))
        except (misc.PdfStreamError, misc.PdfReadError):
            return super()._get_object_from_stream(idnum, stmnum, idx)
        if isinstance(value, generic.StreamObject | generic.IndirectObject):  # neither is allowed in an object stream
            return super()._get_object_from_stream(idnum, stmnum, idx)
        return value

    def _unpack(self, stmnum: int) -> _Packed | None:
        """The head of the stream; None unless it is exactly as the standard says."""
        stream = generic.Reference(stmnum, 0, self).get_object()
        if not isinstance(stream, generic.StreamObject):
            return None
        try:
            count, first = int(stream["/N"]), int(stream["/First"])
            data = stream.read_data(DecodePurpose.OBJECT_STREAM)
            numbers = [int(word) for word in data[:first].split()]
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        begins = dict(zip(numbers[::2], (first + offset for offset in numbers[1::2]), strict=False))
        regular = len(numbers) == 2 * count and len(begins) == count and stream.get("/Type") == "/ObjStm"
        return _Packed(data, begins) if regular else None
