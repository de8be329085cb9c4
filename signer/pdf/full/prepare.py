"""Prepares a document for signing: an incremental update with an empty hole, and the digest around it.

Runs in the sandbox, since it reads what strangers wrote. Needs no key and decides nothing about authority. Who judges what is written
here comes in as ``Readers``: a writer that knew its judges could be written to please them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Final, Protocol

from pyhanko.pdf_utils import generic

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Certification
from signer.pdf.full.agreed import require_agreed
from signer.pdf.full.appearance import Appearances, require_on_page, show, stamp, widget
from signer.pdf.full.changeable import changeable_content
from signer.pdf.full.conformance import Declared, declared, pictures_conform
from signer.pdf.full.form import add_annotation, add_field, own_object, unique_name
from signer.pdf.full.locks import FormState, form_state
from signer.pdf.full.names import exact_names
from signer.pdf.full.objects import ByteRange, Hole, dictionary, found_dictionary, name, number, plainly
from signer.pdf.full.pages import Page, find_pages, require_single
from signer.pdf.full.repair import repair
from signer.pdf.full.structure import Structure
from signer.pdf.full.undrawn import needs_drawing, require_drawn
from signer.pdf.full.update import Opened, open_document, refuse_what_is_no_pdf
from signer.pdf.lean import prepare_lean
from signer.pdf.marks import impressions
from signer.pdf.plan import ContentPolicy, Plan, Prepared
from signer.pdf.reasons import MARKED_LATER, PDFA_LOST, PDFUA_LOST, REPAIRED, require_fixed

_MENDABLE: Final = (Code.DOCUMENT_DAMAGED, Code.DOCUMENT_NO_PAGES, Code.DOCUMENT_READBACK)


class Readers(Protocol):
    """Readers that share no code with this writer."""

    def require_plain(self, file: bytes, numbers: Iterable[int]) -> None:
        """DOCUMENT_DAMAGED if readers understand one of these objects of ``file`` differently."""

    def require_found(self, document: bytes, prepared: Prepared, *, repaired: bool) -> None:
        """DOCUMENT_READBACK unless every reader finds the signature; ``repaired``: and unless the first pages still show what they did."""


def prepare(document: bytes, plan: Plan, hash_name: str, readers: Readers) -> Prepared:
    """The update that the plan asks for, with the digest by ``hash_name`` over everything but the hole.

    Earlier bytes and signatures stay as they are. The same document and plan give the same update. Raises DOCUMENT_… and MARK_OFF_PAGE; never a bare exception of the reader's.
    """
    remarks = logging.getLogger("pyhanko")  # about other people's files; they do not belong in our log
    if remarks.level != logging.CRITICAL:  # said once: it reaches for every logger there is
        remarks.setLevel(logging.CRITICAL)
    refuse_what_is_no_pdf(document)
    with exact_names():
        try:
            return _prepared(document, b"", plan, hash_name, readers)
        except VermilionError as refusal:
            if refusal.code not in _MENDABLE:
                raise
            with plainly("the document"):
                mending = repair(document)
            if mending is None:
                raise
            try:
                return _prepared(document, mending, plan, hash_name, readers)
            except VermilionError as second:
                raise (refusal if second.code in _MENDABLE else second) from None


def _prepared(document: bytes, mending: bytes, plan: Plan, hash_name: str, readers: Readers) -> Prepared:
    file = document + mending if mending else document
    opened = open_document(file, _identifier(document, plan))
    with plainly("the document's form"):
        state = form_state(opened.root)
    if mending and state.signed:
        raise VermilionError(Code.DOCUMENT_DAMAGED, "the document is broken and carries signatures, which a repair would put in doubt")
    if mending and (mended := _by_lean_writer(document, mending, plan, hash_name)) is not None:
        readers.require_found(document, mended, repaired=True)
        return mended
    standards = _standards(opened, state)
    warnings = (*_warnings(opened, plan, state, repaired=bool(mending)), *_losses(standards, plan))
    field_name = unique_name(plan.field_name, state.names)
    state.require_allowed(field_name, visible=bool(plan.placement.marks))
    signature = _signature(plan, state)
    _require_drawn(opened, state, visible=bool(plan.placement.marks))
    _place(opened, plan, state, field_name, signature, standards)
    readers.require_plain(file, [number for _generation, number in opened.update.objects])
    with plainly("the document"):
        update = opened.update.written(len(opened.file))
    prepared = _finished(document, mending + update, signature, field_name=field_name, hash_name=hash_name, warnings=warnings)
    readers.require_found(document, prepared, repaired=bool(mending))
    return prepared


def _by_lean_writer(document: bytes, mending: bytes, plan: Plan, hash_name: str) -> Prepared | None:
    """Of a document that is as any other once it is mended; None where there is more to it."""
    file = document + mending
    update = prepare_lean(file, plan, hash_state(hash_name, file))
    if update is None:
        return None
    lost = tuple(each for each in update.warnings if each in {PDFA_LOST, PDFUA_LOST})
    content = tuple(each for each in update.warnings if each not in lost)
    return replace(update, suffix=mending + update.suffix, warnings=(*content, REPAIRED, *lost))


def _require_drawn(opened: Opened, state: FormState, *, visible: bool) -> None:
    """DOCUMENT_FORM_UNDRAWN if field values, or the seal itself, would show in some readers only."""
    if not needs_drawing(found_dictionary(opened.root, "/AcroForm")):
        return
    if state.signed == 0:
        with plainly("the document's form"):
            require_drawn(opened.root)
    elif visible:
        raise VermilionError(Code.DOCUMENT_FORM_UNDRAWN, "the signed form leaves its drawing to readers, some of which leave the seal out")


def _identifier(document: bytes, plan: Plan) -> bytes:
    """The changing half of /ID: new for each update (ISO 32000-2 §14.4), but the same if the same plan is carried out again."""
    seed = hashlib.sha256(document).digest() + plan.field_name.encode() + plan.signing_time.isoformat().encode()
    return hashlib.sha256(seed).digest()[:16]


def _warnings(opened: Opened, plan: Plan, state: FormState, *, repaired: bool) -> tuple[str, ...]:
    content = changeable_content(opened.update.reader, opened.root, opened.file)
    if plan.content_policy == ContentPolicy.STRICT:
        require_fixed(content)
    others = {
        REPAIRED: repaired,
        MARKED_LATER: state.signed > 0 and len(impressions(plan.placement.marks)) > 1,
    }
    return content + tuple(warning for warning, holds in others.items() if holds)


@dataclass(frozen=True)
class _Standards:
    """What the document declares to be, and its structure tree if the seal has to be entered there and can be."""

    declared: Declared
    structure: Structure | None

    def enter(self, page: Page, annotation: generic.DictionaryObject, reference: generic.IndirectObject, kind: str) -> None:
        """Makes an annotation part of the document's structure, if that is needed."""
        if self.structure is not None:
            self.structure.add(page, annotation, reference, kind)


