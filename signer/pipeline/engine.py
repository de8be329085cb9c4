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
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial

from sqlalchemy import Engine as Database
from structlog.contextvars import bound_contextvars

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import tracing
from sealcore.platform.log import get as get_log
from sealcore.protocol.covers import GrantCovers
from sealcore.protocol.ledger_entry import time_us
from signer.metrics import SignerMetrics, Stage
from signer.pdf.fill import fill
from signer.pdf.lean.prepare import prepare_lean
from signer.pdf.plan import ContentPolicy, Plan
from signer.pipeline.batch import Asked, Documents, Underway, end, going, label, outcomes
from signer.pipeline.commit import commit
from signer.pipeline.examiner import Examiner
from signer.pipeline.fairness import FairThreads
from signer.pipeline.gate import Admission, AdmittedItem, admit_item, admit_token
from signer.pipeline.keys import SealKey, SealKeys
from signer.pipeline.sandbox import Sandbox
from signer.pipeline.timestamps import Stamps
from signer.register.model import Register
from signer.register.store import RegisterStore
from signer.status.judge import StatusJudge
from signer.uses.store import Frozen, Intent, Reached, UseStore, Wanted
from signer.worker.in_progress import Reading

WRITER_VERSION = "vermilion-1"
JUDGED_AGAIN = timedelta(seconds=60)  # certificates and tokens end while a stream is open
ADMISSIONS_HELD = 256
CLOCK_JUMP_S = 1.0
PICTURES_HELD = 64


@dataclass(frozen=True)
class Parts:
    """What the engine is made of."""

    database: Database
    register: RegisterStore
    uses: UseStore
    keys: SealKeys
    stamps: Stamps
    sandbox: Sandbox
    examiner: Examiner
    metrics: SignerMetrics
    status: StatusJudge
    clock: Clock
    audience: str
    largest_document_bytes: int
    sandboxed_at_once: int
    urgent: bool
    reading: Reading
    reached: Reached


