"""The same reading and writing as the lean one, by pyHanko's reader and writer: for every document that is odd somewhere."""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyhanko.pdf_utils import generic

from longterm.model import Contents, Signed, Store, placed
from longterm.plan import BASE_VERSION, EXTENSION_LEVEL, Addition, Stamp
from longterm.reading import TIMESTAMP_SUBFILTER, ordered
from sealcore.errors import Code, VermilionError
from signer.pdf.full.appearance import widget
from signer.pdf.full.form import add_annotation, add_field, own_object, unique_name
from signer.pdf.full.locks import MOST_FIELDS, form_state
from signer.pdf.full.names import exact_names
from signer.pdf.full.objects import ByteRange, Hole, dictionary, found, found_array, found_dictionary, name, number, plainly
from signer.pdf.full.pages import find_pages
from signer.pdf.full.update import Opened, Update, open_document

STORE_KEYS: Final = ("Certs", "CRLs", "OCSPs")  # in the order of ``Store``
_ONE_AT_A_TIME: Final = threading.Lock()  # ``exact_names`` changes pyHanko for the whole process while it is open


@contextmanager
def _opened(document: bytes, identifier: bytes = b"") -> Iterator[Opened]:
    with _ONE_AT_A_TIME, exact_names():
        logging.getLogger("pyhanko").setLevel(logging.CRITICAL)  # its remarks about strangers' files belong in no log
        yield open_document(document, identifier)


def read_full(document: bytes) -> Contents:
    """See ``reading.read``."""
    with _opened(document) as opened:
        with plainly("the document's form"):
            signed = list(_signatures(document, opened.root))
        with plainly("the document's security store"):
            return ordered(signed, _store(opened.root))


def _signatures(document: bytes, root: generic.DictionaryObject) -> Iterator[Signed]:
    form = found_dictionary(root, "/AcroForm")
    fields = found_array(form, "/Fields") if form is not None else None
    stack: list[tuple[Any, Any, str]] = [(each, None, "") for each in fields or ()]
    seen: set[int] = set()
    while stack:
        node, kind, above = stack.pop()
        node = node.get_object()
        if not isinstance(node, generic.DictionaryObject) or id(node) in seen:
            continue
        seen.add(id(node))
        if len(seen) > MOST_FIELDS:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"the form has more than {MOST_FIELDS} fields")
        title, kind = found(node, "/T"), found(node, "/FT") or kind
        own = ".".join(part for part in (above, str(title) if title is not None else "") if part)
        value = found_dictionary(node, "/V")
        if kind == "/Sig" and value is not None and "/ByteRange" in value:
            contents = found(value, "/Contents")
            if not isinstance(contents, generic.TextStringObject | generic.ByteStringObject):
                raise VermilionError(Code.SIGNATURE_BROKEN, f"the signature {own!r} has no value")
            byte_range = [int(each) for each in found_array(value, "/ByteRange") or ()]
            is_timestamp = found(value, "/SubFilter") == f"/{TIMESTAMP_SUBFILTER}"
            yield placed(document, own, is_timestamp, byte_range, contents.original_bytes)
        stack += [(each, kind, own) for each in found_array(node, "/Kids") or ()]


def _store(root: generic.DictionaryObject) -> Store:
    entries = found_dictionary(root, "/DSS") or generic.DictionaryObject()
    kinds = [tuple(each.get_object().data for each in found_array(entries, f"/{key}") or ()) for key in STORE_KEYS]
    return Store(*kinds)


def write_full(document: bytes, addition: Addition) -> tuple[bytes, Stamp | None]:
    """See ``writing.write``."""
    with _opened(document, addition.identifier) as opened:
        hole, byte_range = Hole(addition.hole_size_bytes), ByteRange()
        with plainly("the document's security store"):
            if addition.touches_store:
                _extend_store(opened, addition)
        with plainly("the document's form and pages"):
            if addition.hole_size_bytes:
                _add_timestamp(opened, addition, hole, byte_range)
        with plainly("the document"):
            suffix = opened.update.written(len(document))
    if not addition.hole_size_bytes:
        return suffix, None
    assert hole.offset is not None
    assert byte_range.offset is not None
    end = hole.offset + 2 * hole.size_bytes + 2
    ranges = (0, hole.offset, end, len(document) + len(suffix) - end)
    at, text = byte_range.offset - len(document), ByteRange.text(ranges)
    return suffix[:at] + text + suffix[at + len(text) :], Stamp(ranges)


def _extend_store(opened: Opened, addition: Addition) -> None:
    update, root = opened.update, opened.root
    store = found_dictionary(root, "/DSS")
    if store is None:
        store = dictionary(Type=name("DSS"))
        root["/DSS"] = update.add_object(store)
        update.update_container(root)
    else:
        update.update_container(store)
    references: dict[bytes, Any] = {}
    new = (addition.store.certificates, addition.store.crls, addition.store.ocsps)
    for key, added in zip(STORE_KEYS, new, strict=True):
        array = found_array(store, f"/{key}") or generic.ArrayObject()
        old = [array.raw_get(index) for index in range(len(array))]
        references |= {each.get_object().data: each for each in old}
        for der in added:
            references[der] = update.add_object(generic.StreamObject(stream_data=der))
            old.append(references[der])
        if old:
            store[f"/{key}"] = generic.ArrayObject(old)
    _add_vri(update, store, addition, references)
    _declare(opened)


def _add_vri(update: Update, store: generic.DictionaryObject, addition: Addition, references: dict[bytes, Any]) -> None:
    if not addition.vri:
        return
    entries = found_dictionary(store, "/VRI") or generic.DictionaryObject()
    for key, own in addition.vri.items():
        one = dictionary(Type=name("VRI"))
        for entry, kind in (("/Cert", own.certificates), ("/CRL", own.crls), ("/OCSP", own.ocsps)):
            if kind:
                one[entry] = generic.ArrayObject([references[der] for der in kind])
        entries[f"/{key}"] = update.add_object(one)
    store["/VRI"] = entries
    update.update_container(entries)


def _declare(opened: Opened) -> None:
    root = opened.root
    extensions = found_dictionary(root, "/Extensions")
    if extensions is None:
        root["/Extensions"] = extensions = dictionary()
    if "/ESIC" not in extensions:
        extensions["/ESIC"] = dictionary(BaseVersion=name(BASE_VERSION), ExtensionLevel=number(EXTENSION_LEVEL))
        opened.update.update_container(extensions)


def _add_timestamp(opened: Opened, addition: Addition, hole: Hole, byte_range: ByteRange) -> None:
    update, root = opened.update, opened.root
    state = form_state(root)
    value = dictionary(
        Type=name("DocTimeStamp"),
        Filter=name("Adobe.PPKLite"),
        SubFilter=name(TIMESTAMP_SUBFILTER),
        ByteRange=byte_range,
        Contents=hole,
    )
    page = own_object(update, find_pages(root, {0})[0])
    field = widget(unique_name(addition.field_name, state.names), addition.field_label, update.add_object(value), page)
    reference = update.add_object(field)
    add_field(opened, reference, first_signature=False)
    if page.reference is not None:
        add_annotation(update, page, reference)
