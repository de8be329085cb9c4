"""Adds the signature field to the form (creating one if needed) and its widget to a page (ISO 32000-2 §12.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pyhanko.pdf_utils import generic

from sealcore.errors import Code, VermilionError
from signer.pdf.full.objects import dictionary, found_array, found_dictionary, number
from signer.pdf.full.pages import Page
from signer.pdf.full.update import Opened, Update

SIGNATURES_EXIST_AND_APPEND_ONLY: Final = 3  # /SigFlags (table 225)


def unique_name(wanted: str, taken: set[str]) -> str:
    """``wanted``; with the first free number appended if the form has a field of that name."""
    candidate, count = wanted, 1
    while candidate in taken:
        count += 1
        candidate = f"{wanted}-{count}"
    return candidate


def add_field(opened: Opened, field: generic.IndirectObject, *, first_signature: bool) -> None:
    """Enters the field; every other entry of the form stays, but for /NeedAppearances ahead of the first signature.

    That flag makes readers redraw the form when they open it, which is a change after sealing; where it may go, ``undrawn`` says.
    Behind earlier signatures it stays, since taking it away would be a change too.
    """
    update, root = opened.update, opened.root
    form = found_dictionary(root, "/AcroForm")
    if form is None:
        fresh = dictionary(Fields=generic.ArrayObject([field]), SigFlags=number(SIGNATURES_EXIST_AND_APPEND_ONLY))
        root["/AcroForm"] = update.add_object(fresh)
        update.update_container(root)
        return
    form["/Fields"] = extended(found_array(form, "/Fields"), field)
    update.update_container(form)
    if first_signature and "/NeedAppearances" in form:
        del form["/NeedAppearances"]
    form["/SigFlags"] = number(SIGNATURES_EXIST_AND_APPEND_ONLY)


def extended(array: generic.ArrayObject | None, added: generic.IndirectObject) -> generic.ArrayObject:
    """A new array with one more element. The old array is left alone: another page, or the form, may share it."""
    return generic.ArrayObject([*(array.raw_get(index) for index in range(len(array))), added] if array is not None else [added])


def own_object(update: Update, page: Page) -> Page:
    """The page as an indirect object. A page that is a direct object in its parent is moved out, so that annotations can refer to it."""
    if page.reference is not None or page.kids is None:
        return page
    reference = update.add_object(page.content)
    page.kids[page.position] = reference
    update.update_container(page.kids)
    return replace(page, reference=reference)


def add_annotation(update: Update, page: Page, annotation: generic.IndirectObject) -> None:
    """Adds the annotation to a page that is an indirect object; its array of annotations becomes its own."""
    assert page.reference is not None
    if page.annotated_above and found_array(page.content, "/Annots") is None:
        raise VermilionError(
            Code.DOCUMENT_DAMAGED, "annotations hang in the page tree above the page, and readers do not agree whether the page has them"
        )
    page.content["/Annots"] = extended(found_array(page.content, "/Annots"), annotation)
    update.mark_update(page.reference)
