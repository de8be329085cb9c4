"""Uses: each (jti, index) is counted once, by a database constraint (PROTOCOL "Use"; ``model/exactly_once.py``).

``intend`` is step 2. A use belongs to one attempt at a time, by a lease; whoever takes it over raises the attempt number, so
that an earlier attempt, however late it wakes, cannot commit (the fence, in ``commit``).
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, select, tuple_, update

from sealcore import db
from sealcore.approvals.covers import GrantCovers
from sealcore.approvals.leaf import SALT_BYTES, leaf_hash
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.ledger.entry import time_us
from signer.gate import AdmittedItem, grant_leaf
from signer.register import Epochs
from signer.tables import AnyRow, epochs, insert_missing, suffixes, tokens, uses

_US = 1_000_000


@dataclass(frozen=True)
class Frozen:
    """All that shapes the bytes, fixed at the first Intend so that a later attempt makes the same document.

    signing_time_us is /M; hole_size_bytes is the room for the CMS; pictures and texts are bound by the leaf.
    """

    certificate_sha256: str
    signing_time_us: int
    field_name: str
    hole_size_bytes: int
    writer_version: str

    def fits(self, other: Frozen) -> bool:
        """Whether this process, which would freeze ``other``, can still make exactly these bytes."""
        return (self.certificate_sha256, self.hole_size_bytes, self.writer_version) == (
            other.certificate_sha256,
            other.hole_size_bytes,
            other.writer_version,
        )


@dataclass(frozen=True)
class Wanted:
    """A document that passed the gate, with what would be frozen if this is its first Intend."""

    item: AdmittedItem
    proposal: Frozen


@dataclass(frozen=True)
class Intent:
    """A use that is this attempt's to work on until ``lease_until_us``."""

    item: AdmittedItem
    attempt: int
    frozen: Frozen
    leaf_hash: bytes
    lease_until_us: int

    @property
    def key(self) -> tuple[str, int]:
        """(jti, index)."""
        return self.item.jti, self.item.index


@dataclass(frozen=True)
class SealedUse:
    """A use that is sealed, with the bytes to append. ``repeated`` when they were committed by an earlier request."""

    index: int
    suffix: bytes
    ledger_index: int
    ledger_leaf_hash: bytes
    sealed_sha256: bytes
    attempts: int
    warnings: tuple[str, ...]
    repeated: bool


@dataclass(frozen=True)
class _Moment:
    """One Intend: its transaction, the owner that its rows get, and the time by which leases are judged."""

    connection: Connection
    owner: str
    now_us: int


Intended = Intent | SealedUse | VermilionError


