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
from functools import lru_cache

from sqlalchemy import Connection, Engine, select

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.protocol.canonical import require
from sealcore.protocol.covers import GrantCovers
from sealcore.protocol.leaf import SALT_BYTES, leaf_hash
from sealcore.protocol.ledger_entry import entry_hash, time_us
from signer.gate import Admission, AdmittedItem, grant_leaf
from signer.model import Packed, Result, SealedUse
from signer.tables import AnyRow, UseKey, epochs, insert_missing, tokens
from signer.uses import suffixes
from signer.uses.epochs import present_epochs, seen_epochs, stop_refusal
from signer.uses.statements import INSERT, LOCKED, RELEASE, SEALED, TAKE_OVER, Attempt, NewUse, Takeover

_US = 1_000_000
_SHARED_HELD = 64
_MOST_CACHED = 4096  # tokens, and epochs, that this process knows to have their row

Reached = Callable[[str], None]
"""Called with the name of each step once it is done. Tests stop the process there; in service nobody listens."""

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
        before, behind = _shared(self.certificate_sha256, self.signing_time_us, self.hole_size_bytes, self.writer_version)
        return f"{before}{_json(self.field_name)}{behind}"

    @classmethod
    def decode(cls, stored: str) -> Frozen:
        """The inverse."""
        return cls(**json.loads(stored))


