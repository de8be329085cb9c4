"""Commit (PROTOCOL "Use", step 4): the one moment at which a use is sealed or voided, in one durable transaction a batch.

Locks, in the order of ``tables``: epochs (shared: a stop waits for us, or we see it), the uses, and last the ledger's head.
A crash before the commit leaves every use intended; after it, every use ended, its bytes stored and its entry in the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, bindparam, insert, update

from sealcore import db
from sealcore.approvals.canonical import is_text, require
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ledger import store as ledger_store
from sealcore.ledger.entry import MOST_WARNINGS, Entry, EntryKind, jti_hash, people_value, time_us
from sealcore.ledger.store import Appended, Draft
from signer.tables import suffixes, uses
from signer.uses import Intent, SealedUse, fence, locked_uses, raised_epochs, stop_refusal

MOST_WARNING_CHARACTERS = 200  # of one warning in a ledger entry


@dataclass(frozen=True)
class Finished:
    """An attempt that is whole: signed, timestamped, read back."""

    intent: Intent
    suffix: bytes
    sealed_sha256: bytes
    signature_hash: bytes
    timestamp_hash: bytes
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        # Warnings come out of a sandbox that a hostile document may have taken over, and go into an entry: here one document
        # is refused for them, in Commit it would be the batch.
        plain = len(self.warnings) <= MOST_WARNINGS and all(is_text(word, MOST_WARNING_CHARACTERS) for word in self.warnings)
        require(plain, "the document's warnings cannot be recorded", Code.DOCUMENT_DAMAGED)


Ended = SealedUse | VermilionError


def commit(engine: Engine, clock: Clock, batch: Sequence[Finished]) -> list[Ended]:
    """For each attempt the sealed use, or why its signature is discarded; raises DATABASE_UNAVAILABLE, STORAGE_FULL for all."""
    if not batch:
        return []
    with db.write(engine) as connection:
        refusals = _refusals(connection, batch)
        now_us = time_us(clock.now())
        drafts = {
            one.intent.key: _draft(one, now_us, voided=refusal is not None)
            for one, refusal in zip(batch, refusals, strict=True)
            if refusal is None or refusal.code is Code.USE_VOIDED
        }
        places = dict(zip(drafts, ledger_store.append(connection, list(drafts.values())), strict=True))
        results: list[Ended] = []
        sealed: list[tuple[Finished, Appended]] = []
        for one, refusal in zip(batch, refusals, strict=True):
            if refusal is not None:
                if one.intent.key in places and refusal.code is Code.USE_VOIDED:
                    _void(connection, one.intent, places[one.intent.key], now_us)
                results.append(refusal)
                continue
            place = places[one.intent.key]
            sealed.append((one, place))
            results.append(
                SealedUse(
                    one.intent.item.index, one.suffix, place.index, place.leaf_hash, one.sealed_sha256, one.intent.attempt,
                    one.warnings, repeated=False,
                )
            )  # fmt: skip
        _seal(connection, sealed, now_us)
    return results


def _refusals(connection: Connection, batch: Sequence[Finished]) -> list[VermilionError | None]:
    """USE_VOIDED where a stop has committed, USE_IN_PROGRESS where another attempt has moved the fence."""
    seen = {key: epoch for one in batch for key, epoch in one.intent.item.admission.epochs.items()}
    raised = raised_epochs(connection, seen)
    rows = locked_uses(connection, [one.intent.key for one in batch])
    results: list[VermilionError | None] = []
    for one in batch:
        row = rows.get(one.intent.key)
        if row is None or row.state != "intended" or row.attempt != one.intent.attempt:
            results.append(VermilionError(Code.USE_IN_PROGRESS, "another attempt has taken this use over; this signature is discarded"))
        elif (stopped := stop_refusal(one.intent.item.admission.epochs, raised)) is not None:
            results.append(VermilionError(Code.USE_VOIDED, f"{stopped.reason}; the signature is discarded"))
        else:
            results.append(None)
    return results


def _draft(one: Finished, now_us: int, *, voided: bool) -> Draft:
    item, admission = one.intent.item, one.intent.item.admission
    claims = admission.claims
    entry = Entry(
        EntryKind.VOID if voided else EntryKind.SEAL,
        now_us,
        jti_hash=jti_hash(item.jti),
        index=item.index,
        attempts=one.intent.attempt,
        spki_sha256=admission.seal.spki_sha256,
        leaf_hash=one.intent.leaf_hash,
        signature_hash=None if voided else one.signature_hash,
        timestamp_hash=None if voided else one.timestamp_hash,
        warnings=() if voided else one.warnings,
    )
    policy = f"{claims.policy.id}/{claims.policy.version}"
    return Draft.committing(entry, {"form": claims.form, "people": people_value(admission.people), "policy": policy}, jti=item.jti)


def _seal(connection: Connection, sealed: Sequence[tuple[Finished, Appended]], now_us: int) -> None:
    if not sealed:
        return
    statement = (
        update(uses)
        .where(uses.c.jti == bindparam("at_jti"), uses.c.use_index == bindparam("at_index"))
        .where(uses.c.attempt == bindparam("at_attempt"), uses.c.state == "intended")
        .values(
            state="sealed",
            ledger_index=bindparam("to_ledger_index"),
            ledger_leaf_hash=bindparam("to_leaf_hash"),
            sealed_sha256=bindparam("to_sha256"),
            warnings=bindparam("to_warnings"),
            ended_us=now_us,
        )
    )
    rows = [
        {
            "at_jti": one.intent.key[0],
            "at_index": one.intent.key[1],
            "at_attempt": one.intent.attempt,
            "to_ledger_index": place.index,
            "to_leaf_hash": place.leaf_hash,
            "to_sha256": one.sealed_sha256,
            "to_warnings": json.dumps(one.warnings),
        }
        for one, place in sealed
    ]
    result = connection.execute(statement, rows)
    assert result.rowcount == len(rows), "a use moved although its row is locked"
    connection.execute(
        insert(suffixes), [{"jti": one.intent.key[0], "use_index": one.intent.key[1], "content": one.suffix} for one, _ in sealed]
    )


def _void(connection: Connection, intent: Intent, place: Appended, now_us: int) -> None:
    values = {"state": "voided", "ledger_index": place.index, "ledger_leaf_hash": place.leaf_hash, "ended_us": now_us}
    result = connection.execute(update(uses).where(fence(intent)).values(values))
    assert result.rowcount == 1, "a use moved although its row is locked"
