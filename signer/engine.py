"""The way of a batch: gate → Intend → prepare → sign → timestamp → assemble → read back → Commit. Release is the caller's.

Each stage goes over the whole batch before the next begins, so that what a stage costs once is shared by all its documents.
A document that is refused never stops the others; whatever happens, each gets exactly one outcome. Until the HSM is called a
failure leaves nothing behind but an open use; after it, the attempt ends and a repeat of the request begins another.

What the lean writer does not understand, or what must be looked at in the sandbox before it is admitted, leaves the batch and
goes the same way by itself, beside it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Protocol

from sqlalchemy import Engine as Database
from structlog.contextvars import bound_contextvars

from sealcore import tracing
from sealcore.approvals.covers import GrantCovers
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ledger.entry import signature_hash, time_us, timestamp_hash
from sealcore.log import get as get_log
from signer.commit import Finished, commit
from signer.examiner import Examiner
from signer.gate import Admission, AdmittedItem, ItemRequest, admit_item, admit_token
from signer.keys import SealKey, SealKeys
from signer.messages import Outcome
from signer.metrics import SignerMetrics, Stage
from signer.pades.fill import fill
from signer.pades.lean.prepare import prepare_lean
from signer.pades.plan import ContentPolicy, Document, Plan, Prepared
from signer.pades.readback import read_back
from signer.register import Register
from signer.register_store import RegisterStore
from signer.sandbox import Sandbox
from signer.uses import Frozen, Intent, Reached, SealedUse, UseStore, Wanted
from timestamp.unit import TimestampUnit

WRITER_VERSION = "vermilion-1"
JUDGED_AGAIN = timedelta(seconds=60)  # certificates and tokens end while a stream is open
ADMISSIONS_HELD = 256
CLOCK_JUMP_S = 1.0
PICTURES_HELD = 64


class Asked(Protocol):
    """Documents of one client under one token. ``answer`` is called with each outcome once, some now, some later, by any thread."""

    @property
    def jws(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def deadline_ns(self) -> int | None: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def requests(self) -> Sequence[ItemRequest]: ...
    def answer(self, outcomes: Sequence[Outcome]) -> None: ...
    def answer_later(self, outcomes: Sequence[Outcome]) -> None: ...


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
    sandboxed_at_once: int
    urgent: bool
    reached: Reached


@dataclass(slots=True)
class _Document:
    """A document on its way: what each stage made for the next, and in the end its result. ``apart``: it left the batch."""

    asked: Asked
    request: ItemRequest
    item: AdmittedItem | None = None
    intent: Intent | None = None
    key: SealKey | None = None
    prepared: Prepared | None = None
    signature: bytes = b""
    token: bytes = b""
    finished: Finished | None = None
    result: SealedUse | VermilionError | None = None
    apart: bool = False

    @property
    def content(self) -> Document:
        """The document itself."""
        return self.request.document

    def refuse(self, refusal: VermilionError) -> None:
        """Ends it, naming the document."""
        name = refusal.document or self.request.name or str(self.request.index)
        self.result = VermilionError(refusal.code, refusal.reason, document=name, rule=refusal.rule)


_Documents = Sequence[_Document]


class Engine:
    """Seals batches. Thread-safe."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._beside = ThreadPoolExecutor(parts.sandboxed_at_once, thread_name_prefix="beside")
        self._log = get_log("engine")
        self._picture = lru_cache(maxsize=PICTURES_HELD)(parts.register.attachment)
        self._admissions: OrderedDict[tuple[str, str], Admission] = OrderedDict()
        self._admissions_lock = threading.Lock()
        self._holes: dict[str, int] = {}  # SHA-256 of a seal's certificate → size of its holes
        self._clock_offset_s = parts.clock.now().timestamp() - parts.clock.monotonic_s()

    def run(self, batch: Sequence[Asked]) -> None:
        """Seals a batch, of one client or of several, and answers."""
        documents = [_Document(asked, request) for asked in batch for request in asked.requests]
        with tracing.span("batch", parent=batch[0].traceparent or None, documents=len(documents), callers=len(batch)):
            self._guarded(documents, self._all_stages)
            here = [document for document in documents if not document.apart]
            with self._stage("release", documents=len(here)):
                for asked in batch:
                    ended = [document for document in here if document.asked is asked]
                    asked.answer(_outcomes(ended))
                    self._report(asked, ended)

    def close(self) -> None:
        """Waits for what is being worked on beside the batches."""
        self._beside.shutdown()

    def _all_stages(self, documents: _Documents) -> None:
        self._gate(documents)
        self._intend(_going(documents))
        self._prepare(_going(documents))
        self._finish(_going(documents))

    @contextmanager
    def _stage(self, name: str, *, documents: int) -> Iterator[Stage]:
        with tracing.span(name, documents=documents), self._parts.metrics.stage(name, documents=documents) as stage:
            yield stage

    def _guarded(self, documents: _Documents, stages: Callable[[_Documents], None]) -> None:
        """Whatever happens in the stages, each document that is still here has a result afterwards."""
        try:
            stages(documents)
        except VermilionError as fault:
            _end(documents, fault)
        except Exception as fault:  # noqa: BLE001  (one outcome for each document, whatever happens)
            _end(documents, self._unforeseen(fault))
        self._give_up([document for document in documents if not document.apart])

    def _give_up(self, documents: _Documents) -> None:
        """Ends the attempts that came to nothing."""
        failed = [document.intent for document in documents if document.intent and isinstance(document.result, VermilionError)]
        if not failed:
            return
        try:
            self._parts.uses.release(failed)
        except VermilionError as fault:  # then other replicas wait for the lease to end
            self._log.warning("leases not released", code=str(fault.code), uses=len(failed))

    # --- beside the batch ------------------------------------------------------------------------------------------------------

    def _go_beside(self, document: _Document, stages: Callable[[_Documents], None]) -> None:
        document.apart = True
        self._beside.submit(self._alone, document, stages)

    def _alone(self, document: _Document, stages: Callable[[_Documents], None]) -> None:
        alone, asked = replace(document, apart=False), document.asked
        with bound_contextvars(request_id=asked.request_id), tracing.span("document", parent=asked.traceparent or None):
            self._guarded([alone], stages)
            asked.answer_later(_outcomes([alone]))
            self._report(asked, [alone])

    def _after_sandbox(self, documents: _Documents) -> None:
        self._prepare_in_sandbox(documents)
        self._finish(_going(documents))

    def _after_template(self, documents: _Documents) -> None:
        for document in documents:
            self._keeps_to_template(_admitted(document))
        self._intend(documents)
        self._prepare(_going(documents), lean_alone=False)
        self._finish(_going(documents))

    # --- the gate --------------------------------------------------------------------------------------------------------------

    def _gate(self, documents: _Documents) -> None:
        with self._stage("gate", documents=len(documents)):
            register = self._parts.register.current()
            admissions: dict[int, tuple[Admission, SealKey] | VermilionError] = {}
            now_ns = time.monotonic_ns()
            self._look_at_clock()
            for document in documents:
                asked = document.asked
                if asked.deadline_ns is not None and asked.deadline_ns <= now_ns:
                    document.refuse(VermilionError(Code.DEADLINE_EXCEEDED, "the caller's time was up before work began"))
                    continue
                admission = admissions.get(id(asked))
                if admission is None:
                    admission = admissions[id(asked)] = self._admission(asked, register)
                if isinstance(admission, VermilionError):
                    document.refuse(admission)
                else:
                    self._admit(document, *admission)
        self._parts.reached("gated")

    def _look_at_clock(self) -> None:
        """Notices when the wall clock was set: leases and tokens then end earlier or later than they seem to."""
        offset_s = self._parts.clock.now().timestamp() - self._parts.clock.monotonic_s()
        jump_s = offset_s - self._clock_offset_s
        if abs(jump_s) > CLOCK_JUMP_S:
            self._log.warning("the clock was set", seconds=round(jump_s, 3))
            self._parts.metrics.clock_jumps.inc()
            self._clock_offset_s = offset_s

    def _admission(self, asked: Asked, register: Register) -> tuple[Admission, SealKey] | VermilionError:
        """The token's admission, judged again when the register has changed or a minute has passed."""
        held_as, now = (asked.jws, asked.peer), self._parts.clock.now()
        with self._admissions_lock:
            held = self._admissions.get(held_as)
        try:
            if held is None or held.register.version != register.version or abs(now - held.judged_at) >= JUDGED_AGAIN:
                held = admit_token(asked.jws, peer=asked.peer, register=register, now=now, audience=self._parts.audience)
            key = self._parts.keys.of(held.seal)
        except VermilionError as refusal:
            return refusal
        with self._admissions_lock:
            self._admissions[held_as] = held
            while len(self._admissions) > ADMISSIONS_HELD:
                self._admissions.popitem(last=False)
        return held, key

    def _admit(self, document: _Document, admission: Admission, key: SealKey) -> None:
        try:
            document.item = admit_item(admission, document.request, largest_document_bytes=self._parts.largest_document_bytes)
            document.key = key
        except VermilionError as refusal:
            document.refuse(refusal)
            return
        except Exception as fault:  # noqa: BLE001  (as in ``_guarded``)
            document.refuse(self._unforeseen(fault))
            return
        covers = admission.claims.covers
        if isinstance(covers, GrantCovers) and covers.template is not None:
            self._go_beside(document, self._after_template)

    def _keeps_to_template(self, item: AdmittedItem) -> None:
        """The last step of the gate for grants: what a client says about a template is no evidence."""
        covers = item.admission.claims.covers
        assert isinstance(covers, GrantCovers) and covers.template is not None
        template = item.admission.register.templates[covers.template]
        if self._parts.examiner.fingerprint(item.request.document[:], template.fields) != template.id:
            raise VermilionError(
                Code.TEMPLATE_MISMATCH, "the document differs from the grant's template in more than its declared fields",
                document=item.request.name or None,
            )  # fmt: skip

    # --- Intend ----------------------------------------------------------------------------------------------------------------

    def _intend(self, documents: _Documents) -> None:
        if not documents:
            return
        with self._stage("intend", documents=len(documents)):
            now_us = time_us(self._parts.clock.now().replace(microsecond=0))
            wanted = [Wanted(_admitted(document), self._proposal(document, now_us)) for document in documents]
            for document, answer in zip(documents, self._parts.uses.intend(wanted), strict=True):
                if isinstance(answer, Intent):
                    document.intent = answer
                else:
                    document.result = answer
        self._parts.reached("intended")

    def _proposal(self, document: _Document, now_us: int) -> Frozen:
        item, key = _admitted(document), _key(document)
        return Frozen(
            certificate_sha256=key.certificate_sha256,
            signing_time_us=now_us,
            field_name=f"Vermilion-{item.jti[-12:]}-{item.index}",  # from the random part: RSA signs equal bytes equally
            hole_size_bytes=self._hole_size_bytes(key),
            writer_version=WRITER_VERSION,
        )

    def _hole_size_bytes(self, key: SealKey) -> int:
        size_bytes = self._holes.get(key.certificate_sha256)
        if size_bytes is None:
            size_bytes = self._holes[key.certificate_sha256] = key.template.largest_bytes(self._parts.unit.largest_token_bytes)
        return size_bytes

    # --- prepare ---------------------------------------------------------------------------------------------------------------

    def _prepare(self, documents: _Documents, *, lean_alone: bool = True) -> None:
        """By the lean writer; what it does not understand goes to the sandbox, beside the batch unless it is there already."""
        sandboxed: list[_Document] = []
        with self._stage("prepare", documents=len(documents)):
            for document in documents:
                try:
                    document.prepared = prepare_lean(document.content, self._plan(document), _digest(document))
                except VermilionError as refusal:
                    document.refuse(refusal)
                    continue
                except Exception as fault:  # noqa: BLE001  (what the lean writer trips over, the sandbox may judge)
                    self._unforeseen(fault)
                if document.prepared is None:
                    sandboxed.append(document)
        self._parts.metrics.prepared("lean", len(documents) - len(sandboxed))
        if not lean_alone:
            self._prepare_in_sandbox(sandboxed)
        else:
            for document in sandboxed:
                self._go_beside(document, self._after_sandbox)
        self._parts.reached("prepared")

    def _prepare_in_sandbox(self, documents: _Documents) -> None:
        for document in documents:
            try:
                hash_name = _key(document).template.hash_name
                prepared = self._parts.sandbox.run(document.content[:], self._plan(document), hash_name)
                _require_honest(document, prepared)
                document.prepared = prepared
                self._parts.metrics.sandbox_calls.labels("ok").inc()
            except VermilionError as refusal:
                document.refuse(refusal)
                self._parts.metrics.sandbox_calls.labels(str(refusal.code)).inc()
        self._parts.metrics.prepared("sandbox", len(documents))

    def _plan(self, document: _Document) -> Plan:
        item, frozen = _admitted(document), _intent(document).frozen
        placement, seal = item.request.placement, item.admission.seal
        return Plan(
            field_name=frozen.field_name,
            signing_time=datetime.fromtimestamp(frozen.signing_time_us / 1_000_000, UTC),
            placement=placement,
            pictures={mark.picture_sha256: self._picture(mark.picture_sha256) for mark in placement.marks},
            hole_size_bytes=frozen.hole_size_bytes,
            content_policy=ContentPolicy(seal.content_policy),
            writer_version=frozen.writer_version,
            owner_name=seal.name,
        )

    # --- from the signature to the end of the use ------------------------------------------------------------------------------

    def _finish(self, documents: _Documents) -> None:
        self._sign(documents)
        self._timestamp(_going(documents))
        self._complete(_going(documents))
        self._commit(_going(documents))

    def _sign(self, documents: _Documents) -> None:
        """Calls the HSM with the seal key, once for each document."""
        by_key: dict[str, list[_Document]] = {}
        for document in documents:
            by_key.setdefault(_key(document).certificate_sha256, []).append(document)
        with self._stage("sign", documents=len(documents)) as stage:
            before_s = self._parts.keys.cpu_s
            for group in by_key.values():
                key = _key(group[0])
                attributes = [key.template.signed_attributes(_prepared(document).digest) for document in group]
                signatures = self._parts.keys.sign_all(key, attributes)
                self._count_calls(signatures)
                for document, signature in zip(group, signatures, strict=True):
                    if isinstance(signature, VermilionError):
                        document.refuse(signature)
                    else:
                        document.signature = signature
            stage.cpu_s = self._parts.keys.cpu_s - before_s
        self._parts.reached("signed")

    def _timestamp(self, documents: _Documents) -> None:
        with self._stage("timestamp", documents=len(documents)) as stage:
            before_s = self._parts.keys.cpu_s
            jobs = [partial(self._parts.unit.stamp, hashlib.sha256(document.signature).digest()) for document in documents]
            tokens = self._parts.keys.watched(jobs)
            self._count_calls(tokens)
            for document, token in zip(documents, tokens, strict=True):
                if isinstance(token, VermilionError):
                    document.refuse(token)
                else:
                    document.token = token
            stage.cpu_s = self._parts.keys.cpu_s - before_s
        self._parts.reached("timestamped")

    def _count_calls(self, outcomes: Sequence[bytes | VermilionError]) -> None:
        faults = Counter(outcome.code for outcome in outcomes if isinstance(outcome, VermilionError))
        self._parts.metrics.hsm_called(len(outcomes) - faults.total())
        for code, count in faults.items():
            self._parts.metrics.hsm_called(count, code)

    def _complete(self, documents: _Documents) -> None:
        """Fills the signature in, and reads the result back."""
        suffixes: list[bytes] = []
        with self._stage("assemble", documents=len(documents)):
            for document in documents:
                prepared = _prepared(document)
                suffixes.append(fill(prepared, _key(document).template.assemble(prepared.digest, document.signature, document.token)))
        with self._stage("read_back", documents=len(documents)):
            for document, suffix in zip(documents, suffixes, strict=True):
                try:
                    document.finished = _read_back(document, suffix)
                except VermilionError as refusal:
                    document.refuse(refusal)
        self._parts.reached("read back")

    def _commit(self, documents: _Documents) -> None:
        if not documents:
            return
        parts = self._parts
        parts.reached("commit begins")
        with self._stage("commit", documents=len(documents)):
            finished = [document.finished for document in documents if document.finished is not None]
            ended = commit(parts.database, parts.clock, finished, urgent=parts.urgent, reached=parts.reached)
        # When Commit raises, whether it was committed is the database's to say: the repeat will find out.
        for document, result in zip(documents, ended, strict=True):
            document.result = result
        parts.reached("committed")

    # --- what became of it -----------------------------------------------------------------------------------------------------

    def _report(self, asked: Asked, documents: _Documents) -> None:
        counts = Counter(_label(document.result) for document in documents)
        self._parts.metrics.outcomes(counts)
        if counts:
            item = next((document.item for document in documents if document.item is not None), None)
            self._log.info("batch", request_id=asked.request_id, jti=item.jti if item else None, client=asked.peer, **counts)

    def _unforeseen(self, fault: Exception) -> VermilionError:
        self._log.error("fault", exc_info=fault)
        return VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})")


