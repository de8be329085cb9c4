"""Asks PDFium, which shares nothing with our writer, whether it finds the signature (in the sandbox: it reads strangers' bytes)."""

from __future__ import annotations

import ctypes

import pypdfium2
import pypdfium2.raw as pdfium

from sealcore.errors import Code, VermilionError
from signer.pades.plan import Prepared
from signer.pades.readback import locate


def require_found(document: bytes, prepared: Prepared) -> None:
    """DOCUMENT_READBACK unless our own small reader and PDFium both find the prepared signature with its hole and byte range."""
    file = document + prepared.suffix
    locate(file, prepared.field_name)
    opened = _opened(file)
    if opened is None:
        if _opened(document) is None:
            return  # PDFium is no judge of this document: it cannot open it unsealed either
        raise VermilionError(Code.DOCUMENT_READBACK, "another reader cannot open the document once it is sealed")
    try:
        if not any(_is_ours(opened, index, prepared) for index in range(pdfium.FPDF_GetSignatureCount(opened))):
            raise VermilionError(Code.DOCUMENT_READBACK, "another reader does not find the seal, because the document is damaged")
    finally:
        opened.close()


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
