"""Uses: each (jti, index) is counted once, by a database constraint (docs/protocol.md, "Use").

``intend`` is step 2. A use belongs to one attempt at a time, by a lease; whoever takes it over raises the attempt number, so
that an earlier attempt, however late it wakes, cannot commit (the fence, in ``commit``).
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, select

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.protocol.canonical import require
from sealcore.protocol.covers import GrantCovers
from sealcore.protocol.leaf import SALT_BYTES, leaf_hash
from sealcore.protocol.ledger_entry import entry_hash, time_us
from signer.gate import Admission, AdmittedItem, grant_leaf
from signer.model import Result, SealedUse
from signer.register.model import EpochKind, Epochs
from signer.tables import AnyRow, epochs, insert_missing, tokens
from signer.uses.packing import unpack

_US = 1_000_000
_REMEMBERED = 4096  # tokens, and epochs, of which this process knows that they have their row

Reached = Callable[[str], None]
"""Told the name of each step when it is done. Tests end the process there; a service tells nobody."""

_INSERT = db.Many(
    "INSERT INTO uses (jti, use_index, state, binding, salt, leaf_hash, attempt, owner, lease_until_us, frozen, acknowledged)"
    " VALUES (?1, ?2, 'intended', ?3, ?4, ?5, 1, ?7, ?8, ?6, 0) ON CONFLICT DO NOTHING",
    "WITH v AS (SELECT * FROM {rows} AS v (j, i, b, s, l, f)), mine AS (SELECT %b::text AS owner, %b::bigint AS until)"
    " INSERT INTO uses (jti, use_index, state, binding, salt, leaf_hash, attempt, owner, lease_until_us, frozen, acknowledged)"
    " SELECT j, i, 'intended', b, s, l, 1, owner, until, f, 0 FROM v, mine ON CONFLICT DO NOTHING",
    ("text", "bigint", "bytea", "bytea", "bytea", "text"),
)
_LOCKED = db.Keyed(  # in one order, so that no two can wait for each other
    "SELECT jti, use_index, state, binding, leaf_hash, attempt, owner, lease_until_us, frozen FROM json_each(?)"
    " CROSS JOIN uses ON jti = value->>0 AND use_index = value->>1",
    "SELECT jti, use_index, state, binding, leaf_hash, attempt, owner, lease_until_us, frozen FROM {keys} AS k (j, i)"
    " JOIN uses ON jti = j AND use_index = i ORDER BY jti, use_index FOR UPDATE OF uses",
    ("text", "bigint"),
)
_TAKE_OVER = db.Many(
    "UPDATE uses SET attempt = ?3 + 1, frozen = ?4, owner = ?5, lease_until_us = ?6 WHERE jti = ?1 AND use_index = ?2 AND attempt = ?3",
    "UPDATE uses SET attempt = a + 1, frozen = f, owner = mine.owner, lease_until_us = mine.until"
    " FROM {rows} AS v (j, i, a, f), (SELECT %b::text AS owner, %b::bigint AS until) AS mine"
    " WHERE jti = j AND use_index = i AND attempt = a",
    ("text", "bigint", "integer", "text"),
)
_RELEASE = db.Many(
    "UPDATE uses SET lease_until_us = 0 WHERE jti = ? AND use_index = ? AND attempt = ? AND state = 'intended'",
    "UPDATE uses SET lease_until_us = 0 FROM {rows} AS v (j, i, a) WHERE jti = j AND use_index = i AND attempt = a AND state = 'intended'",
    ("text", "bigint", "integer"),
)
_SEALED = db.Keyed(
    "SELECT u.jti, u.use_index, u.attempt, u.ledger_index, u.sealed_sha256, u.warnings, s.content, e.entry"
    " FROM json_each(?) CROSS JOIN uses u ON u.jti = value->>0 AND u.use_index = value->>1"
    ' LEFT JOIN suffixes s ON s.ledger_index = u.ledger_index LEFT JOIN ledger_entries e ON e."index" = u.ledger_index',
    "SELECT u.jti, u.use_index, u.attempt, u.ledger_index, u.sealed_sha256, u.warnings, s.content, e.entry"
    " FROM {keys} AS k (j, i) JOIN uses u ON u.jti = j AND u.use_index = i"
    ' LEFT JOIN suffixes s ON s.ledger_index = u.ledger_index LEFT JOIN ledger_entries e ON e."index" = u.ledger_index',
    ("text", "bigint"),
)
_EPOCHS = db.Keyed(
    "SELECT kind, subject, epoch FROM json_each(?) CROSS JOIN epochs ON kind = value->>0 AND subject = value->>1",
    "SELECT kind, subject, epoch FROM {keys} AS wanted (k, s) JOIN epochs ON kind = k AND subject = s",
    ("text", "text"),
)
_EPOCHS_HELD = replace(_EPOCHS, postgresql=f"{_EPOCHS.postgresql} ORDER BY kind, subject FOR SHARE OF epochs")

_json = json.JSONEncoder().encode  # for one text a fifth of ``json.dumps``


@dataclass(frozen=True, slots=True)
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

    def encode(self) -> str:
        """As it is stored: JSON."""
        return (
            f'{{"certificate_sha256": {_json(self.certificate_sha256)}, "signing_time_us": {self.signing_time_us}, "field_name":'
            f' {_json(self.field_name)}, "hole_size_bytes": {self.hole_size_bytes}, "writer_version": {_json(self.writer_version)}}}'
        )

    @classmethod
    def decode(cls, stored: str) -> Frozen:
        """The inverse."""
        return cls(**json.loads(stored))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that passed the gate, with what would be frozen if this is its first Intend."""

    item: AdmittedItem
    proposal: Frozen


