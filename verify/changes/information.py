"""The rule for what writers say of themselves: dates and producer, a newer PDF version, extensions declared. It shows on no page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from verify.changes.account import Account, Addition, ChangedError, members, plain_leaves, require_only
from verify.changes.values import Stream, Value, decoded, pdf_text, same

_RULE = "the document information"
_OWN = {"/ModDate", "/Producer"}
_VERSIONS = ("/1.0", "/1.1", "/1.2", "/1.3", "/1.4", "/1.5", "/1.6", "/1.7", "/2.0")
_EXTENSION = {"/Type", "/BaseVersion", "/ExtensionLevel", "/URL", "/ExtensionRevision"}
_DATE = re.compile(r"(?:D:)?\d[\d:TZ+'. -]+")
_UNSAID = {"", "x-default"}
_MOST_METADATA_BYTES = 1024 * 1024
_OWN_METADATA = {
    "{http://ns.adobe.com/xap/1.0/}ModifyDate",
    "{http://ns.adobe.com/xap/1.0/}MetadataDate",
    "{http://ns.adobe.com/pdf/1.3/}Producer",
    "{http://ns.adobe.com/xap/1.0/mm/}InstanceID",  # of this saving of the file (ISO 16684-1 §8.4)
}
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_RESOURCE = f"{_RDF}resource"  # a URI as a value
_NO_CONTENT = {"{adobe:ns:meta/}xmptk", f"{_RDF}about", "about", _RESOURCE}
_USUAL = {(f"{_RDF}parseType", "Resource"), ("{http://www.w3.org/XML/1998/namespace}lang", "x-default")}  # which writers leave out
_PLUMBING = {"{adobe:ns:meta/}xmpmeta", f"{_RDF}RDF", f"{_RDF}Description"}


def claim_information(account: Account, old: Value, new: Value, metadata: Value) -> None:
    """/Info of the trailer: its date and producer alone. What the present XMP says too may be left out, as PDF 2.0 wants it.

    Writers that touch these encode the other texts anew.
    """
    if same(old, new) and not account.differs(new):
        return
    before, now = account.opened(old, new, _RULE)
    before, now = members({} if before is None else before, _RULE), members(now, _RULE)
    packet = account.now(metadata)
    said = {_normal(each[-1]) for each in _facts(packet)} if isinstance(packet, Stream) else set[str]()
    lost = {key for key in before.keys() - now.keys() if _normal(_plain(account.sealed.get(before[key]))) in said}
    for key in (before.keys() | now.keys()) - _OWN - lost:
        require_same_text(account, before.get(key), now.get(key), f"{_RULE}: {key}")
    if not all(isinstance(account.now(now.get(key, b"")), bytes) for key in _OWN):
        raise ChangedError(f"{_RULE}: not a text")
    note(account, changed=not same(before, now))


def require_same_text(account: Account, old: Value, new: Value, what: str) -> None:
    """The same value, or the same text in whatever encoding of PDF."""
    if same(old, new) and not account.differs(new):
        return
    one, other = account.sealed.get(old), account.now(new)
    if account.differs(new) or not isinstance(one, bytes) or not isinstance(other, bytes) or pdf_text(one) != pdf_text(other):
        raise ChangedError(f"{what} was changed")


def claim_version(account: Account, old: Value, new: Value) -> None:
    """/Version of the catalog: only upwards, also from the file's header (ISO 32000-2 §7.5.2). Writers that fill in a form raise it."""
    was = old if old is not None else account.sealed.header_version
    if was not in _VERSIONS or new not in _VERSIONS or _VERSIONS.index(new) < _VERSIONS.index(was):
        raise ChangedError("the PDF version was changed")
    note(account, changed=True)


def claim_extensions(account: Account, old: Value, new: Value) -> None:
    """/Extensions of the catalog: plain declarations (ISO 32000-2 §7.12), earlier ones as they were."""
    before, now = account.opened(old, new, "the declared extensions")
    before, now = members({} if before is None else before, _RULE), members(now, _RULE)
    for key in before.keys() | now.keys():
        if same(before.get(key), now.get(key)):
            continue
        was, one = (value if isinstance(value, list) else [value] for value in (before.get(key, []), now.get(key)))
        if not same(was, one[: len(was)]) and not (len(was) == 1 and was[0] in one):
            raise ChangedError("the declared extensions: earlier ones were changed")
        for each in one:
            require_only(members(each, "the declared extensions"), "the declared extensions", _EXTENSION)
            if not plain_leaves(each):
                raise ChangedError("the declared extensions: not plain")
    note(account, changed=not same(before, now) and not account.additions)  # what was added declares itself so


def claim_metadata(account: Account, old: Value, new: Value) -> None:
    """The document's XMP: its dates and producer alone (ISO 16684-1)."""
    before, now = account.opened(old, new, "the metadata")
    if before is now:
        return
    if not isinstance(now, Stream) or now.entries.keys() - {"/Type", "/Subtype", "/Length", "/Filter"}:
        raise ChangedError("the metadata was changed")
    if before is not None and not isinstance(before, Stream):
        raise ChangedError("the metadata was changed")
    was, facts = (set(_facts(before)) if before is not None else set[tuple[str, ...]](), set(_facts(now)))
    info = account.sealed.entries(account.sealed.trailer.get("/Info"))
    known = {_normal(_plain(account.sealed.get(each))) for each in info.values()} | _UNSAID
    if was - facts or not {_normal(each[-1]) for each in facts - was} <= known:  # some writers tell there what /Info tells
        raise ChangedError("the metadata was changed")
    note(account, changed=True)


def _normal(text: str) -> str:
    """A date in either spelling as its digits."""
    return re.sub(r"\D", "", text) if _DATE.fullmatch(text) else text


def _plain(value: Value) -> str:
    return pdf_text(value) if isinstance(value, bytes) else str(value).removeprefix("/")


def _facts(stream: Stream) -> list[tuple[str, ...]]:
    """What an XMP packet says but for dates and producer: each property with its path and text, in order of name."""
    data = decoded(stream, _MOST_METADATA_BYTES)
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", data) or len(data) >= _MOST_METADATA_BYTES:
        raise ChangedError("the metadata was changed")
    try:
        root = ElementTree.fromstring(data.strip(b"\0 \r\n\t"))  # noqa: S314  (no document type, so no entities)
    except ElementTree.ParseError:
        raise ChangedError("the metadata was changed") from None
    return sorted(_properties(root, ()))


def _properties(element: ElementTree.Element, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if element.tag in _OWN_METADATA:
        return
    if element.tag not in _PLUMBING:
        path = (*path, element.tag)
        yield (*path, (element.text or "").strip() or element.attrib.get(_RESOURCE, ""))
    for key, value in element.attrib.items():
        if key not in _OWN_METADATA | _NO_CONTENT and (key, value) not in _USUAL:
            yield (*path, key, value.strip())
    for child in element:
        yield from _properties(child, path)


def note(account: Account, *, changed: bool) -> None:
    """Enters what was found once, under one name."""
    if changed and not any(each.kind == "document_information" for each in account.additions):
        account.additions.append(Addition("document_information"))
