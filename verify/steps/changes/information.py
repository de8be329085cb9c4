"""The rule for what writers say of themselves: dates and producer, a newer PDF version, extensions declared. It shows on no page.

Each entry of /Info and each property of XMP is held by itself against a closed list. Dates, producer, the saving's identifier and the
history are the writer's own. What readers show of the document (title, author, subject, keywords, properties of somebody's own, the
conformance that it declares) stays what it was; writers only copy it from /Info to XMP, each entry to the property that repeats it.
"""

from __future__ import annotations

import re

from verify.facts import Fact, fact
from verify.steps.changes import metadata as xmp
from verify.steps.changes.account import Account, Addition, ChangedError, members, plain_leaves, require_only
from verify.steps.changes.metadata import Xmp
from verify.steps.changes.values import IrregularError, Stream, Value, is_text, pdf_text, same

_RULE = fact("part_information")
_METADATA, _EXTENSIONS = fact("part_metadata"), fact("part_extensions")
_OWN = {"/ModDate", "/Producer"}
_OF_MAKING = {"/Creator", "/CreationDate", "/Trapped"}
_VERSIONS = ("/1.0", "/1.1", "/1.2", "/1.3", "/1.4", "/1.5", "/1.6", "/1.7", "/2.0")
_EXTENSION = {"/Type", "/BaseVersion", "/ExtensionLevel", "/URL", "/ExtensionRevision"}
_IDENTIFIER = re.compile(r"[\w:.#/-]{0,100}", re.ASCII)


def claim_information(account: Account, old: Value, new: Value, metadata: Value) -> None:
    """/Info of the trailer: its date and producer alone. What the present XMP repeats may be left out, as PDF 2.0 wants it.

    Writers that touch these encode the other texts anew.
    """
    if same(old, new) and not account.differs(new):
        return
    if isinstance(new, dict):  # which PDFium takes for none
        raise ChangedError("part_changed", part=_RULE)
    before, now = account.opened(old, new, _RULE)
    before, now = members({} if before is None else before, _RULE), members({} if now is None else now, _RULE)
    lost = before.keys() - now.keys() - _OWN
    repeated = _present(account, metadata) if lost else {}
    lost -= {key for key in lost & xmp.PAIRS.keys() if xmp.says(key, _plain(account.sealed.get(before[key])), repeated.get(xmp.PAIRS[key]))}
    for key in (before.keys() | now.keys()) - _OWN:
        if key in lost or key in now:
            _require_same_entry(account, key, before.get(key), now.get(key))
    for key in _OWN & now.keys():
        value = account.now(now[key])
        is_own = isinstance(value, bytes) and (key != "/ModDate" or xmp.is_date(pdf_text(value)))
        if not is_own and not (same(before.get(key), now[key]) and not account.differs(now[key])):
            raise ChangedError("entry_changed", part=_RULE, entry=key)
    note(account, changed=not same(before, now))


def note_left_out(account: Account, old: Value, metadata: Value) -> None:
    """A trailer without /Info: of readers, some go back to the one before, and others show what XMP says, or nothing."""
    before, present = account.sealed.entries(old), _present(account, metadata)
    for key in before.keys() - _OWN - _OF_MAKING:
        text = _plain(account.sealed.get(before[key]))
        if text.strip() and not (key in xmp.PAIRS and xmp.says(key, text, present.get(xmp.PAIRS[key]))):
            account.unclear.append(fact("entry_removed", part=fact("part_trailer"), entry="/Info"))
            return


def _require_same_entry(account: Account, key: str, old: Value, new: Value) -> None:
    if key == "/CreationDate" and isinstance(old, bytes) and isinstance(new, bytes) and xmp.is_same_date(pdf_text(old), pdf_text(new)):
        return
    require_same_text(account, old, new, _RULE, key)


def _present(account: Account, metadata: Value) -> dict[str, Xmp]:
    packet = account.now(metadata)
    try:
        return xmp.properties(packet, is_new=False) if isinstance(packet, Stream) else {}
    except IrregularError:
        return {}


def require_same_text(account: Account, old: Value, new: Value, part: Fact, entry: str) -> None:
    """The same value, or the same text in whatever encoding of PDF."""
    if same(old, new) and not account.differs(new):
        return
    one, other = account.sealed.get(old), account.now(new)
    are_texts = isinstance(one, bytes) and isinstance(other, bytes) and is_text(one) and is_text(other)
    if account.differs(new) or not are_texts or pdf_text(one) != pdf_text(other):
        raise ChangedError("entry_changed", part=part, entry=entry)


def claim_version(account: Account, old: Value, new: Value) -> None:
    """/Version of the catalog: only upwards, also from the file's header (ISO 32000-2 §7.5.2). Writers that fill in a form raise it."""
    was = old if old is not None else account.sealed.header_version
    if was not in _VERSIONS or new not in _VERSIONS or _VERSIONS.index(new) < _VERSIONS.index(was):
        raise ChangedError("version_changed")
    note(account, changed=True)


