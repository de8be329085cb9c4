"""Which rule looks after which part of a file: trailer, catalog, form, pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from verify.facts import fact
from verify.report import Certification
from verify.steps.case import Signature
from verify.steps.changes.account import Account, Addition, ChangedError, Place, added, members, rectangle_of, require_same, shows
from verify.steps.changes.elsewhere import note_elsewhere
from verify.steps.changes.filling import Filled, Locks, claim_filled
from verify.steps.changes.information import (
    claim_extensions,
    claim_information,
    claim_metadata,
    claim_version,
    note_left_out,
    require_same_text,
)
from verify.steps.changes.profiles import claim_output_intents
from verify.steps.changes.resources import claim_resources, require_known
from verify.steps.changes.revisions import Revision
from verify.steps.changes.sealed import SealedRevision, UnclearError
from verify.steps.changes.signing import Later, claim_filled_field, claim_new_field
from verify.steps.changes.store import claim_store
from verify.steps.changes.values import Ref, Value, pdf_text, same

_CATALOG, _FORM, _A_FIELD = fact("part_catalog"), fact("part_form"), fact("part_a_field")
_TRAILER = {"/Size", "/Prev", "/Root", "/Info", "/ID", "/Type", "/W", "/Index", "/Length", "/Filter", "/DecodeParms"}
_SIGNATURES_EXIST, _APPEND_ONLY = 1, 2  # /SigFlags (ISO 32000-2 table 225)
_USUAL = [[b"/Helv", b"0", b"Tf", *black, b"g"] for black in ([b"0"], [b"0.0"])]
_ID_BYTES = 16  # of the first identifier, as ISO 32000-2 §14.4 wants it
_INHERITED = {"/MediaBox", "/CropBox", "/Rotate", "/Resources"}  # of a page, which some write out (ISO 32000-2 table 31)
_UNDER_A_FINAL_SEAL = {"validation_data", "document_timestamp", "document_information"}


@dataclass(frozen=True)
class Permission:
    """What the seal allows: its certification, and the fields that it locked."""

    certification: Certification
    locks: Locks


def additions_of(sealed: SealedRevision, revisions: Sequence[Revision], signatures: Later, permission: Permission) -> list[Addition]:
    """Everything that was added, each of a permitted kind; raises ChangedError where anything else differs."""
    account = Account(sealed, revisions)
    info = _claim_trailer(account)
    old = sealed.entries(sealed.root)
    new = members(account.rewritten(sealed.root, _CATALOG), _CATALOG) if account.differs(sealed.root) else old
    require_same(old, new, _CATALOG, {"/DSS", "/AcroForm", "/Extensions", "/Version", "/Metadata", "/OutputIntents", "/Lang"})
    require_same_text(account, old.get("/Lang"), new.get("/Lang"), _CATALOG, "/Lang")
    for key in ("/DSS", "/AcroForm", "/Extensions", "/Version", "/Metadata", "/OutputIntents"):
        if key in old and key not in new:
            raise ChangedError("entry_removed", part=_CATALOG, entry=key)
    if "/DSS" in new:
        claim_store(account, old.get("/DSS"), new["/DSS"])
    if "/AcroForm" in new:
        _claim_form(account, old.get("/AcroForm"), new["/AcroForm"], signatures, permission)
    _claim_pages(account)
    if "/Extensions" in new:
        claim_extensions(account, old.get("/Extensions"), new["/Extensions"])
    if not same(old.get("/Version"), new.get("/Version")):
        claim_version(account, old.get("/Version"), new.get("/Version"))
    if "/Metadata" in new:
        claim_metadata(account, old.get("/Metadata"), new["/Metadata"])
    if "/OutputIntents" in new:
        claim_output_intents(account, old.get("/OutputIntents"), new["/OutputIntents"])
    if info is not None:
        claim_information(account, sealed.trailer.get("/Info"), info, new.get("/Metadata"))
    if account.revisions and account.revisions[-1].trailer.get("/Info") is None:
        note_left_out(account, sealed.trailer.get("/Info"), new.get("/Metadata"))
    account.close()
    _require_permitted(account.additions, permission)
    if account.unclear:
        raise UnclearError(account.unclear[0])
    return account.additions


def _claim_trailer(account: Account) -> Value:
    """The trailers name the same catalog and file; gives what the last of them has as /Info."""
    old = account.sealed.trailer
    info, size = old.get("/Info"), old.get("/Size")
    for revision in account.revisions:
        trailer = revision.trailer
        for key in trailer.keys() - _TRAILER:
            if not same(old.get(key), trailer[key]):
                raise ChangedError("entry_changed", part=fact("part_trailer"), entry=key)
        if trailer.get("/Root") != account.sealed.root or "/Encrypt" in old.keys() ^ trailer.keys():
            raise ChangedError("trailer_other_catalog")
        if type(size) is not int or trailer["/Size"] < size:
            raise ChangedError("trailer_size")
        info, size = trailer.get("/Info", info), trailer["/Size"]
        _require_same_file(old.get("/ID"), trailer.get("/ID"))
    return info


def _require_same_file(old: Value, new: Value) -> None:
    if new is None or old is None:
        return
    are_pairs = isinstance(old, list) and isinstance(new, list) and len(new) == 2 and all(type(each) is bytes for each in [*old[:1], *new])
    if not are_pairs or not old or not (old[0] == new[0] or (len(new[0]) == _ID_BYTES and old[0].startswith(new[0]))):  # cut by some
        raise ChangedError("trailer_other_file")


def _claim_form(account: Account, old: Value, new: Value, signatures: Later, permission: Permission) -> None:
    before, now = account.opened(old, new, _FORM)
    before, now = members({} if before is None else before, _FORM), members(now, _FORM)
    no_need = {"/NeedAppearances": False}  # which some writers say outright
    require_same(no_need | before, no_need | now, _FORM, {"/Fields", "/SigFlags", "/DR", "/DA"})
    if not same(before.get("/DA", now.get("/DA")), now.get("/DA")) or ("/DA" not in before and not _is_usual(now.get("/DA"))):
        raise ChangedError("entry_changed", part=_FORM, entry="/DA")
    was, flags = before.get("/SigFlags", 0), now.get("/SigFlags", 0)
    if type(was) is not int or type(flags) is not int or was & ~flags or flags & ~(was | _SIGNATURES_EXIST | _APPEND_ONLY):
        raise ChangedError("entry_changed", part=_FORM, entry="/SigFlags")
    resources = claim_resources(account, before.get("/DR"), now.get("/DR"))
    filled = Filled()
    for node in account.sealed.fields():
        if node.inherited.get("/FT") == "/Sig":
            if account.differs(node.ref):
                claim_filled_field(account, node, signatures)
        else:
            claim_filled(account, node, permission.locks, filled)
    note_elsewhere(account, filled)
    if "/Fields" in now:
        for each in added(account, before.get("/Fields"), now["/Fields"], fact("part_form_fields")):
            claim_new_field(account, each, signatures)
        _require_own_names(account)
    require_known(account, resources)


def _is_usual(appearance: Value) -> bool:
    """What writers give a form that has no default appearance: black Helvetica."""
    return appearance is None or (isinstance(appearance, bytes) and appearance.split() in ([], *_USUAL))


def _require_own_names(account: Account) -> None:
    """Every field that was added has a name that no other has."""
    names = [node.name for node in account.sealed.fields() if node.is_field]
    for each in account.additions:
        if each.is_new:
            names.append(pdf_text(members(account.now(each.ref), _A_FIELD).get("/T", b"")))
            if names.count(names[-1]) > 1:
                raise ChangedError("fields_of_one_name")


def _claim_pages(account: Account) -> None:
    """A page may gain the widgets of later signatures behind its annotations, and nothing else."""
    unplaced = {each.ref: each for each in account.additions if each.is_new}
    times, seen = Counter(ref for ref, _content in account.sealed.pages), set[Ref]()
    for number, (ref, old) in enumerate(account.sealed.pages, 1):
        if ref in seen:
            continue
        seen |= {ref} if ref is not None else set()
        new, part = old, fact("part_page", page=number)
        if ref is not None and account.differs(ref):
            new = members(account.rewritten(ref, part), part)
        own = {key for key in new.keys() - old.keys() if ref is not None and _is_written_out(account, ref, key, new[key])}
        require_same(old, new, part, {"/Annots"} | own)
        if "/Annots" in old and "/Annots" not in new:
            raise ChangedError("entry_removed", part=part, entry="/Annots")
        if "/Annots" not in new:
            continue
        for each in added(account, old.get("/Annots"), new["/Annots"], fact("part_annotations", page=number)):
            addition = unplaced.pop(each, None) if isinstance(each, Ref) else None
            if addition is None:
                raise ChangedError("annotation_added", part=part)
            _place(account, addition, number, ref)
            if addition.places and ref is not None and times[ref] > 1:
                raise ChangedError("page_twice", part=part)
    if any(shows(rectangle_of(members(account.now(ref), _A_FIELD).get("/Rect"), _A_FIELD)) for ref in unplaced):
        raise ChangedError("signature_on_no_page")


def _is_written_out(account: Account, page: Ref, key: str, value: Value) -> bool:
    """Whether it is what the page inherits anyway."""
    if key not in _INHERITED:
        return False
    try:
        return same(value, account.sealed.inherited(page, key))
    except UnclearError as unclear:
        account.unclear.append(unclear.fact)
        return True


def _place(account: Account, addition: Addition, number: int, page: Ref | None) -> None:
    field = members(account.now(addition.ref), _A_FIELD)
    if "/P" in field and field["/P"] != page:
        raise ChangedError("signature_other_page", part=fact("part_signature", name=addition.name))
    rectangle = rectangle_of(field.get("/Rect"), _A_FIELD)
    if shows(rectangle):
        addition.places.append(Place(number, rectangle))


def _require_permitted(additions: Sequence[Addition], permission: Permission) -> None:
    """What the certification allows (ISO 32000-2 table 257). Of a certified document, strangers may sign only the fields that it has."""
    for each in additions:
        if permission.certification is Certification.FINAL and each.kind not in _UNDER_A_FINAL_SEAL:
            raise ChangedError("final")
        if permission.certification is not Certification.NONE and each.kind == "signature" and each.is_new and not each.trusted:
            raise ChangedError("stranger_adds_field")


def by_field(signatures: Sequence[Signature]) -> Later:
    """The signatures whose field is an object of its own."""
    return {Ref(*each.reference): each for each in signatures if each.reference is not None}