class UseStore:
    """Intend, and the end of an attempt that made nothing. Thread-safe.

    instance   name of this signer among its replicas; what an earlier process of the name left is taken over at once
    """

    def __init__(self, engine: Engine, clock: Clock, *, instance: str, lease_s: int) -> None:
        self._engine = engine
        self._clock = clock
        self._instance = instance
        self._boot = uuid7()
        self._lease_us = lease_s * _US
        self._ended: dict[tuple[str, int, int], int] = {}  # (jti, index, attempt) → its lease's end: given up by this process
        self._ended_lock = threading.Lock()

    def intend(self, batch: Sequence[Wanted]) -> list[Intended]:
        """One durable transaction for a batch; for each item an attempt to work on, the bytes of before, or the refusal."""
        now_us = time_us(self._clock.now())
        owner = f"{self._instance}/{self._boot}/{uuid7()}"
        with db.write(self._engine) as connection:
            at = _Moment(connection, owner, now_us)
            refused = self._refusals(connection, batch, now_us)
            fresh = [wanted for wanted, refusal in zip(batch, refused, strict=True) if refusal is None]
            insert_missing(connection, uses, [self._row(wanted, owner, now_us) for wanted in fresh])
            rows = _locked(connection, [(wanted.item.jti, wanted.item.index) for wanted in batch])
            seen: set[tuple[str, int]] = set()
            results: list[Intended] = []
            for wanted, refusal in zip(batch, refused, strict=True):
                key = (wanted.item.jti, wanted.item.index)
                if key in seen:
                    results.append(_in_progress(wanted, "the batch names this use twice"))
                    continue
                seen.add(key)
                results.append(self._judge(at, wanted, refusal, rows.get(key)))
        self._forget_ended(now_us)
        return results

    def release(self, intents: Sequence[Intent]) -> None:
        """Ends attempts that came to nothing, so that the next request may take the use over without waiting for the lease.

        What is remembered here suffices for this process; the database is told for the sake of other replicas, best effort.
        """
        with self._ended_lock:
            for intent in intents:
                self._ended[(*intent.key, intent.attempt)] = intent.lease_until_us
        with db.write(self._engine) as connection:
            for intent in sorted(intents, key=lambda one: one.key):
                connection.execute(update(uses).where(fence(intent)).values(lease_until_us=0))

    def _refusals(self, connection: Connection, batch: Sequence[Wanted], now_us: int) -> list[VermilionError | None]:
        """Why an item may not be begun or taken over, by what its token as a whole says; None when it may."""
        admissions = {wanted.item.jti: wanted.item.admission for wanted in batch}
        by_token: dict[str, VermilionError | None] = {}
        for jti, admission in sorted(admissions.items()):
            claims = admission.claims
            row: dict[str, object] = {
                "jti": jti, "jws": admission.jws, "form": claims.form, "seal": claims.seal, "sub": claims.sub,
                "kind": "grant" if isinstance(claims.covers, GrantCovers) else "manifest", "first_seen_us": now_us,
            }  # fmt: skip
            if now_us >= admission.ends * _US:
                by_token[jti] = VermilionError(Code.TOKEN_EXPIRED, "the token has expired")
                continue
            insert_missing(connection, tokens, [row])
            stored = connection.execute(select(tokens.c.jws).where(tokens.c.jti == jti)).scalar_one()
            same = stored.rpartition(".")[0].encode("ascii") == admission.signing_input
            by_token[jti] = None if same else VermilionError(Code.TOKEN_MALFORMED, f"another token with the id {jti} came before")
        wanted_epochs = {key: epoch for admission in admissions.values() for key, epoch in admission.epochs.items()}
        insert_missing(
            connection,
            epochs,
            [{"kind": kind, "subject": subject, "epoch": epoch} for (kind, subject), epoch in sorted(wanted_epochs.items())],
        )
        raised = raised_epochs(connection, wanted_epochs)
        for jti, admission in admissions.items():
            by_token[jti] = by_token[jti] or stop_refusal(admission.epochs, raised)
        return [by_token[wanted.item.jti] for wanted in batch]

    def _row(self, wanted: Wanted, owner: str, now_us: int) -> dict[str, object]:
        item = wanted.item
        salt, leaf = (b"", item.binding)
        if item.is_grant_use:  # nobody else salted this leaf, and its hash becomes public
            salt = secrets.token_bytes(SALT_BYTES)
            leaf = leaf_hash(grant_leaf(item.request, salt))
        return {
            "jti": item.jti,
            "use_index": item.index,
            "state": "intended",
            "binding": item.binding,
            "salt": salt,
            "leaf_hash": leaf,
            "attempt": 1,
            "owner": owner,
            "lease_until_us": now_us + self._lease_us,
            "frozen": json.dumps(asdict(wanted.proposal)),
            "acknowledged": False,
        }

    def _judge(self, at: _Moment, wanted: Wanted, refusal: VermilionError | None, row: AnyRow | None) -> Intended:
        if row is None:
            assert refusal is not None, "a use that may begin has its row"
            return refusal
        if row.binding != wanted.item.binding:
            return VermilionError(
                Code.USE_BOUND_TO_OTHER_BYTES, f"index {row.use_index} of this token is bound to another document or other marks"
            )
        if row.state == "sealed":
            return sealed_before(at.connection, row)
        if row.state == "voided":
            return VermilionError(Code.USE_VOIDED, "this use was stopped before it was sealed")
        if refusal is not None:
            return refusal
        if row.owner == at.owner:
            return self._intent(wanted.item, row)
        if not self._is_free(row, at.now_us):
            return _in_progress(wanted, "another request is working on this use")
        return self._take_over(at, wanted, row)

    def _is_free(self, row: AnyRow, now_us: int) -> bool:
        instance, boot, _ = row.owner.split("/")
        died = instance == self._instance and boot != self._boot  # our listening port proves that the earlier process is gone
        with self._ended_lock:
            ended = (row.jti, row.use_index, row.attempt) in self._ended
        return died or ended or bool(row.lease_until_us <= now_us)

    def _take_over(self, at: _Moment, wanted: Wanted, row: AnyRow) -> Intent:
        frozen = Frozen(**json.loads(row.frozen))
        if not frozen.fits(wanted.proposal):  # a renewed certificate or another writer: nothing of the old attempt was released
            frozen = replace(wanted.proposal, signing_time_us=frozen.signing_time_us, field_name=frozen.field_name)
        values = {
            "attempt": row.attempt + 1,
            "owner": at.owner,
            "lease_until_us": at.now_us + self._lease_us,
            "frozen": json.dumps(asdict(frozen)),
        }
        at.connection.execute(update(uses).where(_is(row.jti, row.use_index)).values(values))
        return Intent(wanted.item, row.attempt + 1, frozen, row.leaf_hash, at.now_us + self._lease_us)

    def _intent(self, item: AdmittedItem, row: AnyRow) -> Intent:
        return Intent(item, row.attempt, Frozen(**json.loads(row.frozen)), row.leaf_hash, row.lease_until_us)

    def _forget_ended(self, now_us: int) -> None:
        with self._ended_lock:
            self._ended = {key: until for key, until in self._ended.items() if until > now_us}


