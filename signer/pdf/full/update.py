"""Opens an untrusted document for an incremental update with pyHanko's reader and writer, and writes the update."""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.xref import XRefSectionData, XRefSectionType

from sealcore.errors import Code, VermilionError
from signer.pdf.full.numbers import LARGEST_OBJECT_NUMBER, FreeNumbers
from signer.pdf.full.objects import Appendix, plainly
from signer.pdf.full.packed import Reader
from signer.pdf.kinds import kind_of

HEADER_WINDOW_BYTES: Final = 1024  # where readers look for %PDF- (ISO 32000-1 Annex H.3, note 13)
_KEYWORD_WINDOW_BYTES: Final = 16


class Update(IncrementalPdfFileWriter):
    """pyHanko's writer, made to change nothing but what it is told to, and to write the same bytes for the same plan.

    New objects get numbers that nothing in the file refers to.

    It raises no version, touches neither /Info nor metadata, and takes its half of the file identifier from the caller.
    """

    output_version = (1, 0)  # never above the document's own: no /Version is added

    def __init__(self, file: bytes, reader: Reader, identifier: bytes) -> None:
        super().__init__(reader.stream, prev=reader, strict=False)
        self._document_id = generic.ArrayObject([_first_identifier(reader), generic.ByteStringObject(identifier)])
        # A wrong /Size would let new objects take the numbers of old ones.
        highest = _highest_object_number(reader)
        declared = int(reader.trailer["/Size"]) - 1
        self._lastobj_id = declared if highest < declared <= LARGEST_OBJECT_NUMBER else highest
        self.reader = reader
        self._numbers = FreeNumbers(self._lastobj_id + 1, [file, *reader.object_streams()])

    def allocate_placeholder(self) -> generic.IndirectObject:
        """See pyHanko's."""
        self._lastobj_id = self._numbers.take() - 1
        return super().allocate_placeholder()

    def add_object(self, obj: Any, obj_stream: Any = None, idnum: int | None = None) -> generic.IndirectObject:
        """See pyHanko's."""
        if idnum is None:
            self._lastobj_id = self._numbers.take() - 1
        return super().add_object(obj, obj_stream, idnum)

    def _populate_trailer(self, trailer: generic.DictionaryObject) -> None:
        super()._populate_trailer(trailer)
        trailer["/Prev"] = generic.NumberObject(_last_section(self.prev))

    @classmethod
    def _handle_id(cls, _reader: PdfFileReader) -> generic.ArrayObject:
        return generic.ArrayObject()  # set above; pyHanko's own code fails on malformed identifiers

    def written(self, document_size_bytes: int) -> bytes:
        """The update's bytes, to be appended; reader and document finalisation (metadata, dates) are left out on purpose."""
        if self.stream_xrefs:
            self._lastobj_id = self._numbers.take() - 1  # pyHanko gives the next one to the section itself
        appendix = Appendix(document_size_bytes)
        appendix.write(b"\n")
        self._write_updated_section(appendix)
        return appendix.getvalue()


@dataclass(frozen=True)
class Opened:
    """A document ready to be updated; the update is appended to ``file``."""

    update: Update
    root: generic.DictionaryObject
    file: bytes


def refuse_what_is_no_pdf(document: bytes) -> None:
    """DOCUMENT_EMPTY, DOCUMENT_NOT_PDF, or DOCUMENT_DAMAGED when the header does not come first."""
    if not document.strip(b"\x00\t\n\x0c\r "):
        raise VermilionError(Code.DOCUMENT_EMPTY, "the file is empty")
    position = document.find(b"%PDF-", 0, HEADER_WINDOW_BYTES)
    if position < 0:
        kind = kind_of(document)
        raise VermilionError(Code.DOCUMENT_NOT_PDF, f"the file is {kind}, no PDF" if kind else "the file does not begin as a PDF does")
    if position > 0:
        also = f"; the file begins as {kind} does" if (kind := kind_of(document)) else ""
        raise VermilionError(
            Code.DOCUMENT_DAMAGED,
            f"{position} bytes stand before the PDF header, so readers do not agree which bytes a signature covers{also}",
        )


def open_document(file: bytes, identifier: bytes) -> Opened:
    """Opens a PDF; typed errors otherwise.

    DOCUMENT_ENCRYPTED for every document that is encrypted, asks it for a password or not: of what is appended to it nobody without its key
    can say what it shows, neither the read back nor whoever verifies it later.
    """
    with plainly("the document's table of contents (cross-references)"):
        reader = Reader(file)
        encrypted = "/Encrypt" in reader.trailer
    if encrypted:
        raise VermilionError(Code.DOCUMENT_ENCRYPTED, "the document is encrypted")
    with plainly("the document's catalog"):
        update = Update(file, reader, identifier)
        root = update.root
    return Opened(update, root, file)


def _first_identifier(reader: PdfFileReader) -> generic.ByteStringObject:
    """The permanent half of /ID, unchanged; derived from the file if it has none."""
    identifiers = _trailer_entry(reader, "/ID")
    first = identifiers[0] if isinstance(identifiers, generic.ArrayObject) and len(identifiers) else None
    if isinstance(first, generic.TextStringObject | generic.ByteStringObject):
        return generic.ByteStringObject(first.original_bytes)
    reader.stream.seek(0)
    return generic.ByteStringObject(hashlib.sha256(reader.stream.read()).digest()[:16])


def _trailer_entry(reader: PdfFileReader, key: str) -> Any:
    try:
        return reader.trailer[key]
    except KeyError:
        return None


def _last_section(reader: PdfFileReader) -> int:
    """Where the newest cross-reference section really is: startxref may be off by a few bytes, which pyHanko tolerates."""
    section = reader.xrefs.get_xref_container_info(reader.total_revisions - 1)
    if section.xref_section_type is XRefSectionType.STREAM:
        return int(section.start_location)
    behind = section.start_location + 1  # pyHanko counts a table from after its keyword
    reader.stream.seek(max(0, behind - _KEYWORD_WINDOW_BYTES))
    window = reader.stream.read(behind - max(0, behind - _KEYWORD_WINDOW_BYTES))
    position = window.rfind(b"xref")
    return behind - len(window) + position if position >= 0 else section.declared_startxref


def _highest_object_number(reader: PdfFileReader) -> int:
    def numbers(data: XRefSectionData) -> Any:
        own = chain(data.standard_xrefs, data.xrefs_in_objstm, data.freed)
        return chain(own, numbers(data.hybrid.xref_data)) if data.hybrid is not None else own

    sections = (reader.xrefs.get_xref_data(revision) for revision in range(reader.total_revisions))
    return max((n for section in sections for n in numbers(section) if n <= LARGEST_OBJECT_NUMBER), default=0)