@dataclass(frozen=True, slots=True)
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
class _Moment:
    """One Intend: its transaction, the owner that its rows get, and the time by which leases are judged."""

    connection: Connection
    owner: str
    now_us: int
    lease_until_us: int


Intended = Intent | Result
_Key = tuple[str, int]


class UseStore:
    """Intend, and the end of an attempt that made nothing. Thread-safe.

    instance   name of this signer among its replicas
    boot       this start of the signer: what an earlier start of the same name left behind is taken over at once
    worker     this start of this process; ``declare_dead`` takes another's name
    urgent     as in ``db.write``: for a worker whose callers wait for a single document
    reached    told "intend: rows written" before the transaction ends
    """

    def __init__(
        self, engine: Engine, clock: Clock, *, instance: str, boot: str, worker: str, lease_s: int,
        urgent: bool = False, reached: Reached = lambda _step: None,
    ) -> None:  # fmt: skip
        require(all(name and "/" not in name for name in (instance, boot, worker)), "the parts of an owner's name have no slash")
        self._engine = engine
        self._clock = clock
        self._instance = instance
        self._boot = boot
        self._worker = worker
        self._numbers = itertools.count(1)
        self._lease_us = lease_s * _US
        self._urgent = urgent
        self._reached = reached
        self._lock = threading.Lock()  # over the five that follow
        self._untold: dict[tuple[str, int, int], int] = {}  # those of the next that the database does not know of yet
        self._ended: dict[tuple[str, int, int], int] = {}  # (jti, index, attempt) → its lease's end: given up by this process
        self._dead: set[str] = set()
        # Rows of tokens and epochs that are committed. They are never deleted, and a token's never changes.
        self._tokens: dict[str, bytes] = {}
        self._epochs: set[tuple[str, str]] = set()

    def intend(self, batch: Sequence[Wanted]) -> list[Intended]:
        """One durable transaction for a batch; for each item an attempt to work on, the bytes of before, or the refusal."""
        if not batch:
            return []
        if self._untold:
            self._tell()
        now_us = time_us(self._clock.now())
        owner = f"{self._instance}/{self._boot}/{self._worker}/{next(self._numbers)}"
        admissions = {wanted.item.admission for wanted in batch}
        with db.write(self._engine, urgent=self._urgent) as connection:
            at = _Moment(connection, owner, now_us, now_us + self._lease_us)
            refused = self._refusals(connection, admissions, now_us)
            begun = [wanted for wanted in batch if wanted.item.admission not in refused] if refused else batch
            rows = _rows(begun)
            fresh = _INSERT.run(connection, sorted(rows), (owner, at.lease_until_us))
            if fresh == len(batch):  # each had no row before, and none is there twice
                results: list[Intended] = [
                    Intent(wanted.item, 1, wanted.proposal, row[4], at.lease_until_us) for wanted, row in zip(batch, rows, strict=True)
                ]
            else:
                results = self._judged(at, batch, refused)
            self._reached("intend: rows written")
        self._remember(admissions - refused.keys(), now_us)
        return results

    def release(self, intents: Sequence[Intent]) -> None:
        """Ends attempts that came to nothing, so that the next request may take the use over without waiting for the lease.

        What is remembered here suffices for this process; the database is told for the sake of others: now, or where it is away
        at the next Intend.
        """
        ended = {(*intent.key, intent.attempt): intent.lease_until_us for intent in intents}
        with self._lock:
            self._ended |= ended
            self._untold |= ended
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            untold = sorted(self._untold)
        with db.write(self._engine) as connection:
            _RELEASE.run(connection, untold)
        with self._lock:
            for key in untold:
                self._untold.pop(key, None)

    def declare_dead(self, worker: str) -> None:
        """Frees at once what this worker of the same signer left behind. A worker's name is never used again."""
        with self._lock:
            self._dead.add(worker)

    def _refusals(self, connection: Connection, admissions: Iterable[Admission], now_us: int) -> dict[Admission, VermilionError]:
        """Why nothing under an admission may be begun or taken over; those under which something may are not in it."""
        ordered = sorted(admissions, key=lambda admission: admission.claims.jti)
        refused = {one: self._token_refusal(connection, one, now_us) for one in ordered}
        seen = seen_epochs(admissions)
        missing = sorted(seen.keys() - self._epochs)
        insert_missing(connection, epochs, [{"kind": kind, "subject": subject, "epoch": seen[kind, subject]} for kind, subject in missing])
        present = _epochs_of(_EPOCHS.read(connection, sorted(seen)))  # not held: Commit looks again, and holds them
        for one in ordered:
            refused[one] = refused[one] or stop_refusal(one.epochs, present)
        return {key: refusal for key, refusal in refused.items() if refusal is not None}

    def _token_refusal(self, connection: Connection, admission: Admission, now_us: int) -> VermilionError | None:
        jti = admission.claims.jti
        if now_us >= admission.ends * _US:
            return VermilionError(Code.TOKEN_EXPIRED, "the token has expired")
        stored = self._tokens.get(jti)
        if stored is None:
            claims = admission.claims
            row: dict[str, object] = {
                "jti": jti, "jws": admission.jws, "form": claims.form, "seal": claims.seal, "sub": claims.sub,
                "kind": "grant" if isinstance(claims.covers, GrantCovers) else "manifest", "first_seen_us": now_us,
            }  # fmt: skip
            insert_missing(connection, tokens, [row])
            jws = connection.execute(select(tokens.c.jws).where(tokens.c.jti == jti)).scalar_one()
            stored = jws.rpartition(".")[0].encode("ascii")
        if stored == admission.signing_input:
            return None
        return VermilionError(Code.TOKEN_MALFORMED, f"another token with the id {jti} came before")

    def _judged(self, at: _Moment, batch: Sequence[Wanted], refused: Mapping[Admission, VermilionError]) -> list[Intended]:
        """The answer for each item where some of them had a row before, or may not begin."""
        rows = {(row.jti, row.use_index): row for row in _LOCKED.read(at.connection, sorted({_key(wanted.item) for wanted in batch}))}
        stored = sealed_before(at.connection, [key for key, row in rows.items() if row.state == "sealed"])
        taken: list[tuple[str, int, int, str]] = []
        seen: set[_Key] = set()
        results: list[Intended] = []
        for wanted in batch:
            key = _key(wanted.item)
            if key in seen:
                results.append(_in_progress(wanted, "the batch names this use twice"))
                continue
            seen.add(key)
            result = self._judge(at, wanted, refused.get(wanted.item.admission), rows.get(key), stored.get(key))
            if isinstance(result, Intent) and rows[key].owner != at.owner:
                taken.append((*key, rows[key].attempt, result.frozen.encode()))
            results.append(result)
        touched = _TAKE_OVER.run(at.connection, sorted(taken), (at.owner, at.lease_until_us))
        assert touched == len(taken), "a use moved although its row is locked"
        return results

    def _judge(self, at: _Moment, wanted: Wanted, refusal: VermilionError | None, row: AnyRow | None, stored: Result | None) -> Intended:
        if row is None:
            assert refusal is not None, "a use that may begin has its row"
            return refusal
        if row.binding != wanted.item.binding:
            return VermilionError(
                Code.USE_BOUND_TO_OTHER_BYTES, f"index {row.use_index} of this token is bound to another document or other marks"
            )
        if stored is not None:
            return stored
        if row.state == "voided":
            return VermilionError(Code.USE_VOIDED, "this use was stopped before it was sealed")
        if refusal is not None:
            return refusal
        frozen = Frozen.decode(row.frozen)
        if row.owner == at.owner:
            return Intent(wanted.item, row.attempt, frozen, row.leaf_hash, row.lease_until_us)
        if not self._is_free(row, at.now_us):
            return _in_progress(wanted, "another request is working on this use")
        if not frozen.fits(wanted.proposal):  # a renewed certificate or another writer: nothing of the old attempt was released
            frozen = replace(wanted.proposal, signing_time_us=frozen.signing_time_us, field_name=frozen.field_name)
        return Intent(wanted.item, row.attempt + 1, frozen, row.leaf_hash, at.lease_until_us)

    def _is_free(self, row: AnyRow, now_us: int) -> bool:
        if row.lease_until_us <= now_us:
            return True
        instance, boot, worker, *_ = row.owner.split("/")
        with self._lock:
            if (row.jti, row.use_index, row.attempt) in self._ended:
                return True
            # Our listening port proves that the earlier start of our name is gone.
            return bool(instance == self._instance and (boot != self._boot or worker in self._dead))

    def _remember(self, admitted: Collection[Admission], now_us: int) -> None:
        """What the transaction that has just been committed proves, and which given-up leases have ended by themselves."""
        with self._lock:
            if self._ended:
                self._ended = {key: until for key, until in self._ended.items() if until > now_us}
                self._untold = {key: until for key, until in self._untold.items() if until > now_us}
            if len(self._tokens) > _REMEMBERED:
                self._tokens = {}
            if len(self._epochs) > _REMEMBERED:
                self._epochs = set()
            self._tokens.update((admission.claims.jti, admission.signing_input) for admission in admitted)
            self._epochs.update(key for admission in admitted for key in admission.epochs)