def fence(intent: Intent) -> Any:
    """The condition that only this very attempt meets, and only while the use is open."""
    return _is(*intent.key) & (uses.c.attempt == intent.attempt) & (uses.c.state == "intended")


def _is(jti: str, index: int) -> Any:
    return (uses.c.jti == jti) & (uses.c.use_index == index)


def _locked(connection: Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], AnyRow]:
    """The rows of these uses, locked in one order (PostgreSQL; SQLite's transaction is exclusive anyway)."""
    wanted = select(uses).where(tuple_(uses.c.jti, uses.c.use_index).in_(sorted(set(keys)))).order_by(uses.c.jti, uses.c.use_index)
    return {(row.jti, row.use_index): row for row in connection.execute(wanted.with_for_update())}


def locked_uses(connection: Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], AnyRow]:
    """As Commit needs them."""
    return _locked(connection, keys)


def raised_epochs(connection: Connection, before: Epochs) -> frozenset[tuple[str, str]]:
    """Which epochs have been raised since the gate saw them; holds them in place until the transaction ends."""
    wanted = select(epochs).where(tuple_(epochs.c.kind, epochs.c.subject).in_(sorted(before))).order_by(epochs.c.kind, epochs.c.subject)
    rows = connection.execute(wanted.with_for_update(read=True))
    return frozenset((row.kind, row.subject) for row in rows if row.epoch != before[row.kind, row.subject])


def stop_refusal(seen: Epochs, raised: frozenset[tuple[str, str]]) -> VermilionError | None:
    """The refusal that a stop since the gate means, if there was one."""
    kinds = {kind: subject for kind, subject in seen if (kind, subject) in raised}
    if "seal" in kinds:
        return VermilionError(Code.SEAL_SUSPENDED, f"the seal {kinds['seal']} was stopped meanwhile")
    if "grant" in kinds:
        return VermilionError(Code.GRANT_WITHDRAWN, f"the grant {kinds['grant']} was withdrawn meanwhile")
    if "client" in kinds:
        return VermilionError(Code.PERMISSION_DENIED, f"{kinds['client']} was shut out meanwhile")
    if "person" in kinds:
        return VermilionError(Code.APPROVER_UNKNOWN, f"the approver {kinds['person']} has left the register meanwhile")
    return None


def sealed_before(connection: Connection, row: AnyRow) -> SealedUse | VermilionError:
    """The stored bytes of a sealed use; SEALED_BYTES_EXPIRED once they are gone."""
    same = (suffixes.c.jti == row.jti) & (suffixes.c.use_index == row.use_index)
    suffix = connection.execute(select(suffixes.c.content).where(same)).scalar_one_or_none()
    if suffix is None:
        return VermilionError(Code.SEALED_BYTES_EXPIRED, "this document was sealed and acknowledged; its bytes are no longer kept")
    return SealedUse(
        row.use_index, suffix, row.ledger_index, row.ledger_leaf_hash, row.sealed_sha256, row.attempt,
        tuple(json.loads(row.warnings)), repeated=True,
    )  # fmt: skip


def _in_progress(wanted: Wanted, reason: str) -> VermilionError:
    return VermilionError(Code.USE_IN_PROGRESS, reason, document=wanted.item.request.name or None)
