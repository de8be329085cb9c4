"""The metrics of the log process and of the witness."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from sealcore.errors import Code, VermilionError
from sealcore.platform.metrics import SECONDS, HttpMetrics, OnDemand, disk_metrics, process_metrics

if TYPE_CHECKING:  # the witness needs none of what publishes
    from ledger.publisher import Publisher


class LedgerMetrics:
    """How far the log is published, and its publishing passes by outcome."""

    def __init__(self, publisher: Publisher, state_folder: Path) -> None:
        self._publisher = publisher
        self.registry = CollectorRegistry()
        process_metrics(self.registry)
        disk_metrics(self.registry, state_folder)
        self.http = HttpMetrics(self.registry)
        self.passes = Counter("vermilion_ledger_passes", "Passes of the log, by outcome: ok or a code", ["outcome"], registry=self.registry)
        self.pass_seconds = Histogram("vermilion_ledger_pass_seconds", "Seconds a pass took", buckets=SECONDS, registry=self.registry)
        for outcome in ("ok", Code.LEDGER_INCONSISTENT, Code.SERVICE_UNAVAILABLE):
            self.passes.labels(str(outcome))
        OnDemand(self.registry, self._sizes)

    def run_pass(self) -> VermilionError | None:
        """Runs one pass of the publisher and counts it; its fault, which the publisher has logged."""
        with self.pass_seconds.time():
            self._publisher.run_pass()
        fault = self._publisher.health().fault
        self.passes.labels("ok" if fault is None else str(fault.code)).inc()
        return fault

    def follows(self) -> None:
        """Raises the fault of the last pass: checkpoints do not follow the signer."""
        fault = self._publisher.health().fault
        if fault is not None:
            raise fault

    def _sizes(self) -> Iterable[Metric]:
        now = self._publisher.health()
        yield GaugeMetricFamily("vermilion_ledger_signed_size", "Entries under the newest signed checkpoint", value=now.signed_size)
        yield GaugeMetricFamily("vermilion_ledger_published_size", "Entries under the newest cosigned checkpoint", value=now.published_size)


class WitnessMetrics:
    """Checkpoints by the witness's answer."""

    def __init__(self, state_folder: Path) -> None:
        self.registry = CollectorRegistry()
        process_metrics(self.registry)
        disk_metrics(self.registry, state_folder)
        self.http = HttpMetrics(self.registry)
        self.answers = Counter(
            "vermilion_witness_answers", "Checkpoints by the HTTP status of the answer", ["status"], registry=self.registry
        )
