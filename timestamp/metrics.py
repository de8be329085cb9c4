"""What the timestamp service counts: each worker in a registry of its own, the parent beside them."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.hsm.token import Token
from sealcore.metrics import SECONDS, process_metrics
from timestamp.request import Failure

GRANTED: Final = "granted"
_OUTCOMES: Final = (GRANTED, *(failure.name.lower() for failure in Failure))


class WorkerMetrics:
    """Of one worker. Every outcome is there from the start: a rate over a counter that begins with its first event misses it."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        process_metrics(self.registry)
        requests = Counter("vermilion_timestamp_requests", "Requests for a timestamp, by outcome", ["outcome"], registry=self.registry)
        self.requests: Final = {outcome: requests.labels(outcome) for outcome in _OUTCOMES}
        self.seconds: Final = Histogram(
            "vermilion_timestamp_seconds", "Seconds from a request that can be served to its token", buckets=SECONDS, registry=self.registry
        )
        self.waiting: Final = Gauge("vermilion_timestamp_waiting", "Requests that wait for the HSM", registry=self.registry)

    def watch(self, token: Token) -> None:
        """Adds what the token says of itself."""
        sessions = Gauge("vermilion_hsm_sessions", "Sessions that serve calls", registry=self.registry)
        sessions.set_function(lambda: token.sessions)
        hung = Gauge("vermilion_hsm_hung_calls", "Calls into the HSM that were given up and have not come back", registry=self.registry)
        hung.set_function(lambda: token.hung)


class ParentMetrics:
    """Of the parent."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        process_metrics(self.registry)
        self.workers: Final = Gauge("vermilion_timestamp_workers", "Workers that serve requests", registry=self.registry)
        self.restarts: Final = Counter(
            "vermilion_timestamp_worker_restarts", "Workers that ended by themselves and were started again", registry=self.registry
        )