class Engine:
    """Seals batches. Thread-safe."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._beside = FairThreads(parts.sandboxed_at_once, "beside")
        self._log = get_log("engine")
        self._picture = lru_cache(maxsize=PICTURES_HELD)(parts.register.attachment)
        self._admissions: OrderedDict[tuple[str, str], Admission] = OrderedDict()
        self._admissions_lock = threading.Lock()
        self._holes: dict[str, int] = {}  # SHA-256 of a seal's certificate → size of its holes
        self._clock_offset_s = parts.clock.now().timestamp() - parts.clock.monotonic_s()

    def run(self, batch: Sequence[Asked]) -> None:
        """Seals a batch, of one client or of several, and answers."""
        documents = [Underway(asked, request) for asked in batch for request in asked.requests]
        with tracing.span("batch", parent=batch[0].traceparent or None, documents=len(documents), callers=len(batch)):
            self._guarded(documents, self._all_stages)
            here = [document for document in documents if not document.apart]
            with self._stage("release", documents=len(here)):
                for asked in batch:
                    ended = [document for document in here if document.asked is asked]
                    asked.answer(outcomes(ended))
                    self._report(asked, ended)

    def close(self) -> None:
        """Waits for what is being worked on beside the batches."""
        self._beside.close(finish=True)

    def _all_stages(self, documents: Documents) -> None:
        self._gate(documents)
        self._intend(going(documents))
        self._prepare(going(documents))
        self._finish(going(documents))

    @contextmanager
    def _stage(self, name: str, *, documents: int) -> Iterator[Stage]:
        with tracing.span(name, documents=documents), self._parts.metrics.stage(name, documents=documents) as stage:
            yield stage

    def _guarded(self, documents: Documents, stages: Callable[[Documents], None]) -> None:
        """Whatever happens in the stages, each document that is still here has a result afterwards."""
        try:
            stages(documents)
        except VermilionError as fault:
            end(documents, fault)
        except Exception as fault:  # noqa: BLE001  (one outcome for each document, whatever happens)
            end(documents, self._unforeseen(fault))
        self._give_up([document for document in documents if not document.apart])

    def _give_up(self, documents: Documents) -> None:
        """Ends the attempts that came to nothing."""
        failed = [document.intent for document in documents if document.intent and isinstance(document.result, VermilionError)]
        if not failed:
            return
        try:
            self._parts.uses.release(failed)
        except VermilionError as fault:  # then other replicas wait for the lease to end
            self._log.warning("leases not released", code=str(fault.code), uses=len(failed))

    # --- beside the batch ------------------------------------------------------------------------------------------------------

    def _go_beside(self, document: Underway, stages: Callable[[Documents], None]) -> None:
        document.apart = True
        self._beside.add(document.asked.peer, partial(self._alone, document, stages))

    def _alone(self, document: Underway, stages: Callable[[Documents], None]) -> None:
        alone, asked = replace(document, apart=False), document.asked
        with bound_contextvars(request_id=asked.request_id), tracing.span("document", parent=asked.traceparent or None):
            self._guarded([alone], stages)
            asked.answer_later(outcomes([alone]))
            self._report(asked, [alone])

    def _after_sandbox(self, documents: Documents) -> None:
        self._prepare_in_sandbox(documents)
        self._finish(going(documents))

    def _after_template(self, documents: Documents) -> None:
        for document in documents:
            self._keeps_to_template(document.admitted)
        self._intend(documents)
        self._prepare(going(documents), lean_alone=False)
        self._finish(going(documents))

    # --- the gate --------------------------------------------------------------------------------------------------------------

    def _gate(self, documents: Documents) -> None:
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
            self._parts.status.require_good(held.seal)
            key = self._parts.keys.of(held.seal)
        except VermilionError as refusal:
            return refusal
        with self._admissions_lock:
            self._admissions[held_as] = held
            while len(self._admissions) > ADMISSIONS_HELD:
                self._admissions.popitem(last=False)
        return held, key

    def _admit(self, document: Underway, admission: Admission, key: SealKey) -> None:
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

    def _intend(self, documents: Documents) -> None:
        if not documents:
            return
        with self._stage("intend", documents=len(documents)):
            now_us = time_us(self._parts.clock.now().replace(microsecond=0))
            wanted = [Wanted(document.admitted, self._proposal(document, now_us)) for document in documents]
            for document, answer in zip(documents, self._parts.uses.intend(wanted), strict=True):
                if isinstance(answer, Intent):
                    document.intent = answer
                else:
                    document.result = answer
        self._parts.reached("intended")

    def _proposal(self, document: Underway, now_us: int) -> Frozen:
        item, key = document.admitted, document.seal_key
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
            size_bytes = self._holes[key.certificate_sha256] = key.template.largest_bytes(self._parts.stamps.largest_token_bytes)
        return size_bytes

    # --- prepare ---------------------------------------------------------------------------------------------------------------

    def _prepare(self, documents: Documents, *, lean_alone: bool = True) -> None:
        """By the lean writer; what it does not understand goes to the sandbox, beside the batch unless it is there already."""
        sandboxed: list[Underway] = []
        with self._stage("prepare", documents=len(documents)):
            for document in documents:
                self._parts.reading.begin(document.request.document_sha256)
                try:
                    plan = self._plan(document)
                    prepared = prepare_lean(document.content, plan, document.digest())
                    if prepared is not None:
                        document.require_honest(prepared, plan)
                        document.prepared = prepared
                except VermilionError as refusal:
                    document.refuse(refusal)
                    continue
                except Exception as fault:  # noqa: BLE001  (what the lean writer trips over, the sandbox may judge)
                    self._unforeseen(fault)
                if document.prepared is None:
                    sandboxed.append(document)
            self._parts.reading.end()
        self._parts.metrics.prepared("lean", len(documents) - len(sandboxed))
        if not lean_alone:
            self._prepare_in_sandbox(sandboxed)
        else:
            for document in sandboxed:
                self._go_beside(document, self._after_sandbox)
        self._parts.reached("prepared")

    def _prepare_in_sandbox(self, documents: Documents) -> None:
        for document in documents:
            try:
                hash_name = document.seal_key.template.hash_name
                plan = self._plan(document)
                prepared = self._parts.sandbox.run(document.content[:], plan, hash_name)
                document.require_honest(prepared, plan)
                document.prepared = prepared
                self._parts.metrics.sandbox_calls.labels("ok").inc()
            except VermilionError as refusal:
                document.refuse(refusal)
                self._parts.metrics.sandbox_calls.labels(str(refusal.code)).inc()
        self._parts.metrics.prepared("sandbox", len(documents))

    def _plan(self, document: Underway) -> Plan:
        item, frozen = document.admitted, document.attempt.frozen
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
            bound=seal.certifies if item.is_grant_use else None,
        )

    # --- from the signature to the end of the use ------------------------------------------------------------------------------

    def _finish(self, documents: Documents) -> None:
        self._sign(documents)
        self._timestamp(going(documents))
        self._complete(going(documents))
        self._commit(going(documents))

    def _sign(self, documents: Documents) -> None:
        """Calls the HSM with the seal key, once for each document."""
        by_key: dict[str, list[Underway]] = {}
        for document in documents:
            by_key.setdefault(document.seal_key.certificate_sha256, []).append(document)
        with self._stage("sign", documents=len(documents)) as stage:
            before_s = self._parts.keys.cpu_s
            for group in by_key.values():
                key = group[0].seal_key
                attributes = [key.template.signed_attributes(document.update.digest) for document in group]
                signatures = self._parts.keys.sign_all(key, attributes)
                self._parts.metrics.hsm_outcomes(signatures)
                for document, signature in _made(group, signatures):
                    document.signature = signature
            stage.cpu_s = self._parts.keys.cpu_s - before_s
        self._parts.reached("signed")

    def _timestamp(self, documents: Documents) -> None:
        with self._stage("timestamp", documents=len(documents)) as stage:
            before_s = self._parts.keys.cpu_s
            tokens = self._parts.stamps.stamp_all([hashlib.sha256(document.signature).digest() for document in documents])
            for document, token in _made(documents, tokens):
                document.token = token
            stage.cpu_s = self._parts.keys.cpu_s - before_s
        self._parts.reached("timestamped")

    def _complete(self, documents: Documents) -> None:
        """Fills the signature in, and reads the result back."""
        suffixes: list[bytes] = []
        with self._stage("assemble", documents=len(documents)):
            for document in documents:
                prepared = document.update
                suffixes.append(fill(prepared, document.seal_key.template.assemble(prepared.digest, document.signature, document.token)))
        with self._stage("read_back", documents=len(documents)):
            for document, suffix in zip(documents, suffixes, strict=True):
                self._parts.reading.begin(document.request.document_sha256)
                try:
                    document.finished = document.read_back(suffix)
                except VermilionError as refusal:
                    document.refuse(refusal)
            self._parts.reading.end()
        self._parts.reached("read back")

    def _commit(self, documents: Documents) -> None:
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

    def _report(self, asked: Asked, documents: Documents) -> None:
        counts = Counter(label(document.result) for document in documents)
        self._parts.metrics.outcomes(counts)
        if counts:
            item = next((document.item for document in documents if document.item is not None), None)
            self._log.info("batch", request_id=asked.request_id, jti=item.jti if item else None, client=asked.peer, **counts)

    def _unforeseen(self, fault: Exception) -> VermilionError:
        self._log.error("fault", exc_info=fault)
        return VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})")


def _made(documents: Documents, results: Sequence[bytes | VermilionError]) -> Iterator[tuple[Underway, bytes]]:
    """Each document with what was made for it; those for which nothing could be made are refused."""
    for document, result in zip(documents, results, strict=True):
        if isinstance(result, VermilionError):
            document.refuse(result)
        else:
            yield document, result
