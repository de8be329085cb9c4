"""What is given in a PDF's place is named, and nothing that is a PDF is taken for anything else."""

from __future__ import annotations

import io
import zipfile

import pytest

from sealcore.errors import Code, VermilionError
from signer.pdf.full.update import refuse_what_is_no_pdf
from signer.pdf.kinds import kind_of
from tests.conftest import EXAMPLES


def _zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in ("[Content_Types].xml", name):
            archive.writestr(zipfile.ZipInfo(member), "<x/>")  # of 1980: the same bytes, and so the same test, in every process
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(2000), "JPEG"),
        (_zipped("word/document.xml"), "Word"),
        (_zipped("xl/workbook.xml"), "XLSX"),
        (_zipped("anything"), "ZIP"),
        (b"\xef\xbb\xbf\n <!DOCTYPE HTML><title>", "HTML"),
        (b"{\\rtf1", "RTF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office"),
        (b"only words", "does not begin as a PDF does"),
    ],
)
def test_what_is_no_pdf_is_named(content: bytes, words: str) -> None:
    with pytest.raises(VermilionError) as refused:
        refuse_what_is_no_pdf(content)
    assert refused.value.code is Code.DOCUMENT_NOT_PDF and words in refused.value.reason


def test_a_picture_with_a_pdf_behind_it_is_named_too() -> None:
    with pytest.raises(VermilionError) as refused:
        refuse_what_is_no_pdf(b"\x89PNG\r\n\x1a\n" + b"%PDF-1.7\n")
    assert refused.value.code is Code.DOCUMENT_DAMAGED and "PNG" in refused.value.reason


@pytest.mark.parametrize("content", [b"", b"\n \x00"])
def test_nothing_is_empty(content: bytes) -> None:
    with pytest.raises(VermilionError) as refused:
        refuse_what_is_no_pdf(content)
    assert refused.value.code is Code.DOCUMENT_EMPTY


def test_no_pdf_is_taken_for_anything_else() -> None:
    for file in EXAMPLES.glob("*.pdf"):
        if file.read_bytes().startswith(b"%PDF-"):
            assert kind_of(file.read_bytes()) is None