def _standards(opened: Opened, state: FormState) -> _Standards:
    """After an earlier signature the structure is left as it is, since changing it would change what was signed."""
    told = declared(opened.root)
    if told.pdfua != 1 or state.signed:
        return _Standards(told, None)
    try:
        return _Standards(told, Structure(opened.update, opened.root))
    except Exception:  # noqa: BLE001  (pyHanko raises anything over a broken tree; that the seal is not in it is said)
        return _Standards(told, None)


def _losses(standards: _Standards, plan: Plan) -> tuple[str, ...]:
    """Warnings for the standards that the document will no longer conform to; DOCUMENT_CONFORMANCE under the content policy ``strict``."""
    told = standards.declared
    lost = {
        PDFA_LOST: told.pdfa > 0 and not pictures_conform(plan.pictures, told),
        PDFUA_LOST: told.pdfua > 0 and standards.structure is None,
    }
    reasons = tuple(reason for reason, holds in lost.items() if holds)
    if reasons and plan.content_policy == ContentPolicy.STRICT:
        raise VermilionError(Code.DOCUMENT_CONFORMANCE, "; ".join(reasons))
    return reasons


@dataclass(frozen=True)
class _Signature:
    dictionary: generic.DictionaryObject
    hole: Hole
    byte_range: ByteRange
    certifies: bool


