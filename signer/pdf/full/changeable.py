"""Finds content that can change its look or act by itself after sealing (docs/protocol.md, "Profiles": content policy).

A quick search of the raw bytes and of the object streams first: most documents have none of the tell-tale names. Where one
occurs, what is reachable from the catalog is walked to know for certain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyhanko.pdf_utils import generic

from sealcore.errors import VermilionError
from signer.pdf.full.objects import found, found_array, found_dictionary
from signer.pdf.full.packed import Reader
from signer.pdf.reasons import (
    ACTIONS,
    ANNOTATIONS,
    DYNAMIC_FORM,
    EXTERNAL,
    HIDDEN,
    IN_ORDER,
    JAVASCRIPT,
    NOT_SEARCHED,
    REDRAWN_FORM,
    suspicious,
)

MOST_OBJECTS: Final = 200_000  # to be walked; if there are more, a warning says that not everything was searched
_ACTIONS: Final = {f"/{name}": reason for name, reason in ACTIONS.items()}
_ANNOTATIONS: Final = {f"/{name}": reason for name, reason in ANNOTATIONS.items()}


def changeable_content(reader: Reader, root: generic.DictionaryObject, file: bytes) -> tuple[str, ...]:
    """Plain reasons, each once, in a fixed order; empty when nothing of the kind is reachable."""
    try:
        found_reasons = _walk(root) if any(map(suspicious, (file, *reader.object_streams()))) else set()
        found_reasons |= {reason for check in _CATALOG_CHECKS if (reason := check(root))}
    except VermilionError:
        raise
    except Exception:  # noqa: BLE001  (an object that nobody needs may be broken; that it was not searched is what we say)
        found_reasons = {NOT_SEARCHED}
    return tuple(reason for reason in IN_ORDER if reason in found_reasons)


def _walk(root: generic.DictionaryObject) -> set[str]:
    reasons: set[str] = set()
    seen: set[tuple[int, int]] = set()
    stack: list[Any] = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, generic.IndirectObject):
            key = (value.idnum, value.generation)
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > MOST_OBJECTS:
                return reasons | {NOT_SEARCHED}
            try:
                value = value.get_object()
            except Exception:  # noqa: BLE001  (pyHanko raises anything)
                reasons.add(NOT_SEARCHED)  # the object cannot be read; perhaps nothing needs it
                continue
        if isinstance(value, generic.DictionaryObject):
            reasons |= _reasons(value)
            stack.extend(value.raw_get(key) for key in value)
        elif isinstance(value, generic.ArrayObject):
            stack.extend(value.raw_get(i) for i in range(len(value)))
    return reasons


def _reasons(value: generic.DictionaryObject) -> set[str]:
    reasons = set()
    if "/JS" in value:
        reasons.add(JAVASCRIPT)
    if (kind := found(value, "/S")) in _ACTIONS:
        reasons.add(_ACTIONS[kind])
    if "/Rect" in value and (kind := found(value, "/Subtype")) in _ANNOTATIONS:
        reasons.add(_ANNOTATIONS[kind])
    if isinstance(value, generic.StreamObject) and (_names_a_file(value) or ("/Ref" in value and found(value, "/Subtype") == "/Form")):
        reasons.add(EXTERNAL)
    return reasons


def _names_a_file(value: generic.StreamObject) -> bool:
    return isinstance(found(value, "/F"), generic.TextStringObject | generic.ByteStringObject | generic.DictionaryObject)


def _hidden_layers(root: generic.DictionaryObject) -> str | None:
    properties = found_dictionary(root, "/OCProperties")
    default = found_dictionary(properties, "/D") if properties is not None else None
    if default is None:
        return None
    off, automatic = found_array(default, "/OFF"), found_array(default, "/AS")
    return HIDDEN if off or automatic or found(default, "/BaseState") in ("/OFF", "/Unchanged") else None


def _form_kind(root: generic.DictionaryObject) -> str | None:
    form = found_dictionary(root, "/AcroForm")
    if form is None:
        return None
    # /NeedsRendering marks a form without a fixed look (ISO 32000-1 table 28); XFA beside AcroForm fields alone is static.
    if found(form, "/XFA") is not None and _is_true(found(root, "/NeedsRendering")):
        return DYNAMIC_FORM
    return REDRAWN_FORM if _is_true(found(form, "/NeedAppearances")) else None


def _is_true(value: Any) -> bool:
    return isinstance(value, generic.BooleanObject) and bool(value.value)


_CATALOG_CHECKS: Final[tuple[Callable[[generic.DictionaryObject], str | None], ...]] = (_hidden_layers, _form_kind)
