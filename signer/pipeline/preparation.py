"""Prepare: the update of a document, with an empty hole for its signature, by the lean writer or in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

from sealcore import compiled
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.sandbox import UnansweredError
from signer.metrics import SignerMetrics
from signer.pdf.lean import prepare_lean, warnings_of
from signer.pdf.plan import ContentPolicy, Plan
from signer.pdf.readback.quick_account import KnownLooks
from signer.pipeline.batch import Batch, Intended, Prepared, accept
from signer.pipeline.sandbox import Sandbox

if compiled.AVAILABLE:
    from sealcore.compiled import core
    from signer.pdf.lean_plan import lean_plan
    from signer.pdf.readback.expected import expected

PICTURES_HELD: Final = 64


class InProgress(Protocol):
    """Where a thread notes which document it is reading, for whoever must know when the process has died over one."""

    def begin(self, document_sha256: bytes) -> None:
        """This thread reads that document from now on."""

    def end(self) -> None:
        """It reads none."""

    def note(self) -> tuple[core.Reading, int]:
        """Where the compiled core notes it for this thread."""


class Preparation:
    """Prepares documents. Thread-safe.

    picture  finds a picture by its SHA-256
    """

    def __init__(self, sandbox: Sandbox, picture: Callable[[bytes], bytes], in_progress: InProgress, metrics: SignerMetrics) -> None:
        self._sandbox = sandbox
        self._picture = lru_cache(maxsize=PICTURES_HELD)(picture)
        self._in_progress = in_progress
        self._metrics = metrics
        self._known_looks = KnownLooks()
        self._log = get_log("engine")

    def lean(self, batch: Batch, intended: Sequence[Intended]) -> tuple[list[Prepared], list[Intended]]:
        """By the lean writer; second, those that it does not understand, which are for the sandbox."""
        prepared: list[Prepared] = []
        unread: list[Intended] = []
        for one, answer in zip(intended, self._at_once(intended), strict=True):
            if answer is None:
                self._alone(batch, one, prepared, unread)
            elif isinstance(answer, str):
                unread.append(one)
            else:
                prepared.append(Prepared(one, answer, warnings_of(answer.warnings)))
        self._in_progress.end()
        self._metrics.prepared("lean", len(intended) - len(unread))
        return prepared, unread

    def _at_once(self, intended: Sequence[Intended]) -> Sequence[core.Accounted | str | None]:
        """All in one call of the core: the update, accounted for; why it is for the sandbox; or None where the document is to be done alone."""
        answers: list[core.Accounted | str | None] = [None] * len(intended)
        looks = self._known_looks.compiled
        if looks is None:
            return answers
        plans: dict[object, tuple[core.Plan, core.Expected] | None] = {}
        jobs, places = [], []
        try:
            for place, one in enumerate(intended):
                request, state, plan = one.admitted.item.request, one.admitted.digest(), self._compiled_plan(plans, one)
                if plan is not None and isinstance(state, core.Hash):
                    jobs.append((request.document, state, *plan, one.intent.frozen.field_name, request.document_sha256))
                    places.append(place)
            # If the process dies in there, the front counts it against the document that is noted at that moment, and refuses that one
            # after the second time (ADR 18).
            for place, answer in zip(places, core.prepare_all(jobs, looks, *self._in_progress.note()), strict=True):
                answers[place] = answer
        except Exception as fault:  # noqa: BLE001  (one by one, it is the fault of one document at most)
            self._log.error("fault", exc_info=fault)
        return answers

    def _compiled_plan(
        self, plans: dict[object, tuple[core.Plan, core.Expected] | None], intended: Intended
    ) -> tuple[core.Plan, core.Expected] | None:
        """What is told to writer and account, but for the name of the field; the same for most of a batch."""
        item, frozen = intended.admitted.item, intended.intent.frozen
        # By identity: equal placements are one value, and all of them live longer than the batch.
        key = id(item.request.placement), id(item.admission), frozen.signing_time_us, frozen.hole_size_bytes, frozen.writer_version
        if key not in plans:
            try:
                plan = self._plan(intended)
                plans[key] = lean_plan(plan), expected(plan)
            except (VermilionError, ValueError):  # done alone, it is refused or goes to the sandbox
                plans[key] = None
        return plans[key]

    def _alone(self, batch: Batch, one: Intended, prepared: list[Prepared], unread: list[Intended]) -> None:
        """One document, with all that the core leaves to others: appearances that were not judged yet, the general account, refusals."""
        request = one.admitted.item.request
        self._in_progress.begin(request.document_sha256)
        try:
            plan = self._plan(one)
            update = prepare_lean(request.document, plan, one.admitted.digest())
            if update is not None:
                prepared.append(accept(one, update, plan, self._known_looks))
                return
        except VermilionError as refusal:
            batch.refuse(one.admitted.received, refusal)
            return
        except Exception as fault:  # noqa: BLE001  (where the lean writer fails, the sandbox may succeed)
            self._log.error("fault", exc_info=fault)
        unread.append(one)

    def in_sandbox(self, batch: Batch, intended: Sequence[Intended]) -> list[Prepared]:
        """In a process of its own for each document."""
        prepared: list[Prepared] = []
        for one in intended:
            try:
                plan = self._plan(one)
                hash_name = one.admitted.key.template.hash_name
                # The slice is a copy where the document is mapped: pipes take bytes.
                update = self._sandbox.run(one.admitted.item.request.document[:], plan, hash_name)
                # The child read a hostile document and may have been taken over: its answer is held
                # against the document and the plan here, outside of it.
                prepared.append(accept(one, update, plan, self._known_looks))
                self._metrics.sandbox_calls.labels("ok").inc()
            except VermilionError as refusal:
                batch.refuse(one.admitted.received, refusal)
                self._metrics.sandbox_calls.labels(str(refusal.code)).inc()
                if refusal.code is Code.DOCUMENT_TOO_COMPLEX:
                    request, proven = one.admitted.item.request, not isinstance(refusal, UnansweredError)
                    one.admitted.received.group.overrun(request, refusal.reason, proven=proven)
        self._metrics.prepared("sandbox", len(intended))
        return prepared

    def _plan(self, intended: Intended) -> Plan:
        item, frozen = intended.admitted.item, intended.intent.frozen
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
            # Under a manifest the approved leaf says how the document is certified. Under a grant
            # the client says it, so the seal's data decide.
            bound=seal.certifies if item.is_grant_use else None,
        )
