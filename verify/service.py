"""What HTTP, page and gRPC share: bounded verification of one document, with its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics, HttpMetrics, process_metrics
from sealcore.platform.tracing import span
from sealcore.platform.turns import Turns
from verify.arrivals import Arrival, Arrivals
from verify.crls import CrlStore
from verify.log_view import LedgerView
from verify.opinion import Reader
from verify.report import Report
from verify.settings import Limits
from verify.trust import TrustMaterial
from verify.verifier import verify


class Metrics:
    """Counts of this service, in its own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        process_metrics(self.registry)
        self.rpc, self.http = CallMetrics(self.registry, "rpc"), HttpMetrics(self.registry)
        self.reports = Counter("vermilion_verify_reports", "Reports by verdict.", ["verdict"], registry=self.registry)
        self.refused = Counter("vermilion_verify_refused", "Documents turned away, by code.", ["code"], registry=self.registry)
        self.seconds = Histogram("vermilion_verify_seconds", "Duration of one verification, waiting included.", registry=self.registry)
        self.waiting = Gauge("vermilion_verify_waiting", "Documents being checked or waiting for a worker.", registry=self.registry)
        self.held = Gauge("vermilion_verify_held_bytes", "Bytes of documents on their way in or being checked.", registry=self.registry)


class Verification:
    """Verifies documents for strangers, so many at once and no more."""

    def __init__(
        self,
        trust: TrustMaterial,
        crls: CrlStore,
        ledger: LedgerView | None,
        reader: Reader,
        *,
        limits: Limits,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.limits = limits
        self.metrics = metrics
        self.trust = trust
        self._crls, self._ledger, self._reader, self._clock = crls, ledger, reader, clock
        self._arrivals = Arrivals(limits)
        self._turns = Turns(limits.workers + 1, limits.workers)  # what one address has read leaves a place to others
        self._taken = 0
        metrics.held.set_function(lambda: self._arrivals.held_bytes)
        self._log = get_log("verification")

    @asynccontextmanager
    async def document(self, address: str) -> AsyncIterator[Arrival]:
        """Surrounds a document from its first byte until its report is made; OVERLOADED when there is no place for one."""
        try:
            async with self._arrivals.arrival(address) as arrival:
                yield arrival
        except VermilionError as fault:
            self.metrics.refused.labels(str(fault.code)).inc()
            raise

    async def check(self, document: bytes, name: str, language: str, address: str) -> Report:
        """The report; OVERLOADED when too many documents wait already."""
        # Turned away before the document waits: everything that waits is held in memory.
        if self._taken >= self.limits.workers + 1 + self.limits.queue and not self._turns.give_way(address, _too_many()):
            raise _too_many()
        self._taken += 1
        self.metrics.waiting.set(self._taken)
        try:
            with self.metrics.seconds.time():
                async with self._turns.turn(address):
                    with span("verify", size_bytes=len(document)):
                        report = await asyncio.to_thread(self._verify, document, name, language)
        finally:
            self._taken -= 1
            self.metrics.waiting.set(self._taken)
        self.metrics.reports.labels(report.verdict).inc()
        self._log.debug("verified", verdict=report.verdict, size_bytes=len(document))
        return report

    def too_large(self) -> VermilionError:
        """The refusal of a file beyond the limit."""
        mebibytes = self.limits.document_bytes / (1024 * 1024)
        return VermilionError(Code.DOCUMENT_TOO_LARGE, f"the document is larger than {mebibytes:g} MiB")

    def _verify(self, document: bytes, name: str, language: str) -> Report:
        # The CRLs of this moment for the whole document, so that its steps cannot disagree.
        trust = self.trust.with_crls(self._crls.current())
        return verify(document, trust, self._ledger, clock=self._clock, name=name, language=language, reader=self._reader)


def _too_many() -> VermilionError:
    fault = VermilionError(Code.OVERLOADED, "too many documents are being checked")
    fault.retry_after_s = 2
    return fault
