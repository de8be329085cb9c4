"""Prepares a document for signing, in the signer itself: what ``signer.pdf.full.prepare`` does, for documents without any oddity.

The result means the same: the same signature dictionary, field, marks, form, certification and warnings. Tests hold the two together.
For the reading back, catalog, form, field and signature always stand plain in the update's own cross-reference section.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from sealcore.errors import VermilionError
from sealcore.protocol.leaf import Certification, Rectangle, SignatureTexts
from signer.pdf.lean.appearance import appearance, read_picture
from signer.pdf.lean.content import changeable_content, declares_conformance
from signer.pdf.lean.file import File, Found
from signer.pdf.lean.form import Form, read_form, require_allowed
from signer.pdf.lean.grammar import NotLeanError, is_reference, reference
from signer.pdf.lean.text import text_string
from signer.pdf.lean.tree import Page, find_pages, first_page, require_single, rotation, visible_box
from signer.pdf.lean.update import Update, dictionary
from signer.pdf.marks import (
    Box,
    Impression,
    Slice,
    decimal_text,
    impressions,
    lies_within,
    rectangle_box,
    shown_size,
)
from signer.pdf.plan import ContentPolicy, Document, Plan, Prepared
from signer.pdf.reasons import MARKED_LATER

# What strict reading of untrusted bytes may raise: malformed numbers, missing rows, data that does not decompress.
_NOT_UNDERSTOOD: Final = (NotLeanError, ValueError, LookupError, OverflowError, zlib.error, RecursionError, MemoryError)
_NO_MARKS: Final[list[Impression]] = []
_Added = tuple[Page, int]  # a page, and the number of an annotation on it


def prepare_lean(document: Document, plan: Plan, document_digest: hashlib._Hash) -> Prepared | None:
    """The update for ``document`` as the plan says; None where the document is not fully understood or would be refused.

    ``document_digest`` is the hash, by the key's own function, after the whole document; it is copied, never updated. The same
    document and plan give the same update. Raises nothing: the sandbox judges and words the refusals.
    """
    try:
        return prepared(document, plan, document_digest)
    except _NOT_UNDERSTOOD:
        return None


def prepared(document: Document, plan: Plan, document_digest: hashlib._Hash) -> Prepared:
    """Like ``prepare_lean``, but raises NotLeanError (or whatever int() and slices raise) with the reason why the document is not understood."""
    file = File(document)
    root = reference(file.trailer.get(b"Root", b"?"))
    catalog = file.dictionary(*root)
    if catalog is None or catalog.data_offset is not None or catalog.entries.get(b"Type") != b"/Catalog":
        raise NotLeanError("there is no catalog")
    # Only the full writer keeps to these standards (opaque marks, structure).
    if b"Metadata" in catalog.entries and declares_conformance(file, catalog.entries[b"Metadata"]):
        raise NotLeanError("the document is to be PDF/A or PDF/UA")
    form = read_form(file, catalog.entries)
    placement = plan.placement
    marks = impressions(placement.marks) if placement.marks else _NO_MARKS
    warnings = _warnings(changeable_content(file, catalog.entries, form, root), form, plan, len(marks))
    field_name = form.unique_name(plan.field_name)
    require_allowed(form, file, field_name, visible=bool(marks))
    if form.entries is not None and form.entries.get(b"NeedAppearances", b"false") != b"false" and (form.signed == 0 or marks):
        raise NotLeanError("readers draw the form by themselves")
    update = Update(file)
    signature = update.reserve(2)
    field = signature + 1
    _write_marks(file, update, plan, marks, catalog.entries.get(b"Pages"), _Field(field, signature, field_name))
    certification = _certification(plan, signed=form.signed > 0)
    update.write(root[0], _catalog(update, catalog, form, field, signature if certification else None), root[1])
    entries = _signature_entries(plan.signing_time, placement.texts, plan.writer_version, certification)
    identifier = _identifier(plan, document_digest)
    suffix, byte_range, digest = update.finished(signature, entries, plan.hole_size_bytes, identifier, document_digest)
    return Prepared(suffix, byte_range[1], plan.hole_size_bytes, byte_range, digest, field_name, warnings)


def _certification(plan: Plan, *, signed: bool) -> Certification:
    try:
        return plan.certification(signed=signed)
    except VermilionError as refusal:
        raise NotLeanError(refusal.reason) from None


def _identifier(plan: Plan, document_digest: hashlib._Hash) -> bytes:
    """The changing half of /ID, the same as the sandbox makes for a key that uses SHA-256."""
    seed = document_digest.digest() + plan.field_name.encode() + plan.signing_time.isoformat().encode()
    return hashlib.sha256(seed).digest()[:16]


def _warnings(content: tuple[str, ...], form: Form, plan: Plan, marks: int) -> tuple[str, ...]:
    warnings = content
    if warnings and plan.content_policy == ContentPolicy.STRICT:
        raise NotLeanError("the document has content that can change")
    if form.signed and marks > 1:
        warnings += (MARKED_LATER,)
    return warnings


@lru_cache(maxsize=256)
def _signature_entries(time: datetime, texts: SignatureTexts, writer_version: str, certification: Certification) -> bytes:
    """The signature dictionary (ISO 32000-2 table 255, ETSI EN 319 142-1 §5.3) but for /ByteRange, /Contents and its end."""
    named = ((b"Name", texts.name), (b"Reason", texts.reason), (b"Location", texts.location), (b"ContactInfo", texts.contact))
    parts = [b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached"]
    parts += [b"/%b%b" % (key, text_string(text)) for key, text in named if text]
    parts.append(b"/M%b" % text_string(time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")))
    parts.append(b"/Prop_Build<</App<</Name/Vermilion/REx%b>>>>" % text_string(writer_version))
    if certification != Certification.NONE:  # a DocMDP signature reference (ISO 32000-2 §12.8.2.2)
        transform = b"/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P %d/V/1.2>>" % int(certification)
        parts.append(b"/Reference[<</Type/SigRef%b>>]" % transform)
    return b"".join(parts)


class _Field(NamedTuple):
    number: int
    signature: int
    name: str


@lru_cache(maxsize=256)
def _label(owner_name: str) -> bytes:
    return text_string(f"Seal of {owner_name}" if owner_name else "Seal")


def _write_marks(file: File, update: Update, plan: Plan, marks: Sequence[Impression], tree: bytes | None, field: _Field) -> None:  # noqa: PLR0917
    """Field and widget as one object, on the page of the first mark (or, invisible, on the first page); a stamp for each other mark."""
    label = _label(plan.owner_name)
    entries = b"<</Type/Annot/Subtype/Widget/FT/Sig/T%b/TU%b/V %d 0 R/F 132" % (text_string(field.name), label, field.signature)
    if not marks:
        first = first_page(file, tree)
        update.write(field.number, b"%b/Rect[0 0 0 0]/P %d %d R>>" % (entries, first.number, first.generation))
        annotate(file, update, first, b" %d 0 R" % field.number)
        return
    looks = _Looks(file, update, plan)
    wanted = {0, *[mark.page for mark in marks]}
    pages = {0: first_page(file, tree)} if len(wanted) == 1 else find_pages(file, tree, wanted)
    first = pages[marks[0].page]
    require_single(file, tree, first)
    update.write(field.number, b"%b%b/P %d %d R>>" % (entries, looks.shown(marks[0], first), first.number, first.generation))
    if len(marks) == 1:
        annotate(file, update, first, b" %d 0 R" % field.number)
        return
    added = [(first, field.number)]
    for mark in marks[1:]:
        page = pages[mark.page]
        stamp = b"<</Type/Annot/Subtype/Stamp/Contents%b/F 708/P %d %d R%b>>" % (
            *(label, page.number, page.generation, looks.shown(mark, page)),
        )
        added.append((page, update.reserve()))
        update.write(added[-1][1], stamp)
    _write_annotations(file, update, added)


class _Looks:
    """Appearances of one update; pictures and equal appearances are written once and shared."""

    __slots__ = ("_file", "_made", "_pages", "_pictures", "_plan", "_update")

    def __init__(self, file: File, update: Update, plan: Plan) -> None:
        self._file, self._update, self._plan = file, update, plan
        self._pictures: dict[bytes, tuple[int, Box]] = {}
        self._made: dict[tuple[bytes, tuple[float, float], int, Slice], int] = {}
        self._pages: dict[int, tuple[Box, int]] = {}

    def shown(self, mark: Impression, page: Page) -> bytes:
        """The entries that give an annotation its position and its appearance."""
        if page.number not in self._pages:
            self._pages[page.number] = (visible_box(self._file, page), rotation(page))
        visible, turn = self._pages[page.number]
        box, size, text = _rectangle(mark.rectangle, turn)
        if not lies_within(box, visible):
            raise NotLeanError("a mark lies outside of what is visible of its page")
        key = (mark.picture_sha256, size, turn, mark.slice)
        if key not in self._made:
            picture, picture_box = self._picture(mark.picture_sha256)
            number = self._made[key] = self._update.reserve()
            self._update.write(number, appearance(picture_box, mark.slice, *size, turn) % picture)
        return b"/Rect%b/AP<</N %d 0 R>>" % (text, self._made[key])

    def _picture(self, sha256: bytes) -> tuple[int, Box]:
        """The number of its form XObject, and its box."""
        if sha256 not in self._pictures:
            picture = read_picture(self._plan.pictures[sha256])
            first = self._update.reserve(len(picture.objects))
            for number, body in enumerate(picture.written(first), first):
                self._update.write(number, body)
            self._pictures[sha256] = (first + len(picture.objects) - 1, picture.box)
        return self._pictures[sha256]


@lru_cache(maxsize=1024)
def _rectangle(rectangle: Rectangle, turn: int) -> tuple[Box, tuple[float, float], bytes]:
    """A rectangle in PDF units, the size of its appearance on a page with that rotation, and the rectangle as text."""
    box = rectangle_box(rectangle)
    width, height = shown_size(box, turn)
    return box, (round(width, 3), round(height, 3)), b"[" + " ".join(map(decimal_text, box)).encode("ascii") + b"]"


def _write_annotations(file: File, update: Update, added: list[_Added]) -> None:
    """Rewrites each page once."""
    together: dict[int, tuple[Page, bytes]] = {}
    for page, annotation in added:
        together[page.number] = (page, b"%b %d 0 R" % (together.get(page.number, (page, b""))[1], annotation))
    for page, references in together.values():
        annotate(file, update, page, references)


def annotate(file: File, update: Update, page: Page, references: bytes) -> None:
    """Rewrites the page with ``references`` (each after a blank) appended to its annotations.

    These always stand in the page itself then: an array elsewhere may be other pages' as well.
    """
    value = page.content.entries.get(b"Annots")
    if value is None:
        # /Annots is not inheritable (ISO 32000-2 table 31), but some readers inherit it all the
        # same.
        if any(b"Annots" in above for above in page.line[:-1]):
            raise NotLeanError("annotations hang above the page")
        update.write(page.number, b"%b/Annots[%b]>>" % (page.content.text[:-2], references), page.generation)
        return
    if is_reference(value):
        value = file.array(*reference(value))
    elif not value.startswith(b"["):
        raise NotLeanError("a page's annotations are no array")
    body = dictionary(page.content.entries | {b"Annots": b"%b%b]" % (value[:-1], references)})
    update.write(page.number, body, page.generation)


def _catalog(update: Update, catalog: Found, form: Form, field: int, certifying: int | None) -> bytes:
    """Writes the form, as ``signer.pdf.full.form`` has it; gives the catalog. ``certifying`` is the signature that certifies the document."""
    fields = b"[%b]" % b" ".join([*form.fields, b"%d 0 R" % field])
    body = catalog.text
    if form.entries is None:
        body = b"%b/AcroForm<</Fields%b/SigFlags 3>>>>" % (body[:-2], fields)
    else:
        entries = form.entries | {b"Fields": fields, b"SigFlags": b"3"}
        if form.signed == 0:
            entries.pop(b"NeedAppearances", None)  # redrawing would be a change after sealing
        if form.object is not None:
            update.write(form.object[0], dictionary(entries), form.object[1])
        else:
            body = dictionary(catalog.entries | {b"AcroForm": dictionary(entries)})
    if certifying is not None:
        if b"Perms" in catalog.entries:
            raise NotLeanError("the document has permissions")
        body = b"%b/Perms<</DocMDP %d 0 R>>>>" % (body[:-2], certifying)
    return body