def _signature(plan: Plan, state: FormState) -> _Signature:
    """The signature dictionary (ISO 32000-2 table 255, ETSI EN 319 142-1 §5.3)."""
    hole, byte_range = Hole(plan.hole_size_bytes), ByteRange()
    time = plan.signing_time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
    build = dictionary(App=dictionary(Name=name("Vermilion"), REx=generic.TextStringObject(plan.writer_version)))
    entries = dictionary(
        Type=name("Sig"),
        Filter=name("Adobe.PPKLite"),
        SubFilter=name("ETSI.CAdES.detached"),
        ByteRange=byte_range,
        Contents=hole,
        M=generic.TextStringObject(time),
        Prop_Build=build,
    )
    texts = plan.placement.texts
    for key, text in (("Name", texts.name), ("Reason", texts.reason), ("Location", texts.location), ("ContactInfo", texts.contact)):
        if text:
            entries[f"/{key}"] = generic.TextStringObject(text)
    certification = plan.certification(signed=state.signed > 0)
    if certification != Certification.NONE:
        entries["/Reference"] = generic.ArrayObject([_certification(certification)])
    return _Signature(entries, hole, byte_range, certification != Certification.NONE)


def _certification(level: Certification) -> generic.DictionaryObject:
    """A DocMDP signature reference (ISO 32000-2 §12.8.2.2)."""
    parameters = dictionary(Type=name("TransformParams"), P=number(int(level)), V=name("1.2"))
    return dictionary(Type=name("SigRef"), TransformMethod=name("DocMDP"), TransformParams=parameters)


def _place(  # noqa: PLR0917
    opened: Opened, plan: Plan, state: FormState, field_name: str, signature: _Signature, standards: _Standards
) -> None:
    update, root = opened.update, opened.root
    wanted = impressions(plan.placement.marks)
    with plainly("the document's page tree"):
        pages = find_pages(root, {0, *(each.page for each in wanted)})
        if marked := {each.page for each in wanted} & pages.keys():
            require_single(root, [pages[index] for index in marked], (opened.file, *update.reader.object_streams()))
            require_agreed(root, [pages[index] for index in marked])
    pages = {index: own_object(update, page) for index, page in pages.items()}
    first = require_on_page(wanted[0], pages.get(wanted[0].page)) if wanted else pages[0]
    reference = update.add_object(signature.dictionary)
    label = f"Seal of {plan.owner_name}" if plan.owner_name else "Seal"
    field = widget(field_name, label, reference, first)
    looks = Appearances(update, plan.pictures, plain=standards.declared.plain)
    with plainly("the document's form and pages"):
        if wanted:
            show(field, wanted[0].rectangle, looks.of(wanted[0], first))
        elif standards.declared.pdfa == 1:
            field["/AP"] = dictionary(N=looks.empty())
        field_reference = update.add_object(field)
        add_field(opened, field_reference, first_signature=state.signed == 0)
        if first.reference is not None:
            add_annotation(update, first, field_reference)
            standards.enter(first, field, field_reference, "Form")
        for impression in wanted[1:]:
            page = require_on_page(impression, pages.get(impression.page))
            annotation = stamp(label, page)
            show(annotation, impression.rectangle, looks.of(impression, page))
            annotation_reference = update.add_object(annotation)
            add_annotation(update, page, annotation_reference)
            standards.enter(page, annotation, annotation_reference, "Annot")
        if signature.certifies:
            _certify(opened, reference)


def _certify(opened: Opened, signature: generic.IndirectObject) -> None:
    others = found_dictionary(opened.root, "/Perms") or generic.DictionaryObject()
    opened.root["/Perms"] = generic.DictionaryObject({key: others.raw_get(key) for key in others} | {"/DocMDP": signature})
    opened.update.update_container(opened.root)


def _finished(
    document: bytes, suffix: bytes, signature: _Signature, *, field_name: str, hash_name: str, warnings: tuple[str, ...]
) -> Prepared:
    assert signature.hole.offset is not None
    assert signature.byte_range.offset is not None
    hole_size_bytes = signature.hole.size_bytes
    hole_start, hole_end = signature.hole.offset, signature.hole.offset + 2 * hole_size_bytes + 2
    byte_range = (0, hole_start, hole_end, len(document) + len(suffix) - hole_end)
    at = signature.byte_range.offset - len(document)
    text = ByteRange.text(byte_range)
    suffix = suffix[:at] + text + suffix[at + len(text) :]
    digest = hashlib.new(hash_name, document)
    digest.update(suffix[: hole_start - len(document)])
    digest.update(suffix[hole_end - len(document) :])
    return Prepared(suffix, hole_start, hole_size_bytes, byte_range, digest.digest(), field_name, warnings)
