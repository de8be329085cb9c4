"""The rule for later signatures and document timestamps: field, widget, look and signature dictionary, all of them new and static."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from verify.codes import FindingCode, Row, Weight
from verify.facts import Fact, fact
from verify.report import Answer, SealKind
from verify.steps.case import Signature
from verify.steps.changes.account import (
    Account,
    Addition,
    ChangedError,
    Place,
    members,
    plain_leaves,
    rectangle_of,
    require_only,
    require_same,
    shows,
)
from verify.steps.changes.sealed import Node
from verify.steps.changes.values import Ref, Stream, Value, decoded, same

Later = Mapping[Ref, Signature]
"""The filled signature fields of the present document by their fields' references."""

_LINE_END_BYTES: Final = 2
_FIELD: Final = {
    "/Type",
    "/Subtype",
    "/FT",
    "/T",
    "/TU",
    "/V",
    "/F",
    "/Ff",
    "/Rect",
    "/P",
    "/AP",
    "/Lock",
    "/MK",
    "/DA",
    "/DR",
    "/H",
    "/M",
    "/NM",
}
_PLAIN: Final = {"/TU", "/F", "/Ff", "/Rect", "/DA", "/H", "/M", "/NM"}
_FLAGS: Final = 0x2E7  # of /F: invisible, hidden, printed, not viewed, read only, locked (ISO 32000-2 table 167)
_LOCK: Final = {"/Type", "/Action", "/Fields", "/P"}
_DICTIONARY: Final = {
    *("/Type", "/Filter", "/SubFilter", "/Contents", "/Cert", "/ByteRange", "/Reference", "/Changes", "/Name", "/M", "/Location"),
    *("/Reason", "/ContactInfo", "/R", "/V", "/Prop_Build", "/Prop_AuthTime", "/Prop_AuthType"),
}
_LIVELY: Final = frozenset({
    *("/A", "/AA", "/AF", "/Alternates", "/EF", "/F", "/FFilter", "/JS", "/Measure", "/Metadata", "/Next", "/OC", "/OCGs"),
    *("/OCProperties", "/OPI", "/Parent", "/PieceInfo", "/Properties", "/PS", "/PtData", "/Ref", "/RichMediaContent", "/URI", "/XFA"),
})  # fmt: skip
"""Entries by which a look could change, act, or lead elsewhere."""


def end_of(signature: Signature) -> int:
    """Where the bytes end that it covers."""
    assert signature.embedded is not None
    return int(signature.embedded.byte_range[2]) + int(signature.embedded.byte_range[3])


def claim_new_field(account: Account, ref: Value, later: Later) -> None:
    """A field that was added to the form: it has to hold a sound signature."""
    signature = _sound(account, ref, later)
    before = end_of(signature)
    rule = fact("part_signature", name=signature.field_name)
    field = members(account.take(ref, rule, before=before), rule)
    require_only(field, rule, _FIELD)
    if field.get("/FT") != "/Sig" or field.get("/Subtype") != "/Widget" or not isinstance(field.get("/T"), bytes):
        raise ChangedError("no_plain_signature_field", part=rule)
    # /MK would let a reader draw border, background and caption itself, besides the look that
    # is checked.
    if not all(plain_leaves(field[key]) for key in field.keys() & _PLAIN) or field.get("/MK", {}) != {}:
        raise ChangedError("no_plain_signature_field", part=rule)
    _claim_lock(account, field.get("/Lock"), rule, before)
    _claim(account, signature, field, rule, rectangle_of(field.get("/Rect"), rule), ref).is_new = True


def claim_filled_field(account: Account, node: Node, later: Later) -> None:
    """An empty signature field of the sealed revision that was signed later."""
    signature = _sound(account, node.ref, later)
    rule = fact("part_signature", name=signature.field_name)
    field = members(account.rewritten(node.ref, rule, before=end_of(signature)), rule)
    # A second signature in the same field would replace the first, which then no reader lists.
    if account.sealed.get(node.own.get("/V")) is not None:
        raise ChangedError("signed_already", part=rule)
    require_same(node.own, field, rule, {"/V", "/AP", "/P", "/F", "/Rect", "/DR", "/M"})
    if not same(node.own.get("/P", field.get("/P")), field.get("/P")) or not isinstance(field.get("/M", b""), bytes):
        raise ChangedError("signature_field_changed", part=rule)
    resolved: Value = [account.sealed.get(each) for each in account.sealed.elements(node.own.get("/Rect"))]
    if not same(node.own.get("/Rect"), field.get("/Rect")):  # some writers make a field empty that shall show nothing
        resolved = field.get("/Rect")
        old = account.sealed.get(account.sealed.entries(node.own.get("/AP")).get("/N"))
        if shows(rectangle_of(resolved, rule)) or (isinstance(old, Stream) and decoded(old).strip()):
            raise ChangedError("signature_field_moved", part=rule)
    pages = [number for number, (_page, content) in enumerate(account.sealed.pages, 1) if node.ref in _annotations(account, content)]
    if len(pages) > 1:
        raise ChangedError("signature_on_several_pages", part=rule)
    addition = _claim(
        account,
        signature,
        field,
        rule,
        rectangle_of(resolved, rule),
        node.ref,
        old_look=node.own.get("/AP"),
        old_resources=node.own.get("/DR"),
    )
    rectangle = rectangle_of(resolved, rule)
    addition.places.extend(Place(page, rectangle) for page in pages if shows(rectangle))


