"""The stages of a batch: gate → Intend → prepare → sign → timestamp → assemble → read back → Commit. Release is the caller's.

Each stage goes over the whole batch before the next begins, so that what a stage costs once is shared by all its documents.
A document that is refused never stops the others; whatever happens, each gets exactly one outcome. Until the HSM is called a
failure leaves nothing behind but an open use; after it, the attempt ends and a repeat of the request begins another.

What the lean writer does not understand, or what must be looked at in the sandbox before it is admitted, leaves the batch and
goes the same way by itself, beside it.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine as Database

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import tracing
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request
from sealcore.platform.sandbox import UnansweredError
from sealcore.platform.storage import Storage
from sealcore.protocol.ledger_entry import time_us
from signer.gate import Admission, admit_item
from signer.metrics import SignerMetrics, Stage
from signer.model import Call, Result
from signer.pipeline.admissions import Admissions
from signer.pipeline.batch import Admitted, Batch, Group, Intended, Prepared, Received, Signed, Timestamped, Verified, label
from signer.pipeline.clock_jumps import ClockJumps
from signer.pipeline.commit import commit
from signer.pipeline.examiner import Examiner
from signer.pipeline.fairness import FairThreads
from signer.pipeline.keys import SealKey, SealKeys
from signer.pipeline.preparation import InProgress, Preparation
from signer.pipeline.sandbox import Sandbox
from signer.pipeline.sealing import Sealing
from signer.pipeline.timestamps import TimestampSource
from signer.register.model import Template
from signer.register.store import RegisterStore
from signer.status.judge import StatusJudge
from signer.uses.store import Frozen, Intent, Reached, UseStore, Wanted
from signer.uses.suffixes import Suffixes

WRITER_VERSION = "vermilion-1"


@dataclass(frozen=True)
class Parts:
    """What the engine is made of."""

    database: Database
    register: RegisterStore
    uses: UseStore
    keys: SealKeys
    timestamps: TimestampSource
    sandbox: Sandbox
    examiner: Examiner
    metrics: SignerMetrics
    status: StatusJudge
    storage: Storage
    clock: Clock
    audience: str
    largest_document_bytes: int
    sandboxed_at_once: int
    urgent: bool
    in_progress: InProgress
    reached: Reached


class Engine:
    """Seals batches. Thread-safe."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._admissions = Admissions(parts.status, parts.keys, parts.clock, audience=parts.audience)
        self._beside = FairThreads(parts.sandboxed_at_once, "beside")
        self._log = get_log("engine")
        self._preparation = Preparation(parts.sandbox, parts.register.attachment, parts.in_progress, parts.metrics)
        self._holes: dict[str, int] = {}  # SHA-256 of a seal's certificate → size of its holes
        self._sealing = Sealing(parts.in_progress)
        self._suffixes = Suffixes()
        self._clock_jumps = ClockJumps(parts.clock, parts.metrics)
        self.is_exhausted = False  # some document was refused for want of memory, threads or descriptors

    def run(self, groups: Sequence[Group]) -> None:
        """Seals a batch, of one call or of several, and answers."""
        batch = Batch.of(groups)
        with tracing.span("batch", parent=groups[0].call.traceparent or None, documents=len(batch), callers=len(groups)):
            self._guarded(batch, self._all_stages)
            with self._stage("release", documents=batch.ended):
                counts: dict[Call, Counter[str]] = {}
                for group in groups:
                    outcomes = batch.outcomes(group)
                    group.answer(outcomes)
                    counts.setdefault(group.call, Counter()).update(label(outcome.result) for outcome in outcomes)
                for call, count in counts.items():
                    self._report(batch, call, count)

    def close(self) -> None:
        """Waits for what is being worked on beside the batches."""
        self._beside.close(finish=True)

    def _all_stages(self, batch: Batch) -> None:
        admitted = self._gate(batch)
        prepared, unread = self._prepare(batch, self._intend(batch, admitted))
        # Handed over before the batch goes on: the sandbox takes milliseconds to seconds, and
        # neither waits for the other.
        for one in unread:
            self._go_beside(batch, one.admitted.received, partial(self._after_intend, one))
        self._parts.reached("prepared")
        self._finish(batch, prepared)

    @contextmanager
    def _stage(self, name: str, *, documents: int) -> Iterator[Stage]:
        with tracing.span(name, documents=documents), self._parts.metrics.stage(name, documents=documents) as stage:
            yield stage

    def _guarded(self, batch: Batch, stages: Callable[[Batch], None]) -> None:
        """Whatever happens in the stages, each document that is still here has a result afterwards."""
        try:
            stages(batch)
        except Exception as fault:  # noqa: BLE001  (one outcome for each document, whatever happens)
            self._parts.in_progress.end()  # it is not the document's fault if the process has to end now
            batch.end_rest(self._typed(fault))
        # Also after a fault that nobody foresaw: while a lease is not given up, a repeat of the
        # request has to wait for its end.
        if failed := batch.failed():
            self._give_up(failed)

    def _give_up(self, failed: Sequence[Intent]) -> None:
        """Ends the attempts that came to nothing."""
        try:
            self._parts.uses.release(failed)
        except Exception as fault:  # noqa: BLE001  (whatever it is, the answers go out; other replicas wait for the lease to end)
            self._log.warning("leases not released", code=str(self._typed(fault).code), uses=len(failed))

    # --- beside the batch ------------------------------------------------------------------------------------------------------

    def _go_beside(self, batch: Batch, document: Received, stages: Callable[[Batch], None]) -> None:
        # In turn by client: one client's hard documents must not hold up those of the others.
        try:
            self._beside.add(document.group.call.client, partial(self._alone, document, stages))
        except RuntimeError as fault:  # no further thread
            batch.refuse(document, self._typed(fault))
        else:  # from here on the end of the batch must not answer this document a second time
            batch.detach(document)

    def _alone(self, document: Received, stages: Callable[[Batch], None]) -> None:
        group = document.group
        alone = Batch({group: [document]})
        with request(group.call.request_id), tracing.span("document", parent=group.call.traceparent or None):
            self._guarded(alone, stages)
            outcomes = alone.outcomes(group)
            group.answer_later(outcomes)
            self._report(alone, group.call, Counter(label(outcome.result) for outcome in outcomes))

    def _after_intend(self, intended: Intended, alone: Batch) -> None:
        alone.admitted, alone.begun = [intended.admitted], [intended]
        self._finish(alone, self._preparation.in_sandbox(alone, [intended]))

    def _after_gate(self, template: Template, admitted: Admitted, alone: Batch) -> None:
        alone.admitted = [admitted]
        # Before Intend, because it belongs to the gate: a use that does not match the template must
        # not be bound to this document.
        self._require_template(template, admitted)
        prepared, unread = self._prepare(alone, self._intend(alone, [admitted]))
        prepared += self._preparation.in_sandbox(alone, unread)
        self._parts.reached("prepared")
        self._finish(alone, prepared)

    def _require_template(self, template: Template, admitted: Admitted) -> None:
        """The last step of the gate for grants: what a client says about a template is no evidence."""
        request = admitted.item.request
        try:
            fingerprint = self._parts.examiner.fingerprint(request.document[:], template.fields)
        except UnansweredError as refusal:  # what the comparison itself finds too complex may well be sealed without a template
            admitted.received.group.overrun(request, refusal.reason, proven=False)
            raise
        if fingerprint != template.id:
            raise VermilionError(
                Code.TEMPLATE_MISMATCH, "the document differs from the grant's template in more than its declared fields",
                document=request.name or None,
            )  # fmt: skip

    # --- the gate --------------------------------------------------------------------------------------------------------------

    def _gate(self, batch: Batch) -> Sequence[Admitted]:
        """Those that passed; the documents of a grant with a template go on beside the batch."""
        with self._stage("gate", documents=len(batch)):
            # Read once: one batch is judged by one register. What changes meanwhile is caught by
            # the epochs, at Intend and at Commit.
            register = self._parts.register.current()
            now_ns = time.monotonic_ns()
            self._clock_jumps.look()
            admitted: list[Admitted] = []
            for group, documents in batch.groups.items():
                try:
                    if group.call.is_late(now_ns):
                        # Nothing is written yet, so giving up is free here; later the use would be
                        # sealed for a caller who has left.
                        raise VermilionError(Code.DEADLINE_EXCEEDED, "the caller's time was up before work began")
                    admission, key = self._admissions.admit(group.call, register)
                except VermilionError as refusal:
                    for document in documents:
                        batch.refuse(document, refusal)
                else:
                    admitted += self._admit(batch, documents, admission, key)
            batch.admitted = admitted
        self._parts.reached("gated")
        return admitted

    def _admit(self, batch: Batch, documents: Sequence[Received], admission: Admission, key: SealKey) -> list[Admitted]:
        admitted: list[Admitted] = []
        for document in documents:
            try:
                item = admit_item(admission, document.request, largest_document_bytes=self._parts.largest_document_bytes)
                admitted.append(Admitted(document, item, key))
            except VermilionError as refusal:
                batch.refuse(document, refusal)
            except Exception as fault:  # noqa: BLE001  (as in ``_guarded``)
                batch.refuse(document, self._typed(fault))
        template = admission.template
        if template is None:
            return admitted
        for one in admitted:
            self._go_beside(batch, one.received, partial(self._after_gate, template, one))
        return []

    # --- Intend ----------------------------------------------------------------------------------------------------------------

    def _intend(self, batch: Batch, admitted: Sequence[Admitted]) -> Sequence[Intended]:
        if not admitted:
            return ()
        with self._stage("intend", documents=len(admitted)):
            # Whole seconds, because /M has no more: a takeover writes the same date from what is
            # stored.
            now_us = time_us(self._parts.clock.now().replace(microsecond=0))
            wanted = [Wanted(one.item, self._proposal(one, now_us)) for one in admitted]
            intended: list[Intended] = []
            for one, answer in zip(admitted, self._answers(wanted), strict=True):
                if isinstance(answer, Intent):
                    intended.append(Intended(one, answer))
                else:
                    batch.end(one.received, answer)
            # Set before anything else can fail: what is listed here is given up if it comes to
            # nothing.
            batch.begun = intended
        self._parts.reached("intended")
        return intended

    def _answers(self, wanted: Sequence[Wanted]) -> Sequence[Intent | Result]:
        """From the store. Without room on the disk nothing is begun, before it costs a signature; what was sealed before is still given out."""
        try:
            self._parts.storage.require_room()
        except VermilionError as full:
            return [full if before is None else before for before in self._parts.uses.sealed(wanted)]
        return self._parts.uses.intend(wanted)

    def _proposal(self, admitted: Admitted, now_us: int) -> Frozen:
        item, key = admitted.item, admitted.key
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
            size_bytes = self._holes[key.certificate_sha256] = key.template.largest_bytes(self._parts.timestamps.largest_token_bytes)
        return size_bytes

    def _prepare(self, batch: Batch, intended: Sequence[Intended]) -> tuple[list[Prepared], list[Intended]]:
        """By the lean writer; second, those that are for the sandbox."""
        with self._stage("prepare", documents=len(intended)):
            return self._preparation.lean(batch, intended)

    # --- from the signature to the end of the use ------------------------------------------------------------------------------

    def _finish(self, batch: Batch, prepared: Sequence[Prepared]) -> None:
        signed = self._sign(batch, prepared)
        timestamped = self._timestamp(batch, signed)
        self._commit(batch, self._verify(batch, timestamped))

    def _sign(self, batch: Batch, prepared: Sequence[Prepared]) -> Sequence[Signed]:
        """Calls the HSM with the seal key, once for each document."""
        # By certificate, not by key: a renewed certificate for the same key has signed attributes
        # of its own (ESSCertIDv2).
        by_key: dict[str, list[Prepared]] = {}
        for one in prepared:
            by_key.setdefault(one.intended.admitted.key.certificate_sha256, []).append(one)
        signed: list[Signed] = []
        with self._stage("sign", documents=len(prepared)) as stage:
            before_s = self._parts.keys.cpu_s
            for group in by_key.values():
                key = group[0].intended.admitted.key
                # The digest is the one that the account computed from the bytes, not the one that
                # the writer reports.
                signatures = self._parts.keys.sign_all(key, [key.template.signed_attributes(one.accounted.digest) for one in group])
                self._parts.metrics.hsm_outcomes(signatures)
                for one, signature in zip(group, signatures, strict=True):
                    if isinstance(signature, VermilionError):
                        batch.refuse(one.intended.admitted.received, signature)
                    else:
                        signed.append(Signed(one, signature))
            stage.cpu_s = self._parts.keys.cpu_s - before_s
        self._parts.reached("signed")
        return signed

    def _timestamp(self, batch: Batch, signed: Sequence[Signed]) -> Sequence[Timestamped]:
        timestamped: list[Timestamped] = []
        with self._stage("timestamp", documents=len(signed)) as stage:
            before_s = self._parts.keys.cpu_s
            # The imprint of a signature timestamp is the hash of the signature value (ETSI EN 319
            # 122-1 §5.3), so it cannot be made earlier.
            tokens = self._parts.timestamps.stamp_all([hashlib.sha256(one.signature).digest() for one in signed])
            for one, token in zip(signed, tokens, strict=True):
                if isinstance(token, VermilionError):
                    batch.refuse(one.prepared.intended.admitted.received, token)
                else:
                    timestamped.append(Timestamped(one, token))
            stage.cpu_s = self._parts.keys.cpu_s - before_s
        self._parts.reached("timestamped")
        return timestamped

    def _verify(self, batch: Batch, timestamped: Sequence[Timestamped]) -> Sequence[Verified]:
        """Fills the signatures in, and reads the results back."""
        with self._stage("assemble", documents=len(timestamped)):
            filled = self._sealing.fill(batch, timestamped)
        with self._stage("read_back", documents=len(filled)):
            verified = self._sealing.read_back(batch, filled)
        self._parts.reached("read back")
        return verified

    def _commit(self, batch: Batch, verified: Sequence[Verified]) -> None:
        if not verified:
            return
        parts = self._parts
        parts.reached("commit begins")
        with self._stage("commit", documents=len(verified)):
            finished = [one.finished for one in verified]
            ended = commit(parts.database, parts.clock, self._suffixes, finished, urgent=parts.urgent, reached=parts.reached)
        # When Commit raises, whether it was committed is the database's to say: the repeat will find out.
        for one, result in zip(verified, ended, strict=True):
            batch.end(one.received, result)
        parts.reached("committed")

    # --- what became of it -----------------------------------------------------------------------------------------------------

    def _report(self, batch: Batch, call: Call, counts: Counter[str]) -> None:
        """Once for each call of a batch, whatever groups its documents came in."""
        self._parts.metrics.outcomes(counts)
        self.is_exhausted |= Code.RESOURCES_EXHAUSTED in counts
        if counts:
            jti = next((one.item.jti for one in batch.admitted if one.received.group.call == call), None)
            self._log.info("batch", request_id=call.request_id, jti=jti, client=call.client, **counts)

    def _typed(self, fault: Exception) -> VermilionError:
        """The error that stands for a fault."""
        refusal = typed(fault)
        if refusal is not fault:
            self._log.error("fault", exc_info=fault)
        return refusal
