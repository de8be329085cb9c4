"""The metrics of the timestamp service: each worker has a registry, and so has the parent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import nan
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.hsm.token import Token
from sealcore.platform.metrics import SECONDS, ConnectionMetrics, process_metrics
from timestamp.clock_sources import Source
from timestamp.clock_watch import ClockWatch
from timestamp.request import Failure

GRANTED: Final = "granted"
_OUTCOMES: Final = (GRANTED, *(failure.name.lower() for failure in Failure))


class WorkerMetrics:
    """The metrics of one worker. Every outcome exists from the start: the rate of a counter that appears with its first event misses that event."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        process_metrics(self.registry)
        requests = Counter("vermilion_timestamp_requests", "Requests for a timestamp, by outcome", ["outcome"], registry=self.registry)
        self.requests: Final = {outcome: requests.labels(outcome) for outcome in _OUTCOMES}
        self.seconds: Final = Histogram(
            "vermilion_timestamp_seconds", "Seconds from a request that can be served to its token", buckets=SECONDS, registry=self.registry
        )
        self.connections: Final = ConnectionMetrics(self.registry)
        self.waiting: Final = Gauge("vermilion_timestamp_waiting", "Requests that wait for the HSM", registry=self.registry)

    def watch(self, token: Token) -> None:
        """Adds the state of the HSM token."""
        sessions = Gauge("vermilion_hsm_sessions", "Sessions that serve calls", registry=self.registry)
        sessions.set_function(lambda: token.sessions)
        hung = Gauge("vermilion_hsm_hung_calls", "Calls into the HSM that were given up and have not come back", registry=self.registry)
        hung.set_function(lambda: token.hung)


class ParentMetrics:
    """The metrics of the parent."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        process_metrics(self.registry)
        self.workers: Final = Gauge("vermilion_timestamp_workers", "Workers that serve requests", registry=self.registry)
        self.restarts: Final = Counter(
            "vermilion_timestamp_worker_restarts", "Workers that ended by themselves and were started again", registry=self.registry
        )


def clock_metrics(registry: CollectorRegistry, watch: ClockWatch) -> None:
    """Adds the state of the clock watch of a process that issues tokens."""

    def gauge(name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(f"vermilion_timestamp_clock_{name}", text, registry=registry).set_function(read)

    def bound_s() -> float:
        bound_us = watch.bound_us
        return nan if bound_us is None else bound_us / 1_000_000

    gauge("bound_seconds", "How far the clock may be off; NaN when nobody says", bound_s)
    gauge("accuracy_seconds", "How far it may be off before timestamps stop", lambda: watch.accuracy_ms / 1000)
    gauge("synchronised", "1 while a source says that the clock follows UTC", lambda: watch.synchronised)
    gauge("stopped", "1 while no timestamps are made because of the clock", watch.stopped)
    gauge("steps", "Times that the clock was set, seen against the monotonic clock", lambda: watch.steps)
    sources = Gauge("vermilion_timestamp_clock_source", "1 for who says how far the clock may be off", ["source"], registry=registry)
    for source in Source:
        sources.labels(source).set_function(partial(_is_source, watch, source))


def _is_source(watch: ClockWatch, source: Source) -> float:
    return float(watch.source is source)