def claim_extensions(account: Account, old: Value, new: Value) -> None:
    """/Extensions of the catalog: plain declarations (ISO 32000-2 §7.12), earlier ones as they were."""
    before, now = account.opened(old, new, _EXTENSIONS)
    before, now = members({} if before is None else before, _RULE), members(now, _RULE)
    for key in before.keys() | now.keys():
        if same(before.get(key), now.get(key)):
            continue
        was, one = (value if isinstance(value, list) else [value] for value in (before.get(key, []), now.get(key)))
        if not same(was, one[: len(was)]) and not (len(was) == 1 and was[0] in one):
            raise ChangedError("part_changed", part=_EXTENSIONS)
        for each in one:
            require_only(members(each, _EXTENSIONS), _EXTENSIONS, _EXTENSION)
            if not plain_leaves(each):
                raise ChangedError("refers_elsewhere", part=_EXTENSIONS)
    note(account, changed=not same(before, now) and not account.additions)  # what was added declares itself so


def claim_metadata(account: Account, old: Value, new: Value) -> None:
    """The document's XMP (ISO 16684-1), property by property."""
    before, now = account.opened(old, new, _METADATA)
    if before is now:
        return
    if not isinstance(now, Stream) or now.entries.keys() - {"/Type", "/Subtype", "/Length", "/Filter"}:
        raise ChangedError("part_changed", part=_METADATA)
    if (now.entries.get("/Type"), now.entries.get("/Subtype")) != ("/Metadata", "/XML"):  # else some readers find none
        raise ChangedError("part_changed", part=_METADATA)
    if before is not None and not isinstance(before, Stream):
        raise ChangedError("part_changed", part=_METADATA)
    try:
        after = xmp.properties(now, is_new=before is None or before.data != now.data)
    except IrregularError:
        raise ChangedError("part_changed", part=_METADATA) from None
    try:
        was = xmp.properties(before, is_new=False) if before is not None else {}
    except IrregularError:
        account.unclear.append(fact("metadata_unread"))
        return
    info = account.sealed.entries(account.sealed.trailer.get("/Info"))
    said = {key: _plain(account.sealed.get(value)) for key, value in info.items()}
    for name in was.keys() | after.keys():
        if was.get(name) != after.get(name) and not _may_become(name, was.get(name), after.get(name), said, was):
            raise ChangedError("entry_changed", part=_METADATA, entry=name.partition("}")[2][:50])
    note(account, changed=True)


def _may_become(name: str, old: Xmp | None, new: Xmp | None, info: dict[str, str], sealed: dict[str, Xmp]) -> bool:
    """Whether a property may be another than it was, or may be there or not."""
    if name in xmp.DATES:
        return new is None or (isinstance(new, str) and (not new or xmp.is_date(new)))
    if name == xmp.PRODUCER:
        return new is None or isinstance(new, str)
    if name == xmp.INSTANCE:
        return new is None or _is_identifier(new)
    if name == xmp.HISTORY:
        return _is_history(old, new)
    if name == xmp.ABOUT:
        return new is None
    if old is not None or new is None:
        return name == xmp.PAIRS["/CreationDate"] and isinstance(old, str) and isinstance(new, str) and xmp.is_same_date(old, new)
    if name == xmp.FORMAT:
        return new == "application/pdf"
    if name == xmp.DOCUMENT:
        return _is_identifier(new)
    if name == xmp.SUBJECTS:
        keywords = [info.get("/Keywords", ""), sealed.get(xmp.PAIRS["/Keywords"])]
        return any(isinstance(each, str) and xmp.is_list_of(each, new) for each in keywords)
    return any(name == paired and xmp.says(key, info.get(key, ""), new) for key, paired in xmp.PAIRS.items())


def _is_identifier(value: Xmp) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def _is_history(old: Xmp | None, new: Xmp | None) -> bool:
    """Earlier events stay as they were, in front of new ones."""
    was, now = old or ("Seq",), new or ("Seq",)
    if not isinstance(was, tuple) or not isinstance(now, tuple) or was != now[: len(was)]:
        return False
    return all(
        isinstance(event, tuple) and event[0] == "struct" and all(key in xmp.EVENTS and isinstance(text, str) for key, text in event[1:])
        for event in now[len(was) :]
    )


def _plain(value: Value) -> str:
    return pdf_text(value) if isinstance(value, bytes) else str(value).removeprefix("/")


def note(account: Account, *, changed: bool) -> None:
    """Enters what was found once, under one name."""
    if changed and not any(each.kind == "document_information" for each in account.additions):
        account.additions.append(Addition("document_information"))
