"""Commit (docs/protocol.md, "Use", step 4): the one moment at which a use is sealed or voided, in one durable transaction a batch.

Locks, in the order of ``tables``: epochs (shared: a stop waits for us, or we see it), the uses, and last the ledger's head.
A crash before the commit leaves every use intended; after it, every use ended, its bytes stored and its entry in the ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from sealcore import compiled
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.bulk import Keyed, Many, Rows
from sealcore.platform.ledger import store as ledger_store
from sealcore.platform.ledger.store import Appended, Encoded
from sealcore.protocol.canonical import is_text, require
from sealcore.protocol.ledger_entry import (
    COMMIT_WITHIN_S,
    COMMITMENT_NAMES,
    MOST_WARNINGS,
    SALT_BYTES,
    EntryKind,
    UseEntries,
    jti_hash,
    people_value,
    time_us,
)
from signer.gate import Admission
from signer.model import Packed, Result, SealedUse
from signer.tables import UseKey
from signer.uses.epochs import held_epochs, seen_epochs, stop_refusal
from signer.uses.store import Intent, Reached
from signer.uses.suffixes import Suffixes

if compiled.AVAILABLE:
    from sealcore.compiled import core

MOST_WARNING_CHARACTERS = 200  # of one warning in a ledger entry
_LATEST_US = (COMMIT_WITHIN_S // 2) * 1_000_000  # after the lease, which is at most the other half (``settings.MOST_LEASE_S``)
_MOST_SALTS_BYTES = SALT_BYTES * len(COMMITMENT_NAMES)


class _End(NamedTuple):
    jti: str
    use_index: int
    attempt: int
    state: str
    ledger_index: int
    sealed_sha256: bytes | None
    warnings: str | None


class _Suffix(NamedTuple):
    ledger_index: int
    content: bytes


_STATES = Keyed(
    UseKey,
    "SELECT jti, use_index, state, attempt FROM json_each(?) CROSS JOIN uses ON jti = :jti AND use_index = :use_index",
    "SELECT jti, use_index, state, attempt FROM {keys} JOIN uses USING (jti, use_index) ORDER BY jti, use_index FOR UPDATE OF uses",
)
_END = Many(
    _End,
    "UPDATE uses SET state = :state, ledger_index = :ledger_index, sealed_sha256 = :sealed_sha256, warnings = :warnings, ended_us = :ended_us"
    " WHERE jti = :jti AND use_index = :use_index AND attempt = :attempt AND state = 'intended'",
    "UPDATE uses SET state = given.state, ledger_index = given.ledger_index, sealed_sha256 = given.sealed_sha256,"
    " warnings = given.warnings, ended_us = :ended_us::bigint FROM {rows}"
    " WHERE uses.jti = given.jti AND uses.use_index = given.use_index AND uses.attempt = given.attempt AND uses.state = 'intended'",
)
_SUFFIXES = Rows.of("suffixes", _Suffix)


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that is complete: signed, timestamped, read back."""

    intent: Intent
    suffix: bytes
    sealed_sha256: bytes
    signature_hash: bytes
    timestamp_hash: bytes
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        # Warnings come from a sandbox that a hostile document may control, and go into a ledger entry. Refused here, they cost
        # one document; in Commit, the whole batch.
        plain = len(self.warnings) <= MOST_WARNINGS and all(is_text(word, MOST_WARNING_CHARACTERS) for word in self.warnings)
        require(plain, "the document's warnings cannot be recorded", Code.DOCUMENT_DAMAGED)