def _key(item: AdmittedItem) -> _Key:
    return item.admission.claims.jti, item.request.index


def _rows(batch: Sequence[Wanted]) -> list[tuple[str, int, bytes, bytes, bytes, str]]:
    """jti, index, binding, salt, leaf hash, frozen: of each that may begin."""
    salts: Iterator[bytes] = iter(())
    if any(wanted.item.is_grant_use for wanted in batch):
        random = os.urandom(SALT_BYTES * len(batch))
        salts = iter([random[at : at + SALT_BYTES] for at in range(0, len(random), SALT_BYTES)])
    rows = []
    for wanted in batch:
        item = wanted.item
        salt, leaf = b"", item.binding
        if item.is_grant_use:  # nobody else salted this leaf, and its hash becomes public
            salt = next(salts)
            leaf = leaf_hash(grant_leaf(item.request, salt))
        rows.append((*_key(item), item.binding, salt, leaf, wanted.proposal.encode()))
    return rows


def seen_epochs(admissions: Iterable[Admission]) -> Epochs:
    """The epochs that count for any of them. Where two saw different ones, a stop lies between; each is judged by its own."""
    return {key: epoch for admission in admissions for key, epoch in admission.epochs.items()}


def held_epochs(connection: Connection, keys: Iterable[tuple[EpochKind, str]]) -> Epochs:
    """The epochs as they are, held in place until the transaction ends."""
    return _epochs_of(_EPOCHS_HELD.read(connection, sorted(keys)))


