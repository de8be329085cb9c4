"""Prepare: the update of a document, with an empty hole for its signature, by the lean writer or in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.sandbox import UnansweredError
from signer.metrics import SignerMetrics
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import ContentPolicy, Plan
from signer.pdf.readback.quick_account import KnownLooks
from signer.pipeline.batch import Batch, Intended, Prepared, accept
from signer.pipeline.sandbox import Sandbox

PICTURES_HELD: Final = 64


class InProgress(Protocol):
    """Where a thread notes which document it is reading, for whoever must know when the process has died over one."""

    def begin(self, document_sha256: bytes) -> None:
        """This thread reads that document from now on."""

    def end(self) -> None:
        """It reads none."""


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
        for one in intended:
            request = one.admitted.item.request
            # If the process dies in here, the front counts it against this document and refuses it
            # after the second time (ADR 18).
            self._in_progress.begin(request.document_sha256)
            try:
                plan = self._plan(one)
                update = prepare_lean(request.document, plan, one.admitted.digest())
                if update is not None:
                    prepared.append(accept(one, update, plan, self._known_looks))
                    continue
            except VermilionError as refusal:
                batch.refuse(one.admitted.received, refusal)
                continue
            except Exception as fault:  # noqa: BLE001  (where the lean writer fails, the sandbox may succeed)
                self._log.error("fault", exc_info=fault)
            unread.append(one)
        self._in_progress.end()
        self._metrics.prepared("lean", len(intended) - len(unread))
        return prepared, unread

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