def _read_back(document: _Document, suffix: bytes) -> Finished:
    prepared, key = _prepared(document), _key(document)
    read_back(
        document.content,
        suffix,
        document_digest=_digest(document),
        field_name=prepared.field_name,
        expected_spki_sha256=key.key.spki_sha256,
        expected_digest=prepared.digest,
        hash_name=key.template.hash_name,
    )
    sealed = _admitted(document).digest.copy()
    sealed.update(suffix)
    return Finished(
        intent=_intent(document),
        suffix=suffix,
        sealed_sha256=sealed.digest(),
        signature_hash=signature_hash(document.signature),
        timestamp_hash=timestamp_hash(document.token),
        warnings=(*_admitted(document).admission.warnings, *prepared.warnings),
    )


def _digest(document: _Document) -> hashlib._Hash:
    """The state of the signature's hash after the whole document; never to be updated itself."""
    item, hash_name = _admitted(document), _key(document).template.hash_name
    return item.digest if hash_name == "sha256" else hashlib.new(hash_name, document.content)


def _require_honest(document: _Document, prepared: Prepared) -> None:
    """Holds what the sandbox answered to the bytes: a document that took its child over gets no other digest signed (I2)."""
    size_bytes, (_, first, second, _) = len(document.content), prepared.byte_range
    digest = _digest(document).copy()
    digest.update(prepared.suffix[: first - size_bytes])
    digest.update(prepared.suffix[second - size_bytes :])
    if prepared.document_size_bytes != size_bytes or digest.digest() != prepared.digest:
        raise VermilionError(Code.DOCUMENT_DAMAGED, "what was prepared is not an update of this document")


def _going(documents: _Documents) -> list[_Document]:
    """Those that go on in this batch."""
    return [document for document in documents if document.result is None and not document.apart]


def _end(documents: _Documents, fault: VermilionError) -> None:
    for document in _going(documents):
        document.result = fault


def _outcomes(documents: _Documents) -> list[Outcome]:
    return [Outcome(document.request.index, document.result) for document in documents if document.result is not None]


# What an earlier stage made. A stage sees only documents for which the earlier ones succeeded.


def _admitted(document: _Document) -> AdmittedItem:
    assert document.item is not None
    return document.item


def _key(document: _Document) -> SealKey:
    assert document.key is not None
    return document.key


def _intent(document: _Document) -> Intent:
    assert document.intent is not None
    return document.intent


def _prepared(document: _Document) -> Prepared:
    assert document.prepared is not None
    return document.prepared


def _label(result: SealedUse | VermilionError | None) -> str:
    if isinstance(result, SealedUse):
        return "repeated" if result.repeated else "sealed"
    return str(result.code) if result else "none"
