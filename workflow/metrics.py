"""What the workflow counts: calls, what waits for people, and what the signer has still to be told."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy import Engine, func, select

from sealcore.platform.db import read
from sealcore.platform.metrics import HttpMetrics, OnDemand, database_metrics, process_metrics
from workflow import tables
from workflow.forms.model import FormState

OUTBOX_STATES = ("pending", "refused")


class WorkflowMetrics:
    """What waits is counted in the database when somebody asks: replicas say the same, a restart forgets nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.registry = CollectorRegistry()
        process_metrics(self.registry)
        database_metrics(self.registry, engine)
        self.http = HttpMetrics(self.registry)
        OnDemand(self.registry, self._waiting)

    def _waiting(self) -> Iterable[Metric]:
        box, forms = tables.outbox, tables.forms
        with read(self._engine) as connection:
            counts = connection.execute(select(box.c.state, func.count()).where(box.c.state.in_(OUTBOX_STATES)).group_by(box.c.state)).all()
            applied = connection.execute(select(func.count()).where(forms.c.state == FormState.APPLIED)).scalar_one()
        found = {row[0]: row[1] for row in counts}
        outbox = GaugeMetricFamily("vermilion_workflow_outbox", "Events for the signer: pending, or refused for good", labels=["state"])
        for state in OUTBOX_STATES:
            outbox.add_metric([state], found.get(state, 0))
        yield outbox
        yield GaugeMetricFamily("vermilion_workflow_forms_waiting", "Forms that wait for people", value=applied)