def _epochs_of(rows: Iterable[AnyRow]) -> Epochs:
    return {(row.kind, row.subject): row.epoch for row in rows}


def stop_refusal(seen: Epochs, present: Epochs) -> VermilionError | None:
    """The refusal that a stop since the gate means, if there was one."""
    kinds = {kind: subject for (kind, subject), epoch in seen.items() if present.get((kind, subject)) != epoch}
    if "seal" in kinds:
        return VermilionError(Code.SEAL_SUSPENDED, f"the seal {kinds['seal']} was stopped, or its rules were tightened, meanwhile")
    if "grant" in kinds:
        return VermilionError(Code.GRANT_WITHDRAWN, f"the grant {kinds['grant']} was withdrawn meanwhile")
    if "client" in kinds:
        return VermilionError(Code.PERMISSION_DENIED, f"{kinds['client']} was shut out meanwhile")
    if "issuer" in kinds:
        return VermilionError(
            Code.ISSUER_NOT_PINNED, "the token's issuer was removed from the register, or a restore was recorded, meanwhile"
        )
    if "template" in kinds:
        return VermilionError(Code.TEMPLATE_MISMATCH, "the grant's template was changed or removed from the register meanwhile")
    if "person" in kinds:
        return VermilionError(Code.APPROVER_UNKNOWN, f"the approver {kinds['person']} has left the register meanwhile")
    return None


def sealed_before(connection: Connection, keys: Sequence[_Key]) -> dict[_Key, Result]:
    """The stored bytes of sealed uses; SEALED_BYTES_EXPIRED once they are gone."""
    return {(row.jti, row.use_index): _stored(row) for row in _SEALED.read(connection, sorted(keys))}


def _stored(row: AnyRow) -> Result:
    if row.content is None:
        return VermilionError(Code.SEALED_BYTES_EXPIRED, "this document was sealed and acknowledged; its bytes are no longer kept")
    return SealedUse(
        row.use_index, unpack(row.content), row.ledger_index, entry_hash(row.entry), row.sealed_sha256, row.attempt,
        tuple(json.loads(row.warnings or "[]")), repeated=True,
    )  # fmt: skip


def _in_progress(wanted: Wanted, reason: str) -> VermilionError:
    return VermilionError(Code.USE_IN_PROGRESS, reason, document=wanted.item.request.name or None)
