"""The way of a batch: gate → Intend → prepare, sign, timestamp, read back → Commit. Release is the caller's.

A document that is refused never stops the others; whatever happens, each gets exactly one outcome. Until the HSM is called a
failure leaves nothing behind but an open use; after it, the attempt ends and a repeat of the request begins another.
"""

from __future__ import annotations

import contextvars
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from sqlalchemy import Engine as Database

from sealcore.approvals.covers import GrantCovers
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ledger.entry import signature_hash, time_us, timestamp_hash
from sealcore.log import get as get_log
from signer.commit import Finished, commit
from signer.examiner import Examiner
from signer.gate import Admission, AdmittedItem, ItemRequest, admit_item, admit_token
from signer.keys import SealKey, SealKeys
from signer.metrics import SignerMetrics
from signer.pades.fill import fill
from signer.pades.plan import ContentPolicy, Plan, Prepared
from signer.pades.readback import read_back
from signer.register_store import RegisterStore
from signer.sandbox import Sandbox
from signer.uses import Frozen, Intent, SealedUse, UseStore, Wanted
from timestamp.unit import TimestampUnit

WRITER_VERSION = "vermilion-1"
JUDGED_AGAIN_S = 60  # certificates and tokens end while a stream is open
PICTURES_HELD = 64

_In = TypeVar("_In")
_Out = TypeVar("_Out")

Reached = Callable[[str], None]
"""Told the name of each step when it is done. Tests end the process there; a service tells nobody."""


@dataclass(frozen=True)
class Outcome:
    """What became of one document."""

    index: int
    result: SealedUse | VermilionError


@dataclass(frozen=True)
class Parts:
    """What the engine is made of."""

    database: Database
    register: RegisterStore
    uses: UseStore
    keys: SealKeys
    unit: TimestampUnit
    sandbox: Sandbox
    examiner: Examiner
    metrics: SignerMetrics
    clock: Clock
    audience: str
    largest_document_bytes: int
    workers: int
    reached: Reached = lambda _step: None


