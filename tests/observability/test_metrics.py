"""Metrics across processes, and what the signer's object counts."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from sealcore.clock import SystemClock
from sealcore.platform.metrics import MergedCollector, exposition, merge, snapshot
from signer.metrics import DATABASE_STAGES, STAGES, SignerMetrics

COUNTING = Path(__file__).with_name("counting.py")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def counted(name: str, how_often: int) -> bytes:
    """The snapshot of a process of its own."""
    return subprocess.run([sys.executable, COUNTING, name, str(how_often)], check=True, capture_output=True).stdout


def read_back(text: bytes) -> Samples:
    """What Prometheus reads in the text."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@pytest.fixture(scope="module")
def two_workers() -> dict[str, bytes]:
    return {"bulk-0": counted("a", 5), "bulk-1": counted("b", 8)}


def test_counters_gauges_and_histograms_of_processes_stand_side_by_side(two_workers: dict[str, bytes]) -> None:
    registry = CollectorRegistry()
    registry.register(MergedCollector(lambda: two_workers))
    samples = read_back(exposition(registry.collect()))
    assert value(samples, "test_documents_total", worker="bulk-0", code="sealed\na") == 5
    assert value(samples, "test_documents_total", worker="bulk-1", code="sealed\nb") == 8
    assert (value(samples, "test_held", worker="bulk-0"), value(samples, "test_held", worker="bulk-1")) == (2.5, 4)
    assert value(samples, "test_seconds_bucket", worker="bulk-0", stage="sign", le="0.1") == 2
    assert value(samples, "test_seconds_bucket", worker="bulk-1", stage="sign", le="0.1") == 4
    assert value(samples, "test_seconds_bucket", worker="bulk-1", stage="sign", le="+Inf") == 8
    assert value(samples, "test_seconds_count", worker="bulk-0", stage="sign") == 5
    assert value(samples, "test_seconds_sum", worker="bulk-1", stage="sign") == pytest.approx(4 * 0.05 + 4 * 0.5)


def test_each_family_is_described_once(two_workers: dict[str, bytes]) -> None:
    text = exposition(merge(two_workers)).decode()
    for name in ("test_documents_total", "test_seconds", "test_held"):
        assert text.count(f"# TYPE {name} ") == 1
    assert "_created" not in text


def test_what_a_worker_counted_is_summed_by_none_and_lost_with_none(two_workers: dict[str, bytes]) -> None:
    assert read_back(exposition(merge({"bulk-0": two_workers["bulk-0"]}))) == {
        key: number for key, number in read_back(exposition(merge(two_workers))).items() if ("worker", "bulk-0") in key[1]
    }


def test_a_family_cannot_be_two_things() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    Counter("test_thing", "A counter", registry=one)
    SignerMetrics(SystemClock(), other)
    other_snapshot = snapshot(other).replace(b"vermilion_signer_streams_open", b"test_thing")
    with pytest.raises(ValueError, match="test_thing is a gauge in the worker b and a counter elsewhere"):
        merge({"a": snapshot(one), "b": other_snapshot})


def test_a_stage_counts_its_documents_its_time_and_the_cpu_of_its_thread() -> None:
    metrics = SignerMetrics(SystemClock())
    for name in STAGES:
        with metrics.stage(name, documents=64) as stage:
            spent_s = time.thread_time() + 0.02
            while time.thread_time() < spent_s:
                pass
            stage.cpu_s += 1.5  # of a helper thread
    samples = read_back(exposition(metrics.registry.collect()))
    for name in STAGES:
        assert value(samples, "vermilion_signer_stage_documents_total", stage=name) == 64
        assert 1.52 <= value(samples, "vermilion_signer_stage_cpu_seconds_total", stage=name) < 1.6
        assert value(samples, "vermilion_signer_stage_seconds_count", stage=name) == 1
        assert value(samples, "vermilion_signer_stage_seconds_sum", stage=name) >= 0.02
        assert (("vermilion_signer_database_wait_seconds_count", frozenset({("stage", name)})) in samples) == (name in DATABASE_STAGES)


def test_waiting_costs_no_cpu_and_counts_as_waiting_for_the_database() -> None:
    metrics, release = SignerMetrics(SystemClock()), threading.Event()
    threading.Timer(0.05, release.set).start()
    with metrics.stage("commit", documents=3):
        release.wait(10)
    samples = read_back(exposition(metrics.registry.collect()))
    waited_s = value(samples, "vermilion_signer_database_wait_seconds_sum", stage="commit")
    cpu_s = value(samples, "vermilion_signer_stage_cpu_seconds_total", stage="commit")
    assert cpu_s < 0.04
    assert waited_s == pytest.approx(value(samples, "vermilion_signer_stage_seconds_sum", stage="commit") - cpu_s)


def test_a_stage_that_fails_is_measured_too() -> None:
    metrics = SignerMetrics(SystemClock())
    with pytest.raises(KeyError), metrics.stage("sign", documents=2):
        raise KeyError
    assert value(read_back(exposition(metrics.registry.collect())), "vermilion_signer_stage_documents_total", stage="sign") == 2


def test_series_that_alerts_are_made_of_begin_at_zero() -> None:
    samples = read_back(exposition(SignerMetrics(SystemClock()).registry.collect()))
    for code in ("DATABASE_UNAVAILABLE", "HSM_TIMEOUT", "STORAGE_FULL", "INTERNAL", "sealed"):
        assert value(samples, "vermilion_signer_documents_total", code=code) == 0
    assert value(samples, "vermilion_signer_worker_deaths_total") == 0
    assert value(samples, "vermilion_signer_prepared_total", way="sandbox") == 0


def test_the_session_pool_is_read_when_somebody_asks() -> None:
    metrics, state = SignerMetrics(SystemClock()), {"sessions": 2, "hung": 0}
    metrics.watch_hsm(sessions=lambda: state["sessions"], hung=lambda: state["hung"])
    state["hung"] = 1
    samples = read_back(exposition(metrics.registry.collect()))
    assert (value(samples, "vermilion_signer_hsm_sessions"), value(samples, "vermilion_signer_hsm_hung")) == (2, 1)
