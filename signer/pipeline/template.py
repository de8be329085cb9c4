"""Templates of grants: does a document show the registered base PDF and nothing else, apart from the fields that may be filled in?

Two documents match when their *fixed content* has the same hash: every page with its content, boxes, resources and annotations, and
whatever the catalog adds to appearance or behaviour (form, layers, names, actions). Values and appearances of the declared fields are
left out. So is how the file is written: object numbers, compression, dates, metadata.

Runs in a sandbox (``examiner``), since anybody may have written the documents.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pikepdf

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import canonical_cbor, strict_json
from sealcore.protocol.labels import TEMPLATE_V1

MOST_OBJECTS = 200_000  # a base PDF is a form, not a book
DEEPEST = 200
# Entries that say nothing about appearance. Each is left out only where it has that meaning, never by name alone: a resource may have any name.
_PAGE_FACTS = frozenset({"/Metadata", "/PieceInfo", "/LastModified", "/Parent", "/Contents"})  # /Contents is described apart
_CATALOG_FACTS = frozenset({"/Metadata", "/PieceInfo", "/Version", "/Extensions", "/Pages"})
_FORM_FACTS = frozenset({"/NeedAppearances"})  # asks the reader to redraw the fields' values, which are left out here
_FIELD_VALUE = frozenset({"/V", "/AP", "/AS", "/I", "/DV", "/M"})
_STREAM_FORM = frozenset({"/Length", "/Filter", "/DecodeParms"})
_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")


def fingerprint(document: bytes, fields: Sequence[str]) -> str:
    """Lower hex SHA-256 of the fixed content; raises DOCUMENT_DAMAGED, DOCUMENT_ENCRYPTED, DOCUMENT_TOO_COMPLEX."""
    try:
        with pikepdf.open(io.BytesIO(document)) as pdf:
            if pdf.is_encrypted:
                raise VermilionError(Code.DOCUMENT_ENCRYPTED, "the document is encrypted")
            return _Fixed(pdf, frozenset(fields)).digest()
    except pikepdf.PasswordError:
        raise VermilionError(Code.DOCUMENT_ENCRYPTED, "the document is encrypted") from None
    except pikepdf.PdfError:
        raise VermilionError(Code.DOCUMENT_DAMAGED, "the document cannot be read") from None


def picture_size(picture: bytes) -> tuple[int, int]:
    """Width and height (millipoints) of a picture, which is a PDF of one page; raises DOCUMENT_DAMAGED."""
    try:
        with pikepdf.open(io.BytesIO(picture)) as pdf:
            if len(pdf.pages) != 1:
                raise VermilionError(Code.DOCUMENT_DAMAGED, "a picture is a PDF of exactly one page")
            x0, y0, x1, y1 = (float(value) for value in pdf.pages[0].mediabox.as_list())
    except (pikepdf.PdfError, ValueError, TypeError):
        raise VermilionError(Code.DOCUMENT_DAMAGED, "a picture cannot be read as PDF") from None
    return round(abs(x1 - x0) * 1000), round(abs(y1 - y0) * 1000)


class _Fixed:
    """Builds one deterministic description of what a document shows."""

    def __init__(self, pdf: pikepdf.Pdf, fields: frozenset[str]) -> None:
        self._pdf = pdf
        self._fields = fields
        self._declared = set(self._declared_widgets())
        self._number: dict[tuple[int, int], int] = {}  # object → order of first visit, which stands for the object wherever it comes again
        self._left = MOST_OBJECTS

    def digest(self) -> str:
        pages = [page.obj for page in self._pdf.pages]
        for page in pages:  # first, so that a reference to a page is described by its number
            self._number[page.objgen] = len(self._number)
        catalog = {str(key): value for key, value in self._pdf.Root.items() if key not in _CATALOG_FACTS}
        form = catalog.pop("/AcroForm", None)
        whole = {
            "pages": [self._page(page) for page in pages],
            "catalog": {key: self._value(value, 1) for key, value in sorted(catalog.items())},
            "form": self._members(form, 1, _FORM_FACTS) if isinstance(form, pikepdf.Dictionary) else {},
        }
        return hashlib.sha256(TEMPLATE_V1 + canonical_cbor(whole)).hexdigest()

    def _declared_widgets(self) -> Iterator[tuple[int, int]]:
        """Every field dictionary and widget whose full name is declared, by object number."""
        form = self._pdf.Root.get("/AcroForm")
        if not isinstance(form, pikepdf.Dictionary):
            return
        waiting = [(field, "", False, 0) for field in form.get("/Fields", [])]
        while waiting:
            field, above, declared, depth = waiting.pop()
            if not isinstance(field, pikepdf.Dictionary) or depth > DEEPEST or len(waiting) > MOST_OBJECTS:
                raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, "the document's form cannot be followed")
            partial = str(field["/T"]) if "/T" in field else ""
            name = f"{above}.{partial}" if above and partial else above or partial
            declared = declared or name in self._fields
            if declared:
                yield field.objgen
            waiting += [(kid, name, declared, depth + 1) for kid in field.get("/Kids", [])]

    def _page(self, page: pikepdf.Object) -> Any:
        described = self._members(page, 1, _PAGE_FACTS)
        for name in _INHERITED:
            if name not in page and (inherited := self._inherited(page, name)) is not None:
                described[name] = self._value(inherited, 1)
        contents = page.get("/Contents")
        streams = list(contents) if isinstance(contents, pikepdf.Array) else [] if contents is None else [contents]
        described["/Contents"] = hashlib.sha256(b"\n".join(stream.read_bytes() for stream in streams)).digest()
        return described

    def _inherited(self, page: pikepdf.Object, name: str) -> pikepdf.Object | None:
        node = page.get("/Parent")
        for _ in range(DEEPEST):
            if node is None:
                return None
            if name in node:
                return node[name]
            node = node.get("/Parent")
        raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, "the document's page tree is too deep")

    def _value(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, "the document is too complex to be compared with a template")
        if not isinstance(value, pikepdf.Object):
            return [type(value).__name__, str(value)]  # booleans, integers, reals, null
        blank = _FIELD_VALUE if value.is_indirect and value.objgen in self._declared else frozenset[str]()
        if value.is_indirect:
            if value.objgen in self._number:
                return ["seen", self._number[value.objgen]]
            self._number[value.objgen] = len(self._number)
        if isinstance(value, pikepdf.Name | pikepdf.String):
            return [type(value).__name__, bytes(value) if isinstance(value, pikepdf.String) else str(value)]
        if isinstance(value, pikepdf.Array):
            return [self._value(one, depth + 1) for one in value]
        if isinstance(value, pikepdf.Stream):
            return self._stream(value, depth)
        if isinstance(value, pikepdf.Dictionary):
            return self._members(value, depth, blank)
        return [str(value._type_name), str(value)]

    def _stream(self, stream: pikepdf.Stream, depth: int) -> Any:
        """By its decoded bytes where they can be decoded here; images in formats such as JPEG, by filters and encoded bytes."""
        try:
            return [self._members(stream, depth, _STREAM_FORM), hashlib.sha256(stream.read_bytes()).digest()]
        except pikepdf.PdfError:
            return [self._members(stream, depth, frozenset({"/Length"})), hashlib.sha256(stream.read_raw_bytes()).digest()]

    def _members(self, value: pikepdf.Object, depth: int, left_out: frozenset[str]) -> dict[str, Any]:
        return {str(key): self._value(one, depth + 1) for key, one in sorted(value.items()) if key not in left_out}


def work(parts: list[bytes]) -> Sequence[bytes]:
    """What runs in the sandbox: ``fingerprint`` or ``size``."""
    if parts[0] == b"size":
        width, height = picture_size(parts[1])
        return [str(width).encode(), str(height).encode()]
    return [fingerprint(parts[1], strict_json(parts[2], Code.INTERNAL)).encode()]
