"""What the signer counts and measures: one object in the front, one in each worker. It is called once a batch, never once a document.

Workers hand ``sealcore.platform.metrics.snapshot(metrics.registry)`` to the front, which serves all of them under the label ``worker``.
"""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.clock import Clock
from sealcore.errors import REGISTRY, Code, Kind, VermilionError
from sealcore.platform.metrics import SECONDS, process_metrics

STAGES: Final = ("wire", "gate", "intend", "prepare", "sign", "timestamp", "assemble", "read_back", "commit", "release")
DATABASE_STAGES: Final = frozenset({"intend", "commit"})  # their time beyond CPU is spent waiting for the database
LANES: Final = ("bulk", "interactive")
WAYS: Final = ("lean", "sandbox")
SEALED, REPEATED = "sealed", "repeated"
_DOCUMENTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TROUBLE: Final = frozenset({Kind.BUSY, Kind.UNAVAILABLE, Kind.INTERNAL})  # present from the start, so that an alert notices the first


class Stage:
    """One stage of one batch, measured; a context manager. ``documents`` may still be corrected inside."""

    __slots__ = ("_begin_cpu_s", "_begin_s", "_metrics", "_name", "cpu_s", "documents")

    def __init__(self, metrics: SignerMetrics, name: str, documents: int) -> None:
        self._metrics, self._name, self.documents = metrics, name, documents
        self.cpu_s = 0.0  # added by stages whose work is done in helper threads

    def __enter__(self) -> Self:
        self._begin_s, self._begin_cpu_s = self._metrics.clock.monotonic_s(), time.thread_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        cpu_s = time.thread_time() - self._begin_cpu_s + self.cpu_s
        self._metrics.record(self._name, self.documents, seconds=self._metrics.clock.monotonic_s() - self._begin_s, cpu_s=cpu_s)


