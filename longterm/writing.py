"""The incremental update: validation data into the DSS (ISO 32000-2 §12.8.4.3), and a document timestamp over all of it (§12.8.5).

By the lean writer where it understands the file, else by pyHanko's; both mean the same. Earlier bytes stay as they are.
"""

from __future__ import annotations

import hashlib
from typing import Final

from longterm.model import Store
from longterm.plan import BASE_VERSION, EXTENSION_LEVEL, Addition, Stamp
from longterm.reading import NOT_UNDERSTOOD, STORE_KEYS, TIMESTAMP_SUBFILTER, stream
from signer.pdf.lean.file import File, Found
from signer.pdf.lean.form import Form, read_form
from signer.pdf.lean.grammar import NotLeanError, is_reference, reference
from signer.pdf.lean.prepare import annotate
from signer.pdf.lean.text import text_string
from signer.pdf.lean.tree import first_page
from signer.pdf.lean.update import Update, dictionary

_TIMESTAMP: Final = b"<</Type/DocTimeStamp/Filter/Adobe.PPKLite/SubFilter/%b" % TIMESTAMP_SUBFILTER.encode()
_EXTENSION: Final = b"<</BaseVersion/%b/ExtensionLevel %d>>" % (BASE_VERSION.encode(), EXTENSION_LEVEL)


def write(document: bytes, addition: Addition) -> tuple[bytes, Stamp | None]:
    """What is appended to the document, and where the document timestamp goes, if it holds room for one. DOCUMENT_…"""
    try:
        return write_lean(document, addition)
    except NOT_UNDERSTOOD:
        from longterm.full import write_full  # noqa: PLC0415  (pyHanko: most documents never need it)

        return write_full(document, addition)


def filled(suffix: bytes, document_size_bytes: int, stamp: Stamp, token: bytes) -> bytes:
    """The update with the token in its hole."""
    start = stamp.byte_range[1] - document_size_bytes + 1
    digits = token.hex().encode("ascii")
    return suffix[:start] + digits + suffix[start + len(digits) :]


def write_lean(document: bytes, addition: Addition) -> tuple[bytes, Stamp | None]:
    """Raises NotLeanError, or what numbers and slices raise, where the document is not fully understood."""
    file = File(document)
    root = reference(file.trailer.get(b"Root", b"?"))
    catalog = file.dictionary(*root)
    if catalog is None or catalog.data_offset is not None:
        raise NotLeanError("there is no catalog")
    digest = hashlib.sha256(document)
    update = Update(file)
    entries = dict(catalog.entries)
    if addition.touches_store:
        entries |= {b"DSS": _store(file, update, catalog, addition), b"Extensions": _extensions(file, catalog)}
    if not addition.hole_size_bytes:
        update.write(root[0], dictionary(entries), root[1])
        return update.closed(addition.identifier, digest), None
    value = _field(file, update, entries, addition)
    update.write(root[0], dictionary(entries), root[1])
    suffix, byte_range, _digest = update.finished(value, _TIMESTAMP, addition.hole_size_bytes, addition.identifier, digest)
    return suffix, Stamp(byte_range)


def _store(file: File, update: Update, catalog: Found, addition: Addition) -> bytes:
    """Writes the DSS and what is new in it; gives its reference, the same one where there was one."""
    value = catalog.entries.get(b"DSS")
    old = file.entries(value) or {}
    entries = {b"Type": b"/DSS"} | old
    references: dict[bytes, bytes] = {}
    for key, added in zip(STORE_KEYS, (addition.store.certificates, addition.store.crls, addition.store.ocsps), strict=True):
        listed = file.elements(old.get(key))
        if addition.vri:
            references |= {stream(file, each): each for each in listed}
        for der in added:
            number = update.reserve()
            update.write(number, b"<</Length %d>>\nstream\n%b\nendstream" % (len(der), der))
            references[der] = b"%d 0 R" % number
            listed = [*listed, references[der]]
        if listed:
            entries[key] = b"[%b]" % b" ".join(listed)
    if addition.vri:
        entries[b"VRI"] = _vri(file, update, old.get(b"VRI"), addition.vri, references)
    if value is not None and is_reference(value):
        number, generation = reference(value)
        update.write(number, dictionary(entries), generation)
        return value
    number = update.reserve()
    update.write(number, dictionary(entries))
    return b"%d 0 R" % number


def _vri(file: File, update: Update, old: bytes | None, vri: dict[str, Store], references: dict[bytes, bytes]) -> bytes:
    entries = dict(file.entries(old) or {})
    for key, own in vri.items():
        one = {b"Type": b"/VRI"}
        for name, kind in ((b"Cert", own.certificates), (b"CRL", own.crls), (b"OCSP", own.ocsps)):
            if kind:
                one[name] = b"[%b]" % b" ".join([references[der] for der in kind])
        number = update.reserve()
        update.write(number, dictionary(one))
        entries[key.encode()] = b"%d 0 R" % number
    return dictionary(entries)


def _extensions(file: File, catalog: Found) -> bytes:
    # The file's own entry wins where it has one: its extension level may be higher.
    return dictionary({b"ESIC": _EXTENSION} | (file.entries(catalog.entries.get(b"Extensions")) or {}))


def _field(file: File, update: Update, catalog: dict[bytes, bytes], addition: Addition) -> int:
    """Writes field and widget of the document timestamp, enters them; gives the number of its value, which is still to be written."""
    form: Form = read_form(file, catalog)
    value = update.reserve(2)
    page = first_page(file, catalog.get(b"Pages"))
    named = text_string(form.unique_name(addition.field_name)), text_string(addition.field_label)
    # /F 132: printed and locked (ISO 32000-2 table 167); an empty /Rect shows nothing, as our
    # own verifier demands of a document timestamp.
    widget = b"<</Type/Annot/Subtype/Widget/FT/Sig/T%b/TU%b/V %d 0 R/F 132/Rect[0 0 0 0]/P %d %d R>>"
    update.write(value + 1, widget % (*named, value, page.number, page.generation))
    annotate(file, update, page, b" %d 0 R" % (value + 1))
    entries = (form.entries or {}) | {b"Fields": b"[%b]" % b" ".join([*form.fields, b"%d 0 R" % (value + 1)]), b"SigFlags": b"3"}
    if form.object is not None:
        update.write(form.object[0], dictionary(entries), form.object[1])
    else:
        catalog[b"AcroForm"] = dictionary(entries)
    return value
