"""Objects packed in streams are read as pyHanko itself reads them, and each stream's head once."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from signer.pdf.full.packed import Reader
from tests.conftest import EXAMPLES

OBJECTS = 3_000


def _written(reader: PdfFileReader, numbers: Iterable[int]) -> dict[int, bytes]:
    found = {}
    for number in numbers:
        target = BytesIO()
        value: Any = reader.get_object(generic.Reference(number, 0, reader))
        value.write_to_stream(target, None)
        found[number] = target.getvalue()
    return found


def _packed_document() -> bytes:
    with pikepdf.new() as document:
        document.add_blank_page()
        document.Root.Many = pikepdf.Array(
            [document.make_indirect(pikepdf.Dictionary(Number=number, Text="x" * (number % 7))) for number in range(OBJECTS)]
        )
        target = BytesIO()
        document.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return target.getvalue()


def _same(document: bytes) -> int:
    with pikepdf.open(BytesIO(document)) as opened:
        numbers = [one.objgen[0] for one in opened.objects if isinstance(one, pikepdf.Dictionary) and one.objgen[1] == 0]
    assert _written(Reader(document), numbers) == _written(PdfFileReader(BytesIO(document), strict=False), numbers)
    return len(numbers)


def test_thousands_of_packed_objects_are_read_the_same() -> None:
    assert _same(_packed_document()) > OBJECTS


def test_the_examples_objects_are_read_the_same() -> None:
    files: list[Path] = [EXAMPLES / name for name in ("minutes-xref-stream.pdf", "contract-zh.pdf", "handbook-linearized.pdf")]
    assert sum(_same(file.read_bytes()) for file in files) > 30


def test_an_irregular_head_is_left_to_pyhanko() -> None:
    document = _packed_document()
    reader = Reader(document)
    theirs = PdfFileReader(BytesIO(document), strict=False)
    absent = 1_000_000
    assert reader._get_object_from_stream(absent, *_place(reader)) == theirs._get_object_from_stream(absent, *_place(theirs))


def _place(reader: PdfFileReader) -> tuple[int, int]:
    """Number of some object stream, and an index in it."""
    stream = next(iter(reader.xrefs.object_streams_used_in(0)))
    return stream.idnum, 0
