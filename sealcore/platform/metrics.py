"""Metrics of processes that belong together, and the small groups of metrics that several services have.

Each process counts in its own registry. ``snapshot`` turns a registry into bytes that a worker hands to its front; ``merged`` puts
the snapshots of all workers side by side under a label ``worker``. Nothing is added up here: Prometheus sums counters and histogram
buckets over the label, and a worker that starts anew is a counter reset to it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sealcore.errors import VermilionError
from sealcore.platform import log, periodic
from sealcore.platform.front.connections import REASONS
from sealcore.platform.periodic import STANDING_STILL, Health

if TYPE_CHECKING:
    from sqlalchemy import Engine  # for its type alone: who has no database need not load one

SECONDS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
WORKER: Final = "worker"
FAILING: Final = "vermilion_background_failing_seconds"
STOPPED: Final = "vermilion_background_stopped"
_CREATED: Final = "_created"  # when a series began: prometheus_client's addition, a second series for each, which nobody asks for


def snapshot(registry: CollectorRegistry) -> bytes:
    """Every sample of a registry as it is now; ``merged`` reads it, in another process too."""
    families = []
    for family in registry.collect():
        samples = [(sample.name, sample.labels, sample.value) for sample in family.samples if not sample.name.endswith(_CREATED)]
        families.append((family.name, family.documentation, family.type, samples))
    return json.dumps(families, separators=(",", ":")).encode()


def merge(snapshots: Mapping[str, bytes]) -> list[Metric]:
    """The families of all snapshots; each sample with the label ``worker``, whose value is the snapshot's key.

    Raises ValueError when a family has another type in one worker than in another.
    """
    families: dict[str, Metric] = {}
    for worker, data in snapshots.items():
        for name, documentation, kind, samples in json.loads(data):
            family = families.setdefault(name, Metric(name, documentation, kind))
            if family.type != kind:
                raise ValueError(f"{name} is a {kind} in the worker {worker} and a {family.type} elsewhere")
            for sample_name, labels, value in samples:
                family.add_sample(sample_name, {WORKER: worker, **labels}, value)
    return list(families.values())


class MergedCollector(Collector):
    """Collects what ``sources`` gives at each collection: worker → snapshot."""

    def __init__(self, sources: Callable[[], Mapping[str, bytes]]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """The merged families."""
        return merge(self._sources())


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(families: Iterable[Metric]) -> bytes:
    """Prometheus' text format."""
    kept = []
    for family in families:
        clean = Metric(family.name, family.documentation, family.type)
        clean.samples = [sample for sample in family.samples if not sample.name.endswith(_CREATED)]
        kept.append(clean)
    return generate_latest(_Families(kept))


def process_metrics(registry: CollectorRegistry) -> None:
    """CPU, memory and open files of this process, read from /proc when somebody asks, and the rounds of its background tasks."""
    ProcessCollector(registry=registry)
    OnDemand(registry, _background_rounds)
    OnDemand(registry, _log_lines_lost)


def _background_rounds() -> Iterable[Metric]:
    rounds: dict[tuple[str, str], int] = {}
    for task in periodic.running():
        for outcome, count in task.outcomes.copy().items():
            rounds[task.name, outcome] = rounds.get((task.name, outcome), 0) + count
    family = CounterMetricFamily(
        "vermilion_background_rounds", "Rounds of this process's background tasks, by outcome: ok or a code", labels=["task", "outcome"]
    )
    for labels, count in sorted(rounds.items()):
        family.add_metric(labels, count)
    yield family
    failing = GaugeMetricFamily(FAILING, "Seconds since the rounds of a background task fail; 0 while they go well", labels=["task"])
    stopped = GaugeMetricFamily(STOPPED, "1 when a background task has ended or makes no progress", labels=["task"])
    for standing in periodic.standings():
        failing.add_metric([standing.name], standing.for_s if standing.health is Health.FAILING else 0.0)
        stopped.add_metric([standing.name], float(standing.health in STANDING_STILL))
    yield from (failing, stopped)


def _log_lines_lost() -> Iterable[Metric]:
    lost = log.lost()
    family = CounterMetricFamily(
        "vermilion_log_lines_lost", "Log lines that could not be written: the disk full, the reader gone or too slow"
    )
    family.add_metric([], lost.lines if lost is not None else 0)
    yield family


def disk_metrics(registry: CollectorRegistry, folder: Path) -> None:
    """Free bytes of the disk that holds ``folder``."""
    free = Gauge("vermilion_disk_free_bytes", "Free bytes of the disk that this service writes to", registry=registry)
    free.set_function(lambda: shutil.disk_usage(folder).free)


def database_metrics(registry: CollectorRegistry, engine: Engine) -> None:
    """Connections of the pool that are in use."""
    in_use = Gauge("vermilion_database_connections_in_use", "Database connections in use", registry=registry)
    pool: Any = engine.pool
    if hasattr(pool, "checkedout"):
        in_use.set_function(pool.checkedout)


class OnDemand(Collector):
    """Metrics that are worked out when somebody asks. A part that cannot be read then is left out; readiness names it."""

    def __init__(self, registry: CollectorRegistry, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """What ``read`` gives."""
        try:
            return list(self._read())
        except VermilionError:
            return []


class CallMetrics:
    """Calls that a service answered: over gRPC (``rpc``) or HTTP (``http``), by method and by how they ended."""

    def __init__(self, registry: CollectorRegistry, door: str) -> None:
        self._open = Gauge(f"vermilion_{door}_open", f"{door} calls that are being answered", registry=registry)
        self._calls = Counter(
            f"vermilion_{door}_calls", f"{door} calls answered, by method and outcome", ["method", "code"], registry=registry
        )
        self._seconds = Histogram(
            f"vermilion_{door}_seconds", f"Seconds a {door} call took", ["method"], buckets=SECONDS, registry=registry
        )

    def begin(self) -> None:
        """A call came."""
        self._open.inc()

    def end(self, method: str, code: str, seconds: float) -> None:
        """It ended so, after so long."""
        self._calls.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)
        self._open.dec()


class ConnectionMetrics:
    """Connections of an HTTP listener, and those that were ended or turned away, by reason (``sealcore.platform.front.connections``)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge("vermilion_http_connections", "HTTP connections that are open, handshakes included", registry=registry)
        ended = Counter(
            "vermilion_http_connections_ended", "HTTP connections that we ended or turned away, by reason", ["reason"], registry=registry
        )
        self._ended = {reason: ended.labels(reason) for reason in REASONS}

    def watch(self, count: Callable[[], int]) -> None:
        """``count`` says how many are open."""
        self._open.set_function(count)

    def ended(self, reason: str) -> None:
        """One ended so."""
        self._ended[reason].inc()


class HttpMetrics(CallMetrics):
    """Calls over HTTP, and the connections they come over."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "http")
        self.connections = ConnectionMetrics(registry)