@lru_cache(maxsize=_SHARED_HELD)
def _shared(certificate_sha256: str, signing_time_us: int, hole_size_bytes: int, writer_version: str) -> tuple[str, str]:
    """What is stored of a batch's documents under one seal, before and behind the name that each has of its own."""
    return (
        f'{{"certificate_sha256": {_json(certificate_sha256)}, "signing_time_us": {signing_time_us}, "field_name": ',
        f', "hole_size_bytes": {hole_size_bytes}, "writer_version": {_json(writer_version)}}}',
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that passed the gate, with what would be frozen if this is its first Intend."""

    item: AdmittedItem
    proposal: Frozen


@dataclass(frozen=True, slots=True)
class Intent:
    """A use that belongs to this attempt until ``lease_until_us``."""

    item: AdmittedItem
    attempt: int
    frozen: Frozen
    leaf_hash: bytes
    lease_until_us: int

    @property
    def key(self) -> UseKey:
        """The use."""
        return _key(self.item)


@dataclass(frozen=True)
class _Transaction:
    """One Intend: its connection, the owner that its rows get, and the time that leases are compared with."""

    connection: Connection
    owner: str
    now_us: int
    lease_until_us: int


Intended = Intent | Result


class UseStore:
    """Begins attempts, and gives up those that came to nothing. Thread-safe.

    instance   the name of this signer among its replicas
    boot       this start of the signer: uses left behind by an earlier start of the same name are taken over at once
    worker     this start of this process, as ``declare_dead`` names it
    urgent     as in ``db.write``: for a worker whose callers wait for a single document
    reached    called with "intend: rows written" before the transaction ends
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
        self._lock = threading.Lock()  # guards the next five
        self._unreleased: dict[Attempt, int] = {}  # those of ``_ended`` that are not in the database yet
        self._ended: dict[Attempt, int] = {}  # given up by this process → when the lease ends
        self._dead: set[str] = set()
        # Tokens and epochs whose rows are committed. Rows are never deleted, and a token's never changes.
        self._tokens: dict[str, bytes] = {}
        self._epochs: set[tuple[str, str]] = set()

    def intend(self, batch: Sequence[Wanted]) -> list[Intended]:
        """For each item an attempt to work on, the bytes sealed before, or the refusal; one durable transaction for all."""
        if not batch:
            return []
        # Releases that could not be written before: without them other replicas wait for the leases
        # to end.
        if self._unreleased:
            self._write_releases()
        now_us = time_us(self._clock.now())
        owner = f"{self._instance}/{self._boot}/{self._worker}/{next(self._numbers)}"
        admissions = {wanted.item.admission for wanted in batch}
        with db.write(self._engine, urgent=self._urgent) as connection:
            at = _Transaction(connection, owner, now_us, now_us + self._lease_us)
            refused = self._refusals(connection, admissions, now_us)
            begun = [wanted for wanted in batch if wanted.item.admission not in refused] if refused else batch
            rows = _rows(begun)
            # Sorted, as every statement on ``uses``: two batches that share uses then wait for each
            # other in one direction only.
            fresh = INSERT.run(connection, sorted(rows), owner=owner, lease_until_us=at.lease_until_us)
            if fresh == len(batch):  # none had a row before, and none comes twice
                results: list[Intended] = [
                    Intent(wanted.item, 1, wanted.proposal, row.leaf_hash, at.lease_until_us)
                    for wanted, row in zip(batch, rows, strict=True)
                ]
            else:
                results = self._judged(at, batch, refused)
            self._reached("intend: rows written")
        # Only after the transaction has ended: a row that was rolled back must not be taken for
        # present.
        self._remember(admissions - refused.keys(), now_us)
        return results

    def sealed(self, batch: Sequence[Wanted]) -> list[Result | None]:
        """For each item the bytes sealed before, None where there are none. Reads only: for a disk on which nothing can be begun."""
        with db.read(self._engine) as connection:
            keys = sorted({_key(wanted.item) for wanted in batch})
            rows = {UseKey(row.jti, row.use_index): row for row in LOCKED.read(connection, keys)}
            stored = sealed_before(connection, [key for key, row in rows.items() if row.state == "sealed"])
        return [
            stored.get(key) if (key := _key(wanted.item)) in stored and rows[key].binding == wanted.item.binding else None
            for wanted in batch
        ]

    def release(self, intents: Sequence[Intent]) -> None:
        """Gives up attempts that came to nothing, so that the next request takes the use over without waiting for the lease.

        This process goes by what it remembers. Other replicas read it in the database: written now or, when the database is
        unavailable, with the next Intend.
        """
        ended = {Attempt(*intent.key, intent.attempt): intent.lease_until_us for intent in intents}
        with self._lock:
            self._ended |= ended
            self._unreleased |= ended
        self._write_releases()

    def _write_releases(self) -> None:
        with self._lock:
            unreleased = sorted(self._unreleased)
        with db.write(self._engine) as connection:
            RELEASE.run(connection, unreleased)
        with self._lock:
            for key in unreleased:
                self._unreleased.pop(key, None)

    def declare_dead(self, worker: str) -> None:
        """From now on the uses of this worker of the same signer may be taken over. A worker's name is never used again."""
        with self._lock:
            self._dead.add(worker)

    def _refusals(self, connection: Connection, admissions: Iterable[Admission], now_us: int) -> dict[Admission, VermilionError]:
        """The admissions under which nothing may be begun or taken over, and why."""
        ordered = sorted(admissions, key=lambda admission: admission.claims.jti)
        # Ordered, since this inserts rows of ``tokens``: two batches with the same new tokens must
        # not insert them crosswise.
        refused = {one: self._token_refusal(connection, one, now_us) for one in ordered}
        seen = seen_epochs(admissions)
        missing = sorted(seen.keys() - self._epochs)
        insert_missing(connection, epochs, [{"kind": kind, "subject": subject, "epoch": seen[kind, subject]} for kind, subject in missing])
        present = present_epochs(connection, seen)  # without a lock: Commit reads them again, under one
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
        # Compared without the signature: ECDSA signatures differ each time, and a twin can be
        # computed. What was approved is the statement.
        if stored == admission.signing_input:
            return None
        return VermilionError(Code.TOKEN_MALFORMED, f"another token with the id {jti} came before")

    def _judged(self, at: _Transaction, batch: Sequence[Wanted], refused: Mapping[Admission, VermilionError]) -> list[Intended]:
        """The answer for each item of a batch in which some had a row before, or may not begin."""
        rows = {UseKey(row.jti, row.use_index): row for row in LOCKED.read(at.connection, sorted({_key(wanted.item) for wanted in batch}))}
        stored = sealed_before(at.connection, [key for key, row in rows.items() if row.state == "sealed"])
        taken: list[Takeover] = []
        seen: set[UseKey] = set()
        results: list[Intended] = []
        for wanted in batch:
            key = _key(wanted.item)
            # The first of the two goes on. Both would get the same attempt, and the HSM would be
            # called twice for it.
            if key in seen:
                results.append(_in_progress(wanted, "the batch names this use twice"))
                continue
            seen.add(key)
            row = rows.get(key)
            if row is None:  # it was not begun because its admission is refused
                results.append(refused[wanted.item.admission])
                continue
            result = self._judge(at, wanted, refused.get(wanted.item.admission), row, stored.get(key))
            if isinstance(result, Intent) and row.owner != at.owner:
                taken.append(Takeover(*key, row.attempt, result.frozen.encode()))
            results.append(result)
        touched = TAKE_OVER.run(at.connection, sorted(taken), owner=at.owner, lease_until_us=at.lease_until_us)
        if touched != len(taken):
            raise VermilionError(Code.INTERNAL, "a use moved although its row is locked")
        return results

    def _judge(self, at: _Transaction, wanted: Wanted, refusal: VermilionError | None, row: AnyRow, stored: Result | None) -> Intended:
        # First of all, so that nobody gets the sealed bytes of a document that they did not send.
        if row.binding != wanted.item.binding:
            return VermilionError(
                Code.USE_BOUND_TO_OTHER_BYTES, f"index {row.use_index} of this token is bound to another document or other marks"
            )
        # Before any refusal: what was sealed in time is handed out again, whatever was stopped or
        # has expired since.
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
        # The raised attempt is the fence: an earlier worker that comes back, even with a finished
        # signature, finds it at Commit.
        return Intent(wanted.item, row.attempt + 1, frozen, row.leaf_hash, at.lease_until_us)

    def _is_free(self, row: AnyRow, now_us: int) -> bool:
        if row.lease_until_us <= now_us:
            return True
        instance, boot, worker, *_ = row.owner.split("/")
        with self._lock:
            # Ours and given up, although the database may not know it yet (``release`` failed).
            if Attempt(row.jti, row.use_index, row.attempt) in self._ended:
                return True
            # We hold the port, so the earlier process of our name has ended.
            return bool(instance == self._instance and (boot != self._boot or worker in self._dead))

    def _remember(self, admitted: Collection[Admission], now_us: int) -> None:
        """Notes what the committed transaction proved, and drops given-up attempts whose leases have ended by themselves."""
        with self._lock:
            if self._ended:
                self._ended = {key: until for key, until in self._ended.items() if until > now_us}
                self._unreleased = {key: until for key, until in self._unreleased.items() if until > now_us}
            # Emptied whole: it fills again within a few batches, and needs no bookkeeping on the
            # hot path.
            if len(self._tokens) > _MOST_CACHED:
                self._tokens = {}
            if len(self._epochs) > _MOST_CACHED:
                self._epochs = set()
            self._tokens.update((admission.claims.jti, admission.signing_input) for admission in admitted)
            self._epochs.update(key for admission in admitted for key in admission.epochs)


def _key(item: AdmittedItem) -> UseKey:
    return UseKey(item.admission.claims.jti, item.request.index)


def _rows(batch: Sequence[Wanted]) -> list[NewUse]:
    """A row for each use that may begin."""
    granted = {admission for admission in {wanted.item.admission for wanted in batch} if isinstance(admission.covers, GrantCovers)}
    salts: Iterator[bytes] = iter(())
    if granted:
        random = os.urandom(SALT_BYTES * len(batch))
        salts = iter([random[at : at + SALT_BYTES] for at in range(0, len(random), SALT_BYTES)])
    rows = []
    for wanted in batch:
        item = wanted.item
        salt, leaf = b"", item.binding
        if granted and item.admission in granted:  # no manifest salted this leaf, and its hash becomes public
            salt = next(salts)
            leaf = leaf_hash(grant_leaf(item.request, salt))
        rows.append(NewUse(item.jti, item.index, item.binding, salt, leaf, wanted.proposal.encode()))
    return rows


def sealed_before(connection: Connection, keys: Sequence[UseKey]) -> dict[UseKey, Result]:
    """The stored bytes of sealed uses; SEALED_BYTES_EXPIRED once they are gone."""
    rows = SEALED.read(connection, sorted(keys))
    kept = [row for row in rows if row.content is not None]
    packed = dict(zip(kept, suffixes.read(connection, [row.content for row in kept]), strict=True))
    return {UseKey(row.jti, row.use_index): _stored(row, packed.get(row)) for row in rows}


def _stored(row: AnyRow, packed: Packed | None) -> Result:
    if packed is None:
        return VermilionError(Code.SEALED_BYTES_EXPIRED, "this document was sealed and acknowledged; its bytes are no longer kept")
    return SealedUse(
        row.use_index, packed.whole(), row.ledger_index, entry_hash(row.entry), row.sealed_sha256, row.attempt,
        tuple(json.loads(row.warnings or "[]")), repeated=True, packed=packed,
    )  # fmt: skip


def _in_progress(wanted: Wanted, reason: str) -> VermilionError:
    return VermilionError(Code.USE_IN_PROGRESS, reason, document=wanted.item.request.name or None)