class Engine:
    """Seals batches. Thread-safe; documents of all batches share ``workers`` threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pool = ThreadPoolExecutor(parts.workers, thread_name_prefix="document")
        self._log = get_log("engine")
        self._picture = lru_cache(maxsize=PICTURES_HELD)(parts.register.attachment)

    def admit(self, jws: str, peer: str) -> Admission:
        """The gate's steps for a token, as the register stands now."""
        register = self._parts.register.current()
        with self._parts.metrics.stage("gate_token"):
            return admit_token(jws, peer=peer, register=register, now=self._parts.clock.now(), audience=self._parts.audience)

    def run(self, admission: Admission, requests: Sequence[ItemRequest]) -> list[Outcome]:
        """Seals a batch; one outcome for each request, in order."""
        results: dict[int, SealedUse | VermilionError] = {}  # by place in the batch
        try:
            self._run(self._judged(admission), requests, results)
        except VermilionError as fault:
            for place in range(len(requests)):
                results.setdefault(place, fault)
        except Exception as fault:  # noqa: BLE001  (one outcome for each document, whatever happens)
            for place in range(len(requests)):
                results.setdefault(place, self._unforeseen(fault))
        outcomes = [Outcome(request.index, results[place]) for place, request in enumerate(requests)]
        for outcome in outcomes:
            self._parts.metrics.documents.labels(_label(outcome.result)).inc()
        counts = Counter(_label(outcome.result) for outcome in outcomes)
        self._log.info("batch", jti=admission.claims.jti, client=admission.claims.sub, **counts)
        return outcomes

    def close(self) -> None:
        """Waits for what is being worked on."""
        self._pool.shutdown()

    def _each(self, function: Callable[[_In], _Out], values: Sequence[_In]) -> list[_Out]:
        """``function`` of each value, on the shared threads, with the request id that logs carry."""
        running = [self._pool.submit(contextvars.copy_context().run, function, value) for value in values]
        return [one.result() for one in running]

    def _judged(self, admission: Admission) -> Admission:
        """The admission, judged again when the register has changed or a minute has passed."""
        same = self._parts.register.current().version == admission.register.version
        if same and self._parts.clock.now() - admission.judged_at < timedelta(seconds=JUDGED_AGAIN_S):
            return admission
        return self.admit(admission.jws, admission.claims.sub)

    def _run(self, admission: Admission, requests: Sequence[ItemRequest], results: dict[int, SealedUse | VermilionError]) -> None:
        parts = self._parts
        seal_key = parts.keys.of(admission.seal)
        admitted: dict[int, AdmittedItem] = {}
        for place, gated in enumerate(self._each(lambda request: self._admit(admission, request), requests)):
            if isinstance(gated, AdmittedItem):
                admitted[place] = gated
            else:
                results[place] = gated
        parts.reached("gated")
        with parts.metrics.stage("intend"):
            intended = parts.uses.intend([Wanted(item, self._proposal(item, seal_key)) for item in admitted.values()]) if admitted else []
        parts.reached("intended")
        intents: dict[int, Intent] = {}
        for place, answer in zip(admitted, intended, strict=True):
            if isinstance(answer, Intent):
                intents[place] = answer
            else:
                results[place] = answer
        made = dict(zip(intents, self._each(lambda intent: self._make(intent, seal_key), list(intents.values())), strict=True))
        self._end(intents, made, results)

    def _end(
        self, intents: Mapping[int, Intent], made: Mapping[int, Finished | VermilionError], results: dict[int, SealedUse | VermilionError]
    ) -> None:
        """Commits what is whole and gives up the rest."""
        parts = self._parts
        finished = {place: one for place, one in made.items() if isinstance(one, Finished)}
        results.update({place: one for place, one in made.items() if isinstance(one, VermilionError)})
        failed = [intents[place] for place in made if place not in finished]
        try:
            parts.reached("commit begins")
            with parts.metrics.stage("commit"):
                ended = commit(parts.database, parts.clock, list(finished.values()))
            results.update(zip(finished, ended, strict=True))
            parts.reached("committed")
        except VermilionError as fault:  # whether it was committed is the database's to say: the repeat will find out
            results.update(dict.fromkeys(finished, fault))
            failed += [intents[place] for place in finished]
        if failed:
            self._give_up(failed)

    def _give_up(self, failed: Sequence[Intent]) -> None:
        try:
            self._parts.uses.release(failed)
        except VermilionError as fault:  # then other replicas wait for the lease to end
            self._log.warning("leases not released", code=str(fault.code), uses=len(failed))

    def _admit(self, admission: Admission, request: ItemRequest) -> AdmittedItem | VermilionError:
        try:
            with self._parts.metrics.stage("gate"):
                item = admit_item(admission, request, largest_document_bytes=self._parts.largest_document_bytes)
                self._keeps_to_template(item)
                return item
        except VermilionError as refusal:
            return refusal
        except Exception as fault:  # noqa: BLE001  (as in ``run``)
            return self._unforeseen(fault)

    def _keeps_to_template(self, item: AdmittedItem) -> None:
        """The last step of the gate for grants: what a client says about a template is no evidence."""
        covers = item.admission.claims.covers
        if not isinstance(covers, GrantCovers) or covers.template is None:
            return
        template = item.admission.register.templates[covers.template]
        if self._parts.examiner.fingerprint(item.request.document, template.fields) != template.id:
            raise VermilionError(
                Code.TEMPLATE_MISMATCH, "the document differs from the grant's template in more than its declared fields",
                document=item.request.name or None,
            )  # fmt: skip

    def _proposal(self, item: AdmittedItem, seal_key: SealKey) -> Frozen:
        return Frozen(
            certificate_sha256=seal_key.certificate_sha256,
            signing_time_us=time_us(self._parts.clock.now().replace(microsecond=0)),
            field_name=f"Vermilion-{item.jti[-12:]}-{item.index}",  # from the random part: RSA signs equal bytes equally
            hole_size_bytes=seal_key.template.largest_bytes(self._parts.unit.largest_token_bytes),
            writer_version=WRITER_VERSION,
        )

    def _make(self, intent: Intent, seal_key: SealKey) -> Finished | VermilionError:
        """One attempt, up to what Commit needs; calls the HSM with the seal key at most once."""
        request = intent.item.request
        try:
            return self._attempt(intent, seal_key)
        except VermilionError as refusal:
            return VermilionError(refusal.code, refusal.reason, document=request.name or str(request.index), rule=refusal.rule)
        except Exception as fault:  # noqa: BLE001  (as in ``run``)
            return self._unforeseen(fault)

    def _attempt(self, intent: Intent, seal_key: SealKey) -> Finished:
        parts, template = self._parts, seal_key.template
        document = intent.item.request.document
        with parts.metrics.stage("prepare"):
            prepared = parts.sandbox.run(document, self._plan(intent), hash_name=template.hash_name)
            _require_honest(document, prepared, template.hash_name)
        parts.reached("prepared")
        with parts.metrics.stage("sign"):
            signature = parts.keys.sign(seal_key, template.signed_attributes(prepared.digest))
        parts.reached("signed")
        with parts.metrics.stage("timestamp"):
            token = parts.unit.stamp(hashlib.sha256(signature).digest(), hash_name="sha256")
        parts.reached("timestamped")
        suffix = fill(prepared, template.assemble(prepared.digest, signature, token))
        with parts.metrics.stage("read_back"):
            read_back(
                document,
                suffix,
                field_name=prepared.field_name,
                expected_spki_sha256=seal_key.key.spki_sha256,
                expected_digest=prepared.digest,
                hash_name=template.hash_name,
            )
        parts.reached("read back")
        sealed = hashlib.sha256(document)
        sealed.update(suffix)
        return Finished(
            intent=intent,
            suffix=suffix,
            sealed_sha256=sealed.digest(),
            signature_hash=signature_hash(signature),
            timestamp_hash=timestamp_hash(token),
            warnings=(*intent.item.admission.warnings, *prepared.warnings),
        )

    def _plan(self, intent: Intent) -> Plan:
        placement, seal = intent.item.request.placement, intent.item.admission.seal
        return Plan(
            field_name=intent.frozen.field_name,
            signing_time=datetime.fromtimestamp(intent.frozen.signing_time_us / 1_000_000, UTC),
            placement=placement,
            pictures={mark.picture_sha256: self._picture(mark.picture_sha256) for mark in placement.marks},
            hole_size_bytes=intent.frozen.hole_size_bytes,
            content_policy=ContentPolicy(seal.content_policy),
            writer_version=intent.frozen.writer_version,
            owner_name=seal.name,
        )

    def _unforeseen(self, fault: Exception) -> VermilionError:
        self._log.error("fault", exc_info=fault)
        return VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})")


def _require_honest(document: bytes, prepared: Prepared, hash_name: str) -> None:
    """Holds what the sandbox answered to the bytes: a document that took its child over gets no other digest signed (I2)."""
    _, first, second, _ = prepared.byte_range
    digest = hashlib.new(hash_name, document)
    digest.update(prepared.suffix[: first - len(document)])
    digest.update(prepared.suffix[second - len(document) :])
    if prepared.document_size_bytes != len(document) or digest.digest() != prepared.digest:
        raise VermilionError(Code.DOCUMENT_DAMAGED, "what was prepared is not an update of this document")


def _label(result: SealedUse | VermilionError) -> str:
    if isinstance(result, VermilionError):
        return str(result.code)
    return "repeated" if result.repeated else "sealed"
