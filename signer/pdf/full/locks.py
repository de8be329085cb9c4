"""Which changes earlier signatures still allow: certification (DocMDP) and field locks (FieldMDP), ISO 32000-2 §12.8.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pyhanko.pdf_utils import generic

from sealcore.errors import Code, VermilionError
from signer.pdf.full.objects import found, found_array, found_dictionary

MOST_FIELDS: Final = 100_000
_NO_CHANGE, _ANNOTATE = 1, 3
_DEFAULT_PERMISSION: Final = 2  # what a DocMDP transform without /P allows


@dataclass
class FormState:
    """What the form holds: names of its top-level fields, how many fields are signed, and what those signatures allow."""

    names: set[str] = field(default_factory=set)
    signed: int = 0
    permission: int | None = None  # the strictest DocMDP level
    locks: list[generic.DictionaryObject] = field(default_factory=list)

    def require_allowed(self, field_name: str, *, visible: bool) -> None:
        """Raises DOCUMENT_LOCKED unless a new signature field, visible or not, may be added.

        Level 2 allows signing but no new annotation, and a visible mark is one; Acrobat and pyHanko then call the certification broken.
        """
        if self.permission == _NO_CHANGE:
            raise VermilionError(Code.DOCUMENT_LOCKED, "the document is certified against any change")
        if visible and self.permission is not None and self.permission < _ANNOTATE:
            raise VermilionError(Code.DOCUMENT_LOCKED, "the document is certified: it may be signed invisibly, but not marked on its pages")
        if any(_covers(lock, field_name) for lock in self.locks):
            raise VermilionError(Code.DOCUMENT_LOCKED, "an earlier signature locks all further fields")


def form_state(root: generic.DictionaryObject) -> FormState:
    """Walks the form's fields once."""
    state = FormState()
    form = found_dictionary(root, "/AcroForm")
    if form is not None:
        _walk(form, state)
    permissions = found_dictionary(root, "/Perms")
    certification = found_dictionary(permissions, "/DocMDP") if permissions is not None else None
    if certification is not None:
        _note_transforms(certification, state)
    return state


def _walk(form: generic.DictionaryObject, state: FormState) -> None:
    fields = found_array(form, "/Fields")
    stack: list[tuple[Any, Any, bool]] = [(each, None, True) for each in _entries(fields)]
    seen: set[tuple[int, int]] = set()
    while stack:
        raw, inherited_type, top = stack.pop()
        if isinstance(raw, generic.IndirectObject):
            if (raw.idnum, raw.generation) in seen:
                continue
            seen.add((raw.idnum, raw.generation))
        if len(seen) > MOST_FIELDS:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"the form has more than {MOST_FIELDS} fields")
        node = _readable(raw)
        if not isinstance(node, generic.DictionaryObject):
            continue
        if top and isinstance(title := found(node, "/T"), str):
            state.names.add(title)
        kind = found(node, "/FT") or inherited_type
        if kind == "/Sig" and "/V" in node:
            _note_signature(_readable(node.raw_get("/V")), state)
        stack.extend((each, kind, False) for each in _entries(found_array(node, "/Kids")))


def _readable(raw: Any) -> Any:
    """The object that a reference leads to; None if it cannot be read, since one broken field does not make the form unusable."""
    try:
        return raw.get_object()
    except Exception:  # noqa: BLE001  (pyHanko raises anything)
        return None


def _note_signature(value: Any, state: FormState) -> None:
    if value is None:
        state.signed += 1  # a broken signature still counts: it is not for us to overrule it
    elif isinstance(value, generic.DictionaryObject) and "/ByteRange" in value:
        state.signed += 1
        _note_transforms(value, state)


def _entries(array: generic.ArrayObject | None) -> list[Any]:
    return [array.raw_get(i) for i in range(len(array))] if array is not None else []


def _note_transforms(signature: generic.DictionaryObject, state: FormState) -> None:
    for raw in _entries(found_array(signature, "/Reference")):
        reference = _readable(raw)
        if not isinstance(reference, generic.DictionaryObject):
            continue
        parameters = found_dictionary(reference, "/TransformParams") or generic.DictionaryObject()
        method = found(reference, "/TransformMethod")
        if method == "/DocMDP":
            level = found(parameters, "/P")
            permission = int(level) if isinstance(level, generic.NumberObject) and level in (1, 2, 3) else _DEFAULT_PERMISSION
            state.permission = min(permission, state.permission or permission)
        elif method == "/FieldMDP":
            state.locks.append(parameters)


def _covers(lock: generic.DictionaryObject, field_name: str) -> bool:
    action = found(lock, "/Action")
    named = {str(each.get_object()) for each in _entries(found_array(lock, "/Fields"))}
    if action == "/Include":
        return field_name in named
    return action == "/All" or (action == "/Exclude" and field_name not in named)
