"""The rule for validation data: a document security store (ETSI EN 319 142-1 §5.4.2.2) whose streams refer to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asn1crypto import parser

from verify.facts import fact
from verify.steps.changes.account import Account, Addition, ChangedError, members, require_only
from verify.steps.changes.values import Ref, Stream, Value, decoded, same

_RULE = fact("part_validation_data")
_ARRAYS = {"/Certs", "/OCSPs", "/CRLs"}
_VRI_ARRAYS = {"/Cert", "/OCSP", "/CRL"}
_VRI_NAME = re.compile(r"/[0-9A-F]{40}")


def claim_store(account: Account, old: Value, new: Value) -> None:
    """Claims the store and what it has gained. Earlier entries stay; a stream is one DER value and has no entries but its length."""
    before, now = account.opened(old, new, _RULE)
    before, now = members({} if before is None else before, _RULE), members(now, _RULE)
    require_only(now, _RULE, _ARRAYS | {"/Type", "/VRI"})
    _require_kept(before, now)
    known = set(_references(account, before))
    count = sum(_claim_array(account, before.get(key), now[key], known) for key in sorted(_ARRAYS & now.keys()))
    count += _claim_vri(account, before.get("/VRI"), now["/VRI"], known) if "/VRI" in now else 0
    if count or not same(before, now):
        account.additions.append(Addition("validation_data"))


def _require_kept(before: dict[str, Value], now: dict[str, Value]) -> None:
    if before.keys() - now.keys() or now.get("/Type", "/DSS") not in ("/DSS", "/VRI"):
        raise ChangedError("earlier_entries_removed", part=_RULE)


def _references(account: Account, store: dict[str, Value]) -> Iterator[Ref]:
    """The streams that the sealed store names."""
    sealed = account.sealed
    yield from (each for key in _ARRAYS for each in sealed.elements(store.get(key)) if isinstance(each, Ref))
    for one in sealed.entries(store.get("/VRI")).values():
        for key in _VRI_ARRAYS:
            yield from (each for each in sealed.elements(sealed.entries(one).get(key)) if isinstance(each, Ref))


def _claim_array(account: Account, old: Value, new: Value, known: set[Ref]) -> int:
    before, now = account.opened(old, new, _RULE)
    if not isinstance(now, list) or any(each not in now for each in before or []):
        raise ChangedError("earlier_entries_removed", part=_RULE)
    count = 0
    for each in now:
        # A stream that the sealed store names already may stand in further arrays; it needs no
        # proof, it is under the seal.
        if isinstance(each, Ref) and each in known and not account.differs(each):
            continue
        _require_der(account.take(each, _RULE))
        count += 1
    return count


def _claim_vri(account: Account, old: Value, new: Value, known: set[Ref]) -> int:
    before, now = account.opened(old, new, _RULE)
    before, now = members({} if before is None else before, _RULE), members(now, _RULE)
    _require_kept(before, now)
    count = 0
    for key, value in now.items():
        if key == "/Type":
            continue
        if not _VRI_NAME.fullmatch(key):
            raise ChangedError("entry_not_allowed", part=_RULE, entry=key[:50])
        one_before, one = account.opened(before.get(key), value, _RULE)
        one_before, one = members({} if one_before is None else one_before, _RULE), members(one, _RULE)
        require_only(one, _RULE, _VRI_ARRAYS | {"/Type", "/TU", "/TS"})
        _require_kept(one_before, one)
        if not isinstance(one.get("/TU", b""), bytes):
            raise ChangedError("entry_changed", part=_RULE, entry="/TU")
        count += sum(_claim_array(account, one_before.get(each), one[each], known) for each in sorted(_VRI_ARRAYS & one.keys()))
        if "/TS" in one and not same(one_before.get("/TS"), one["/TS"]):
            _require_der(account.take(one["/TS"], _RULE))
        count += key not in before
    return count


def _require_der(value: Value) -> None:
    """Certificates, CRLs, OCSP responses and timestamps are each one DER SEQUENCE."""
    # Nothing but DER: a store is allowed under every certification, so it must not become a
    # place to carry content in.
    if not isinstance(value, Stream) or value.entries.keys() - {"/Length", "/Filter"}:
        raise ChangedError("neither_certificate_nor_status", part=_RULE)
    data = decoded(value)
    try:
        whole = data[:1] == b"\x30" and parser.peek(data) == len(data)
    except ValueError:
        whole = False
    if not whole:
        raise ChangedError("neither_certificate_nor_status", part=_RULE)