def commit(
    engine: Engine,
    clock: Clock,
    suffixes: Suffixes,
    batch: Sequence[Finished],
    *,
    urgent: bool = False,
    reached: Reached = lambda _step: None,
) -> list[Result]:
    """For each attempt the sealed use, or why its signature is discarded; raises DATABASE_UNAVAILABLE, STORAGE_FULL for all.

    ``urgent`` as in ``db.write``. ``reached`` is called with "commit: entries appended" and "commit: uses ended", both before the transaction ends.
    """
    if not batch:
        return []
    # Before the locks, for which others may wait.
    packed = suffixes.pack_all([(one.suffix, one.intent.frozen.certificate_sha256) for one in batch])
    with db.write(engine, urgent=urgent) as connection:
        # Read inside the transaction: on SQLite the wait for the write lock must count against the
        # lease, too.
        now_us = time_us(clock.now())
        refusals = _refusals(connection, batch, now_us)
        # A use that a stop voids ends with an entry of its own. One whose fence has moved does not
        # end here: it is another attempt's.
        ending = [(one, no) for one, no in zip(batch, refusals, strict=True) if no is None or no.code is Code.USE_VOIDED]
        kept = [each for each, no in zip(packed, refusals, strict=True) if no is None]
        suffixes.add_parts(connection, [one for one, _ in kept])
        # Locks the ledger's head, the last lock of all; the uses updated below are locked already
        # (``_refusals`` read them FOR UPDATE).
        places = ledger_store.append_new(connection, _entries(ending, now_us))
        reached("commit: entries appended")
        _end(connection, [(one, place, no is None) for (one, no), place in zip(ending, places, strict=True)], now_us)
        sealed_at = [place.index for (_, no), place in zip(ending, places, strict=True) if no is None]
        _SUFFIXES.insert(connection, [_Suffix(place, stored) for (_, stored), place in zip(kept, sealed_at, strict=True)])
        reached("commit: uses ended")
    suffixes.committed([one for one, _ in kept])
    ends = {id(one): place for (one, _), place in zip(ending, places, strict=True)}
    return [
        _sealed(one, small, ends[id(one)]) if refusal is None else refusal
        for one, (small, _), refusal in zip(batch, packed, refusals, strict=True)
    ]


def _refusals(connection: Connection, batch: Sequence[Finished], now_us: int) -> list[VermilionError | None]:
    """USE_VOIDED where a stop has committed, USE_IN_PROGRESS where another attempt has moved the fence or this one took too long."""
    admissions = {one.intent.item.admission for one in batch}
    # Epochs before uses, the order of ``tables``. The lock is shared: batches do not wait for
    # each other, only a stop waits for them.
    present = held_epochs(connection, seen_epochs(admissions))
    stops = {admission: stop_refusal(admission.epochs, present) for admission in admissions}
    keys = [one.intent.key for one in batch]
    open_uses = {
        (UseKey(row.jti, row.use_index), row.attempt) for row in _STATES.read(connection, sorted(set(keys))) if row.state == "intended"
    }
    results: list[VermilionError | None] = []
    for one, key in zip(batch, keys, strict=True):
        mine = (key, one.intent.attempt)
        # The fence: whoever took the use over has raised its attempt. A worker that hung in the HSM
        # meanwhile ends here.
        if mine not in open_uses:
            results.append(VermilionError(Code.USE_IN_PROGRESS, "another attempt has taken this use over; this signature is discarded"))
            continue
        if now_us >= one.intent.lease_until_us + _LATEST_US:  # a search of the ledger around its timestamp may have found nothing already
            results.append(
                VermilionError(Code.USE_IN_PROGRESS, "this attempt took too long; its signature is discarded, send the request again")
            )
            continue
        open_uses.discard(mine)  # the same attempt cannot end twice
        stopped = stops[one.intent.item.admission]
        results.append(None if stopped is None else VermilionError(Code.USE_VOIDED, f"{stopped.reason}; the signature is discarded"))
    return results