def _annotations(account: Account, page: dict[str, Value]) -> list[Value]:
    return account.sealed.elements(page.get("/Annots"))


def _sound(account: Account, ref: Value, later: Later) -> Signature:
    signature = later.get(ref) if isinstance(ref, Ref) else None
    if signature is None or signature.embedded is None or not _is_sound(signature):
        raise ChangedError("no_sound_signature")
    # Its covered bytes have to end with an update: what stands behind them in the same update
    # would be covered by no one, and yet look like part of what was signed.
    if not any(0 <= end_of(signature) - revision.end <= _LINE_END_BYTES for revision in account.revisions):
        raise ChangedError("signature_within_revision", part=fact("part_signature", name=signature.field_name))
    return signature


def _is_sound(signature: Signature) -> bool:
    if signature.kind is SealKind.DOCUMENT_TIMESTAMP:
        return signature.is_sound and signature.timestamp is not None and signature.timestamp.trusted is not Answer.NO
    return signature.is_sound


def _is_trusted(signature: Signature) -> bool:
    """Whether we know who signed. A document timestamp whose unit has expired proves no time any more, and still shows nothing."""
    doubts = [each for each in signature.findings if each.row is Row.VALID and each.weight is not Weight.NOTE]
    if signature.kind is SealKind.DOCUMENT_TIMESTAMP:
        return signature.timestamp is not None and all(each.code is FindingCode.TIMESTAMP_EXPIRED for each in doubts)
    return not doubts and (signature.is_ours or signature.is_vouched)


def _claim(  # noqa: PLR0917
    account: Account,
    signature: Signature,
    field: dict[str, Value],
    rule: Fact,
    rectangle: tuple[float, float, float, float],
    ref: Value,
    *,
    old_look: Value = None,
    old_resources: Value = None,
) -> Addition:
    before, flags = end_of(signature), field.get("/F", 0)
    if type(flags) is not int or flags & ~_FLAGS:
        raise ChangedError("signature_field_moves", part=rule)
    # Drafts that nothing refers to are excused only inside these bytes (`Account.close`).
    account.signed_until = max(account.signed_until, before)
    _claim_dictionary(account, field.get("/V"), rule, before)
    look = field.get("/AP")
    if look is not None and not (old_look is not None and same(look, old_look) and not account.differs(look)):
        _claim_look(account, look, rule, before, may_show=signature.kind is not SealKind.DOCUMENT_TIMESTAMP)
    if not same(old_resources, field.get("/DR")):
        _claim_tree(account, field.get("/DR", {}), rule, before, streams=True)
    if signature.kind is SealKind.DOCUMENT_TIMESTAMP and shows(rectangle):
        raise ChangedError("timestamp_shows", part=rule)
    kind = {SealKind.SEAL: "seal", SealKind.FOREIGN: "signature", SealKind.DOCUMENT_TIMESTAMP: "document_timestamp"}[signature.kind]
    addition = Addition(kind, signature.field_name, ref, signature.freeze().owner, _is_trusted(signature))  # type: ignore[arg-type]
    account.additions.append(addition)
    return addition


def _claim_lock(account: Account, value: Value, rule: Fact, before: int) -> None:
    lock = account.take(value, rule, before=before) if isinstance(value, Ref) else value
    if lock is not None:
        require_only(members(lock, rule), rule, _LOCK)
        if not plain_leaves(lock):
            raise ChangedError("lock_refers_elsewhere", part=rule)


def _claim_dictionary(account: Account, value: Value, rule: Fact, before: int) -> None:
    dictionary = members(account.take(value, rule, before=before), rule)
    require_only(dictionary, rule, _DICTIONARY)
    _claim_tree(account, dictionary, rule, before, streams=False)


def _claim_look(account: Account, value: Value, rule: Fact, before: int, *, may_show: bool) -> None:
    """One normal appearance, a form XObject with all that it draws; an appearance that must not show draws nothing."""
    look = members(account.take(value, rule, before=before) if isinstance(value, Ref) else value, rule)
    require_only(look, rule, {"/N"})
    stream = account.take(look.get("/N"), rule, before=before)
    if not isinstance(stream, Stream) or stream.entries.get("/Subtype") != "/Form":
        raise ChangedError("signature_look_not_a_form", part=rule)
    if not may_show and decoded(stream).strip(b"\0\t\n\f\r "):
        raise ChangedError("timestamp_shows", part=rule)
    _claim_tree(account, stream, rule, before, streams=True)


def _claim_tree(account: Account, value: Value, rule: Fact, before: int, *, streams: bool) -> None:
    """Claims everything below: new objects, no actions, nothing optional, nothing outside. A look may use what is sealed as it is."""
    seen: set[Ref] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Ref) and not streams and each == account.sealed.root:
            continue  # /Data of a signature reference: the whole document
        if isinstance(each, Ref):
            if each not in seen:
                seen.add(each)
                is_sealed = streams and account.is_sealed(each)
                waiting.append(account.sealed.get(each) if is_sealed else account.take(each, rule, before=before))
            continue
        if isinstance(each, Stream):
            if not streams:
                raise ChangedError("stream_in_signature", part=rule)
            each = each.entries
        if isinstance(each, dict):
            lively = each.keys() & _LIVELY
            if lively:
                raise ChangedError("lively_look", part=rule, entry=min(lively))
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
