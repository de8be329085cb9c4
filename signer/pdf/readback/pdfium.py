"""Asks PDFium whether it finds the signature: a second reader, which shares nothing with our writers or our own reader.

Only in the sandbox, since PDFium reads strangers' bytes in C++. Nothing else of the read back imports this module.
"""

from __future__ import annotations

import ctypes
from typing import Final

import pypdfium2
import pypdfium2.raw as pdfium

from sealcore.errors import Code, VermilionError
from signer.pdf.plan import Prepared
from signer.pdf.readback.locate import locate

_COMPARED_PAGES: Final = 5
_COMPARED_PIXELS: Final = 400  # of a page's longer side


def require_found(document: bytes, prepared: Prepared, *, repaired: bool = False) -> None:
    """DOCUMENT_READBACK unless our own small reader and PDFium both find the prepared signature with its hole and byte range.

    ``repaired``: and unless the first pages still show what they did.
    """
    file = document + prepared.suffix
    locate(file, prepared.field_name)
    opened = _opened(file)
    if opened is None:
        if _opened(document) is None:
            return  # PDFium cannot open the unsealed document either, so its opinion says nothing about the seal
        raise VermilionError(Code.DOCUMENT_READBACK, "another reader cannot open the document once it is sealed")
    try:
        # Any of them: a document may carry earlier signatures.
        if not any(_is_ours(opened, index, prepared) for index in range(pdfium.FPDF_GetSignatureCount(opened))):
            raise VermilionError(Code.DOCUMENT_READBACK, "another reader does not find the seal, because the document is damaged")
        if repaired:
            _require_same_contents(document, opened)
    finally:
        opened.close()


def _require_same_contents(document: bytes, sealed: pypdfium2.PdfDocument) -> None:
    """A rebuilt cross-reference table may lead readers to other objects than they found before, so the first pages must still look the same."""
    unsealed = _opened(document)
    if unsealed is None:
        return  # there is nothing to compare with
    try:
        pages = range(min(_COMPARED_PAGES, len(unsealed), len(sealed)))
        if any(before is not None and before != _contents(sealed, index) for index in pages for before in [_contents(unsealed, index)]):
            raise VermilionError(Code.DOCUMENT_DAMAGED, "the document is damaged, and shows something else once it is repaired and sealed")
    finally:
        unsealed.close()


def _contents(opened: pypdfium2.PdfDocument, index: int) -> bytes | None:
    """A small rendering of a page without its annotations; None if it cannot be rendered."""
    try:
        page = opened[index]
        scale = _COMPARED_PIXELS / max(1.0, *page.get_size())
        return bytes(page.render(scale=scale, draw_annots=False, may_draw_forms=False).buffer)
    except pypdfium2.PdfiumError:
        return None


def _opened(file: bytes) -> pypdfium2.PdfDocument | None:
    try:
        return pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError:
        return None


def _is_ours(opened: pypdfium2.PdfDocument, index: int, prepared: Prepared) -> bool:
    signature = pdfium.FPDF_GetSignatureObject(opened, index)
    if not signature:
        return False
    ranges = (ctypes.c_int * 4)()
    if pdfium.FPDFSignatureObj_GetByteRange(signature, ranges, 4) != 4 or tuple(ranges) != prepared.byte_range:
        return False
    return int(pdfium.FPDFSignatureObj_GetContents(signature, None, 0)) == prepared.hole_size_bytes
