"""A signer at work, as monitoring sees it: one trace from the client's call to the stages, and the workers' metrics beside the front's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sealcore.platform import tracing
from sealcore.platform.tracing import TracingSettings
from signer.metrics import STAGES
from tests.observability.collector import Collector, Span, collecting
from tests.pki import InfrastructureCa
from tests.signer.office import Office, document, make_keys
from tests.signer.station import Crls, Station
from tests.support.once import copied, once
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[tuple[Station, str]]:
    """A running signer that is traced, and where its monitoring is."""
    folder = tmp_path_factory.mktemp("watched")
    office = Office.in_softhsm(copied(once(tmp_path_factory, "signer", make_keys), folder / "office"))
    infrastructure = InfrastructureCa(folder / "pki")
    crls = Crls(infrastructure, office)
    port, monitoring = free_port(), free_port()
    extra = {"workers": {"bulk": 2, "interactive": 1}, "metrics": {"port": monitoring}, "tracing": {"endpoint": collector.endpoint}}
    station = Station(folder / "signer", office, infrastructure, crls, f"sqlite:///{folder / 'signer.db'}", port, extra)
    station.seed()
    with station.running():
        yield station, f"http://127.0.0.1:{monitoring}"
    crls.close()


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _samples(url: str) -> Samples:
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _summed(seen: str | Samples, name: str, **labels: str) -> float:
    """Over the front and all workers; of what was seen, or of what the address shows now."""
    samples = _samples(seen) if isinstance(seen, str) else seen
    return sum(value for (found, at), value in samples.items() if found == name and set(labels.items()) <= at)


def test_a_call_is_one_trace_from_the_client_to_the_stages_of_the_batch(watched: tuple[Station, str], collector: Collector) -> None:
    station, _ = watched
    approved = station.office.approve([document(str(number)) for number in range(5)])
    tracing.start("client", TracingSettings(endpoint=collector.endpoint))
    try:
        with tracing.span("test"):
            assert len(station.stream(approved.token, approved.items).sealed) == 5
    finally:
        tracing.stop()
    trace = collector.named("test").trace
    wanted = {"test", "Signer/SealStream", "batch", *STAGES} - {"wire"}
    deadline_s = time.monotonic() + 60  # the signer's processes send what they have every few seconds
    spans: list[Span] = []
    while sum(span.attributes["documents"] for span in spans if span.name == "batch") < 5 or not wanted <= {span.name for span in spans}:
        assert time.monotonic() < deadline_s, spans
        time.sleep(0.1)
        spans = [span for span in collector.spans if span.trace == trace]
    call = next(span for span in spans if span.name == "Signer/SealStream")
    assert call.parent == collector.named("test").id
    batches = {span.id for span in spans if span.name == "batch"}
    assert {span.parent for span in spans if span.name == "batch"} == {call.id}
    assert {span.parent for span in spans if span.name in STAGES} <= batches
    assert {span.service for span in spans} == {"vermilion-client", "vermilion-signer"}
    assert not [span for span in spans if "d0.pdf" in str(span.attributes)]  # names of documents stay inside


def test_what_workers_counted_is_served_by_the_front(watched: tuple[Station, str]) -> None:
    station, url = watched
    seen = _samples(url)
    before = {code: _summed(seen, "vermilion_signer_documents_total", code=code) for code in ("sealed", "repeated", "DOCUMENT_NOT_PDF")}
    contents = [*(document(f"m{number}") for number in range(6)), b"no PDF"]
    approved = station.office.approve(contents)
    station.stream(approved.token, approved.items)
    station.stream(approved.token, approved.items[:2])
    station.seal(station.office.approve([document("alone")]))
    seen = _samples(url)
    after = {code: _summed(seen, "vermilion_signer_documents_total", code=code) - count for code, count in before.items()}
    assert after == {"sealed": 7, "repeated": 2, "DOCUMENT_NOT_PDF": 1}
    while _summed(seen, "vermilion_signer_stage_documents_total", stage="release") < 7:
        seen = _samples(url)  # the client hears of its last document before the stage is over
    for stage in ("gate", "intend", "prepare", "sign", "timestamp", "assemble", "read_back", "commit", "release"):
        assert _summed(seen, "vermilion_signer_stage_documents_total", stage=stage) >= 7
        assert _summed(seen, "vermilion_signer_stage_cpu_seconds_total", stage=stage) > 0
        assert _summed(seen, "vermilion_signer_stage_seconds_count", stage=stage) > 0
    assert _summed(seen, "vermilion_signer_prepared_total", way="lean") >= 7
    assert _summed(seen, "vermilion_signer_hsm_calls_total", outcome="ok") > 0
    workers = {dict(labels)["worker"] for (name, labels) in seen if name == "vermilion_signer_documents_total"}
    assert "front" in workers
    assert any(worker.startswith("bulk-") for worker in workers)
    assert any(worker.startswith("interactive-") for worker in workers)


def test_the_queues_are_empty_again(watched: tuple[Station, str]) -> None:
    station, url = watched
    approved = station.office.approve([document(f"q{number}") for number in range(8)])
    station.stream(approved.token, approved.items)
    for name in ("streams_open", "held_bytes", "waiting_documents"):
        while _summed(url, f"vermilion_signer_{name}"):
            continue  # the client hears of its last document before the stream is over
    assert _summed(url, "vermilion_signer_workers") == _summed(url, "vermilion_signer_workers_wanted") > 0
    for lane in ("bulk", "interactive"):
        assert _summed(url, "vermilion_signer_workers", lane=lane) > 0
    assert _summed(url, "vermilion_signer_batches_total", lane="bulk") > 0


def test_a_token_that_is_away_fails_its_probe(tmp_path: Path) -> None:
    program = """
import shutil, sys
from pathlib import Path
from sealcore.errors import VermilionError
from sealcore.hsm import softhsm
from sealcore.hsm.token import Token
folder = Path(sys.argv[1])
token = Token.open(softhsm.create(folder / "token", "probe"))
token.probe()
(folder / "token").rename(folder / "away")
try:
    token.probe()
except VermilionError as fault:
    print(fault.code)
(folder / "away").rename(folder / "token")
token.probe()
print("well")
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["HSM_UNAVAILABLE", "well"], done.stderr
