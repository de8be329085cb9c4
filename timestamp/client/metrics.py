"""Metrics of outside TSAs, by the name of the source."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.errors import Code
from sealcore.platform.metrics import SECONDS

OK: Final = "ok"
OUTCOMES: Final = (OK, *(str(code) for code in Code if code.startswith("TSA_")))


class SourceMetrics:
    """The metrics of all sources of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry: Final = registry
        self.requests: Final = Counter(
            "vermilion_tsa_requests", "Timestamps asked of an outside TSA: ok, or the code", ["source", "outcome"], registry=registry
        )
        self.untrue: Final = Counter(
            "vermilion_tsa_untrue_answers", "Answers of an outside TSA that were not true (nonce, imprint, signature …)", ["source"],
            registry=registry,
        )  # fmt: skip
        self.seconds: Final = Histogram(
            "vermilion_tsa_seconds", "Seconds from the question to the checked answer or the failure", ["source"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.resting: Final = Gauge(
            "vermilion_tsa_resting", "1 while an outside TSA is left alone after failures", ["source"], registry=registry
        )

    def begin(self, source: str) -> None:
        """Creates every series of ``source`` at the start, so that an alert sees the first event."""
        for outcome in OUTCOMES:
            self.requests.labels(source, outcome)
        self.untrue.labels(source)
