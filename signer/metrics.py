"""What the signer counts and measures, in one object; the composition root registers and serves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.clock import Clock

_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class SignerMetrics:
    """Documents by outcome, seconds by stage, bytes held."""

    def __init__(self, clock: Clock, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._clock = clock
        self.documents = Counter(
            "vermilion_signer_documents",
            "Documents by outcome: sealed, repeated, or the code of the refusal",
            ["code"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "vermilion_signer_stage_seconds", "Seconds a stage took", ["stage"], buckets=_SECONDS, registry=self.registry
        )
        self.held_bytes = Gauge("vermilion_signer_held_bytes", "Bytes of documents held at this moment", registry=self.registry)
        self.acts = Counter("vermilion_signer_acts", "Acts of the register carried out", ["kind"], registry=self.registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures one stage, whether it succeeds or not."""
        begin_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self.stage_seconds.labels(name).observe(self._clock.monotonic_s() - begin_s)
