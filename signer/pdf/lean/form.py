"""The form: its fields' names, which of them are signed, and what those signatures still allow (ISO 32000-2 §12.7, §12.8.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from signer.pdf.lean.file import File
from signer.pdf.lean.grammar import NotLeanError, is_reference, reference
from signer.pdf.lean.text import read_text

MOST_FIELDS: Final = 1_000  # a field costs about 10 µs
MOST_LOCKS: Final = 32  # each names fields, possibly the same ones as others
_NO_CHANGE, _ANNOTATE = 1, 3
_PERMISSIONS: Final = {b"1": 1, b"2": 2, b"3": 3}
_DEFAULT_PERMISSION: Final = 2  # what a DocMDP transform without /P allows
_SIGNATURE: Final = re.compile(rb"/Sig(?![A-Za-z0-9])|/[^\x00\s()<>\[\]{}/%#]{0,3}#")


@dataclass(slots=True)
class Form:
    """What the catalog's /AcroForm holds.

    entries     raw values; None where there is no form
    object      number and generation where the form is an object of its own
    fields      references of the top-level fields, as they stand
    names       of the top-level fields
    signed      how many fields are signed
    permission  the strictest DocMDP level of those signatures
    locks       FieldMDP parameters of those signatures
    """

    entries: dict[bytes, bytes] | None = None
    object: tuple[int, int] | None = None
    fields: list[bytes] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    signed: int = 0
    permission: int | None = None
    locks: list[dict[bytes, bytes]] = field(default_factory=list)

    def unique_name(self, wanted: str) -> str:
        """``wanted``; with the first free number appended if the form has a field of that name."""
        candidate, count = wanted, 1
        while candidate in self.names:
            count += 1
            candidate = f"{wanted}-{count}"
        return candidate


_NO_FORM: Final = Form()  # never modified: only the walk over a form's fields adds to a form


def read_form(file: File, catalog: dict[bytes, bytes]) -> Form:
    """The form that the catalog refers to; its fields are walked once."""
    value = catalog.get(b"AcroForm")
    if value is None and b"Perms" not in catalog:
        return _NO_FORM
    form = Form()
    if value is not None:
        form.entries = file.entries(value)
        if form.entries is None:
            raise NotLeanError("the form is null")
        form.object = reference(value) if is_reference(value) else None
        # Readers with XFA ignore the fields that were looked at here.
        if b"XFA" in form.entries:
            raise NotLeanError("the form is drawn by XFA")
        form.fields = file.elements(form.entries.get(b"Fields"))
        if form.fields:
            _Walk(file, form).fields()
    permissions = file.entries(catalog.get(b"Perms"))
    certification = file.entries(permissions.get(b"DocMDP")) if permissions is not None else None
    if certification is not None:
        _note_transforms(file, certification, form)
    return form


def require_allowed(form: Form, file: File, field_name: str, *, visible: bool) -> None:
    """Decides as ``signer.pdf.full.locks`` does, but raises NotLeanError: the sandbox gives the reason."""
    permission = form.permission
    if permission == _NO_CHANGE or (visible and permission is not None and permission < _ANNOTATE):
        raise NotLeanError("an earlier signature forbids it")
    if any(_covers(file, lock, field_name) for lock in form.locks):
        raise NotLeanError("an earlier signature locks all further fields")


class _Walk:
    def __init__(self, file: File, form: Form) -> None:
        self._file, self._form = file, form
        self._seen: set[int] = set()
        # A field below the top is of no interest unless it may be signed, and no field is signed where no name /Sig is.
        self._signed_at_all = any(_SIGNATURE.search(text) for text in (file.document, *file.object_streams()))

    def fields(self) -> None:
        """Like ``signer.pdf.full.locks``: depth first, the kind of a field handed down."""
        stack = [(each, b"", True) for each in self._form.fields]
        while stack:
            value, above, top = stack.pop()
            own = reference(value)
            if own[0] in self._seen or len(self._seen) >= MOST_FIELDS:
                raise NotLeanError("the form names a field twice, or has very many")
            self._seen.add(own[0])
            found = self._file.dictionary(*own)
            if found is None:
                raise NotLeanError("a field is missing")
            entries = found.entries
            if top:
                self._note_name(entries.get(b"T", b"null"))
            if not self._signed_at_all:
                continue
            kind = entries.get(b"FT", above)
            if is_reference(kind or b"?") or b"#" in kind:
                raise NotLeanError("the kind of a field is written oddly")
            if kind == b"/Sig" and b"V" in entries:
                self._note_signature(entries[b"V"])
            stack += [(each, kind, False) for each in self._file.elements(entries.get(b"Kids"))]

    def _note_name(self, raw: bytes) -> None:
        if raw[:1] not in (b"(", b"<") or raw.startswith(b"<<"):
            if raw != b"null":
                raise NotLeanError("the name of a field is written oddly")
            return
        name = read_text(raw)
        if name is None:
            raise NotLeanError("the name of a field is coded oddly")
        self._form.names.add(name)

    def _note_signature(self, value: bytes) -> None:
        signature = self._file.entries(value)
        if signature is not None and b"ByteRange" in signature:
            self._form.signed += 1
            _note_transforms(self._file, signature, self._form)


def _note_transforms(file: File, signature: dict[bytes, bytes], form: Form) -> None:
    for each in file.elements(signature.get(b"Reference")):
        transform = file.entries(each)
        if transform is None:
            continue
        parameters = file.entries(transform.get(b"TransformParams")) or {}
        method = transform.get(b"TransformMethod", b"")
        if method == b"/DocMDP":
            permission = _PERMISSIONS.get(parameters.get(b"P", b""), _DEFAULT_PERMISSION)
            if is_reference(parameters.get(b"P", b"?")):
                raise NotLeanError("a certification is written oddly")
            # Several signatures may restrict what comes later; the strictest counts, whichever came
            # first.
            form.permission = min(permission, form.permission or permission)
        elif method == b"/FieldMDP":
            if len(form.locks) == MOST_LOCKS:
                raise NotLeanError("there are very many locks")
            form.locks.append(parameters)
        elif method not in (b"/UR", b"/UR3", b"/Identity"):
            raise NotLeanError("a signature refers to an unknown transform")


def _covers(file: File, lock: dict[bytes, bytes], field_name: str) -> bool:
    action = lock.get(b"Action")
    if action == b"/All":
        return True
    if action not in (b"/Include", b"/Exclude"):
        raise NotLeanError("a lock is written oddly")
    named = {read_text(each) for each in file.elements(lock.get(b"Fields"))}
    if None in named:
        raise NotLeanError("a lock names a field oddly")
    return (field_name in named) == (action == b"/Include")


def new_fields(form: Form, added: bytes) -> bytes:
    """The array of fields with one more added."""
    return b"[" + b" ".join((*form.fields, added)) + b"]"
