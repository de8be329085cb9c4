"""What the CA counts, and how long its CRLs still hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy import Engine

from ca.revocation.crl import newest, overdue
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.metrics import CallMetrics, HttpMetrics, OnDemand, database_metrics, process_metrics

PUBLISHED_WITHIN: Final = timedelta(minutes=1)  # how soon the world must be able to see a revocation


class CaMetrics:
    """Certificates issued and revoked, CRLs, notes that the ledger does not have yet; calls by door."""

    def __init__(self, engine: Engine, authorities: Callable[[], Iterable[str]], *, waiting: Callable[[], int], clock: Clock) -> None:
        self._engine, self._authorities, self._waiting, self._clock = engine, authorities, waiting, clock
        self.registry = CollectorRegistry()
        process_metrics(self.registry)
        database_metrics(self.registry, engine)
        self.rpc, self.http = CallMetrics(self.registry, "rpc"), HttpMetrics(self.registry)
        self.issued = Counter("vermilion_ca_issued", "Certificates issued", ["profile"], registry=self.registry)
        self.revoked = Counter("vermilion_ca_revoked", "Certificates revoked", ["issuer"], registry=self.registry)
        OnDemand(self.registry, self._crls)
        OnDemand(self.registry, self._outbox)

    def crls_current(self) -> None:
        """REVOCATION_UNAVAILABLE once a CRL is stale: it has lapsed, or a revocation has waited for it longer than a minute."""
        for name, left_s in self._seconds_left():
            if left_s <= 0:
                raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CRL of the CA {name} has lapsed")
            if overdue(self._engine, name, now=self._clock.now()) > PUBLISHED_WITHIN:
                raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CRL of the CA {name} lacks a change that is over a minute old")

    def _seconds_left(self) -> Iterable[tuple[str, float]]:
        for name in self._authorities():
            published = newest(self._engine, name)
            yield name, (published.next_update - self._clock.now()).total_seconds() if published is not None else 0.0

    def _crls(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("vermilion_ca_crl_seconds_left", "Seconds until the newest CRL lapses", labels=["ca"])
        for name, left_s in self._seconds_left():
            family.add_metric([name], left_s)
        yield family

    def _outbox(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("vermilion_ca_outbox_waiting", "Notes that the ledger does not have yet", value=self._waiting())