class _Kind:
    """What the entries of one admission have in common, encoded once."""

    def __init__(self, admission: Admission, kind: EntryKind, now_us: int) -> None:
        claims, spki_sha256 = admission.claims, admission.seal.spki_sha256
        policy = f"{claims.policy.id}/{claims.policy.version}"
        values = {"form": claims.form, "people": people_value(admission.people), "policy": policy}
        present = {name: value for name, value in values.items() if value}
        jti = jti_hash(claims.jti)
        self.kind, self.form, self.jti = kind, claims.form or None, claims.jti
        self.salts_head = ledger_store.salts_head(present)
        if compiled.AVAILABLE:
            form, people, approved = (present.get(name) for name in COMMITMENT_NAMES)
            self.compiled = core.UseEntries(kind is EntryKind.SEAL, now_us, jti, spki_sha256, (form, people, approved))
        else:
            self.encoder = UseEntries(kind, now_us, jti_hash=jti, spki_sha256=spki_sha256, values=present)


_Entry = tuple[_Kind, bytes, int, int, bytes, bytes, Sequence[str]]
"""What it has in common with others, leaf hash, index, attempt, hashes of signature and timestamp, warnings."""


def _entries(ending: Sequence[tuple[Finished, VermilionError | None]], now_us: int) -> list[Encoded]:
    """The entry of each use, with salts of its own."""
    shared: dict[tuple[Admission, bool], _Kind] = {}
    entries: list[_Entry] = []
    for one, refusal in ending:
        intent, is_void = one.intent, refusal is not None
        admission = intent.item.admission
        kind = shared.get((admission, is_void))
        if kind is None:
            kind = shared[admission, is_void] = _Kind(admission, EntryKind.VOID if is_void else EntryKind.SEAL, now_us)
        warnings = () if is_void else one.warnings
        entries.append((kind, intent.leaf_hash, intent.item.index, intent.attempt, one.signature_hash, one.timestamp_hash, warnings))
    # Salts are never shared, not even within a token: equal commitments would tell a reader of the ledger which entries belong to one form. All
    # come from one call of the system's random source.
    encoded = _encoded(entries, os.urandom(_MOST_SALTS_BYTES * len(ending)))
    # The discarded signature of a voided use must not be found: verification looks entries up by this hash.
    return [
        Encoded(data, kind.kind, kind.form, kind.jti, signature if kind.kind is EntryKind.SEAL else None, salts)
        for (kind, _, _, _, signature, _, _), (data, salts) in zip(entries, encoded, strict=True)
    ]


def _encoded(entries: Sequence[_Entry], random: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Each entry's bytes, and its salts as they are stored."""
    if compiled.AVAILABLE:
        return core.encode_entries([(one[0].compiled, *one[1:]) for one in entries], random)
    made = []
    for at, (kind, leaf_hash, index, attempts, signature, timestamp, warnings) in enumerate(entries):
        salts = random[at * _MOST_SALTS_BYTES :][: kind.encoder.salts_bytes]
        data = kind.encoder.encode(
            leaf_hash=leaf_hash, index=index, attempts=attempts, signature_hash=signature, timestamp_hash=timestamp, salts=salts, warnings=warnings
        )  # fmt: skip
        made.append((data, kind.salts_head + salts))
    return made


def _end(connection: Connection, ending: Sequence[tuple[Finished, Appended, bool]], now_us: int) -> None:
    rows = [_row(one, place.index, is_sealed=is_sealed) for one, place, is_sealed in ending]
    # The statement repeats the condition on attempt and state: should ``_refusals`` ever be
    # wrong, nothing is committed.
    touched = _END.run(connection, rows, ended_us=now_us)
    if touched != len(rows):
        raise VermilionError(Code.INTERNAL, "a use moved although its row is locked")


def _row(one: Finished, place: int, *, is_sealed: bool) -> _End:
    item, attempt = one.intent.item, one.intent.attempt
    if not is_sealed:
        return _End(item.jti, item.index, attempt, "voided", place, None, None)
    return _End(item.jti, item.index, attempt, "sealed", place, one.sealed_sha256, json.dumps(one.warnings) if one.warnings else None)


def _sealed(one: Finished, packed: Packed, place: Appended) -> SealedUse:
    intent = one.intent
    return SealedUse(
        intent.item.index, one.suffix, place.index, place.leaf_hash, one.sealed_sha256, intent.attempt, one.warnings, repeated=False,
        packed=packed,
    )  # fmt: skip
