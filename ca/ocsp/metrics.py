"""What the OCSP responder counts, and how long its answers still hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy import Engine

from ca.ocsp.delegate import Delegation
from ca.ocsp.record import AnswerRecord
from sealcore.clock import Clock
from sealcore.hsm.token import Token
from sealcore.platform.metrics import HttpMetrics, OnDemand, database_metrics, process_metrics

OUTCOMES: Final = ("presigned", "live", "nonce", "malformed_request", "internal_error", "try_later", "unauthorized")


class OcspMetrics:
    """Answers by how they were made, and the state of what is pre-signed."""

    def __init__(self, engine: Engine, record: AnswerRecord, delegations: Iterable[Delegation], token: Token, *, clock: Clock) -> None:
        self._record, self._delegations, self._clock = record, delegations, clock
        self.registry = CollectorRegistry()
        process_metrics(self.registry)
        database_metrics(self.registry, engine)
        self.http = HttpMetrics(self.registry)
        answers = Counter("vermilion_ocsp_answers", "Answers given, by how they came about", ["outcome"], registry=self.registry)
        self.answers = {outcome: answers.labels(outcome) for outcome in OUTCOMES}
        self.presigned = Counter("vermilion_ocsp_presigned", "Answers made to be kept", ["ca"], registry=self.registry)
        self.faults = Counter("vermilion_ocsp_faults", "Rounds in which a due answer could not be made", ["code"], registry=self.registry)
        hung = Gauge("vermilion_hsm_hung_calls", "Calls into the HSM that were given up and have not come back", registry=self.registry)
        hung.set_function(lambda: token.hung)
        OnDemand(self.registry, self._freshness)

    def _freshness(self) -> Iterable[Metric]:
        left = GaugeMetricFamily("vermilion_ocsp_seconds_left", "Seconds until the first pre-signed answer lapses", labels=["ca"])
        waiting = GaugeMetricFamily("vermilion_ocsp_waiting", "Certificates that have no current answer", labels=["ca"])
        delegate = GaugeMetricFamily("vermilion_ocsp_delegate_seconds_left", "Seconds until the delegate's certificate ends", labels=["ca"])
        now = self._clock.now()
        for delegation in self._delegations:
            authority = delegation.authority
            fresh = self._record.freshness(authority.name, keeps_expired=authority.archive_cutoff is not None, now=now)
            waiting.add_metric([authority.name], fresh.waiting)
            delegate.add_metric([authority.name], delegation.seconds_left)
            if fresh.lapses is not None:
                left.add_metric([authority.name], (fresh.lapses - now).total_seconds())
        return [left, waiting, delegate]