class SignerMetrics:
    """All metrics of a signer's process. Every method is thread-safe."""

    def __init__(self, clock: Clock, registry: CollectorRegistry | None = None) -> None:
        self.clock = clock
        self.registry = registry or CollectorRegistry()
        process_metrics(self.registry)

        # --- documents
        self.documents = self._counter("documents", "Documents by outcome: sealed, repeated, or the code of the refusal", "code")
        self.prepared_documents = self._counter("prepared", "Documents prepared, by the lean writer or in a sandbox", "way")
        self.acts = self._counter("acts", "Acts of the register carried out", "kind")
        self.status_answers = self._counter(
            "status_answers", "Answers of outside CAs about seals' certificates: good, revoked, failed", "outcome"
        )
        self.examined = self._counter("examined", "Documents examined before their approval: ok, or the code of the refusal", "code")
        self.stops = self._counter("stops", "Stops by an officer, of seals and grants", "kind")

        # --- stages
        self.stage_seconds = self._histogram("stage_seconds", "Seconds that a stage took for a batch", SECONDS, "stage")
        self.stage_cpu_seconds = self._counter("stage_cpu_seconds", "CPU seconds of a stage", "stage")
        self.stage_documents = self._counter("stage_documents", "Documents that went through a stage", "stage")
        self.database_wait_seconds = self._histogram("database_wait_seconds", "Seconds a batch waited for the database", SECONDS, "stage")

        # --- the front: streams, lanes, workers
        self.streams_open = self._gauge("streams_open", "Streams of documents that are open")
        self.streams = self._counter("streams", "Streams that ended, by their end: OK or a code", "end")
        self.held_bytes = self._gauge("held_bytes", "Bytes of documents held at this moment")
        self.backpressure_seconds = self._histogram("backpressure_seconds", "Seconds a stream waited for room for its documents", SECONDS)
        self.waiting_documents = self._gauge("waiting_documents", "Documents that wait for a worker", "lane")
        self.wait_seconds = self._histogram("wait_seconds", "Seconds a group of documents waited for a worker", SECONDS, "lane")
        self.workers = self._gauge("workers", "Workers that serve", "lane")
        self.workers_wanted = self._gauge("workers_wanted", "Workers that should serve", "lane")
        self.worker_deaths = self._counter("worker_deaths", "Workers that ended by themselves and were replaced")
        self.draining = self._gauge("draining", "1 while the signer ends what it has and takes nothing new")

        # --- a worker: batches, the HSM's sessions, the sandbox
        self.batches = self._counter("batches", "Batches begun", "lane")
        self.batch_documents = self._histogram("batch_documents", "Documents of a batch", _DOCUMENTS, "lane")
        self.hsm_sessions = self._gauge("hsm_sessions", "HSM sessions of this process")
        self.hsm_sessions_in_use = self._gauge("hsm_sessions_in_use", "HSM sessions in use")
        self.hsm_hung = self._gauge("hsm_hung", "HSM calls that do not come back")
        self.hsm_calls = self._counter("hsm_calls", "HSM calls with seal and timestamp keys: ok, or the code of the fault", "outcome")
        self.sandbox_calls = self._counter("sandbox_calls", "Documents worked on in a sandbox: ok, or the code of the refusal", "outcome")
        self.clock_jumps = self._counter("clock_jumps", "Times that the wall clock jumped against the monotonic one")

        self._begin()

    def stage(self, name: str, *, documents: int = 1) -> Stage:
        """Measures one stage of a batch in this thread, whether it succeeds or not."""
        return Stage(self, name, documents)

    def record(self, name: str, documents: int, *, seconds: float, cpu_s: float) -> None:
        """A stage that was measured elsewhere: wall seconds, and CPU seconds."""
        self.stage_seconds.labels(name).observe(seconds)
        self.stage_cpu_seconds.labels(name).inc(max(0.0, cpu_s))
        self.stage_documents.labels(name).inc(documents)
        if name in DATABASE_STAGES:
            self.database_wait_seconds.labels(name).observe(max(0.0, seconds - cpu_s))

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """What became of a batch's documents: ``sealed``, ``repeated`` or a code → how many."""
        for code, count in counts.items():
            self.documents.labels(code).inc(count)

    def prepared(self, way: str, count: int) -> None:
        """So many documents were prepared in this way: ``lean`` or ``sandbox``."""
        self.prepared_documents.labels(way).inc(count)

    def batch(self, lane: str, documents: int) -> None:
        """A worker has begun a batch."""
        self.batches.labels(lane).inc()
        self.batch_documents.labels(lane).observe(documents)

    def hsm_called(self, count: int = 1, fault: Code | None = None) -> None:
        """So many HSM calls succeeded, or failed with this code."""
        self.hsm_calls.labels("ok" if fault is None else str(fault)).inc(count)

    def hsm_outcomes(self, outcomes: Sequence[bytes | VermilionError]) -> None:
        """Counts the outcomes of HSM calls."""
        faults = Counts(outcome.code for outcome in outcomes if isinstance(outcome, VermilionError))
        self.hsm_called(len(outcomes) - faults.total())
        for code, count in faults.items():
            self.hsm_called(count, code)

    def watch_hsm(
        self, *, sessions: Callable[[], float], in_use: Callable[[], float] | None = None, hung: Callable[[], float] | None = None
    ) -> None:
        """How to read the state of the session pool; read only when metrics are collected."""
        self.hsm_sessions.set_function(sessions)
        if in_use is not None:
            self.hsm_sessions_in_use.set_function(in_use)
        if hung is not None:
            self.hsm_hung.set_function(hung)

    def _begin(self) -> None:
        """Creates the series that alerts and ratios are computed from, at zero."""
        for code in (SEALED, REPEATED, *(str(code) for code, entry in REGISTRY.items() if entry.kind in _TROUBLE)):
            self.documents.labels(code)
        for way in WAYS:
            self.prepared_documents.labels(way)
        for outcome in ("ok", Code.HSM_UNAVAILABLE, Code.HSM_TIMEOUT, Code.HSM_PIN_REFUSED, Code.HSM_KEY_MISSING):
            self.hsm_calls.labels(str(outcome))
        for kind in ("seal", "grant"):
            self.stops.labels(kind)
        for outcome in ("good", "revoked", "failed"):
            self.status_answers.labels(outcome)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"vermilion_signer_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"vermilion_signer_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"vermilion_signer_{name}", text, labels, buckets=buckets, registry=self.registry)
