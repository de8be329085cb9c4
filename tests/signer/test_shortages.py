"""Descriptors and memory run out in a running signer: what cannot be done has a code, nothing hangs, and then all goes on by itself."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealcore.errors import Code
from tests.signer.batches import batch, everything_sealed_once, ledger_of, refused_codes
from tests.signer.cramped import Cramped, Stations, code_of
from tests.signer.office import Approved, document
from tests.support.waiting import until

SHORT = {Code.RESOURCES_EXHAUSTED, Code.SERVICE_UNAVAILABLE, Code.DATABASE_UNAVAILABLE, Code.HSM_UNAVAILABLE}
"""What a document may be refused with: the signer kept nothing of it, and the same request goes on later."""


@pytest.fixture
def cramped(tmp_path: Path, stations: Stations) -> Iterator[Cramped]:
    """A running signer, of processes as they are in service."""
    made = Cramped(tmp_path, stations)
    made.station.forked = False
    with made.station.running():
        ledger_of(made.station)  # every connection that the tests use is there before anything runs out
        made.station.seal(made.station.office.approve([document("Before")]))
        made.failing()
        yield made


def limit(pid: int, name: int, value: int) -> None:
    """Sets a limit of a running process; one that has ended meanwhile needs none."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, name, (value, resource.prlimit(pid, name)[1]))


def sealed_in_the_end(cramped: Cramped, *batches: Approved) -> None:
    """The service is whole by itself, and each document of ``batches`` is sealed once."""
    station = cramped.station
    until(lambda: not cramped.failing())
    for one in batches:
        everything_sealed_once(station, one, station.stream(one.token, one.items))


def test_a_front_without_descriptors_replaces_its_workers_as_soon_as_it_has_some(cramped: Cramped) -> None:
    station, office = cramped.station, cramped.station.office
    waiting = batch(office)
    workers = cramped.workers()
    limit(cramped.front, resource.RLIMIT_NOFILE, 3)
    everything_sealed_once(station, small := batch(office), station.stream(small.token, small.items))  # it takes none
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    until(lambda: refused_codes(station.stream(waiting.token, waiting.items)) == {Code.RESOURCES_EXHAUSTED})
    limit(cramped.front, resource.RLIMIT_NOFILE, 4096)
    sealed_in_the_end(cramped, waiting)


def test_workers_without_descriptors_lose_and_double_nothing(cramped: Cramped) -> None:
    station, office = cramped.station, cramped.station.office
    batches = [batch(office) for _ in range(3)]
    for worker in cramped.workers():
        limit(worker, resource.RLIMIT_NOFILE, 3)
    for one in batches:
        results = station.stream(one.token, one.items)
        assert refused_codes(results) <= SHORT and len(results.sealed) + len(results.refused) == len(one.items)
    large = office.approve([document("Large") + b"\n%" + b"x" * 3_000_000])  # comes with a descriptor of its own
    assert code_of(lambda: station.seal(large)) in {None, *SHORT}
    for worker in cramped.workers():
        limit(worker, resource.RLIMIT_NOFILE, 4096)
    sealed_in_the_end(cramped, *batches)


def test_workers_without_memory_are_replaced_and_no_document_is_blamed(cramped: Cramped) -> None:
    station, office = cramped.station, cramped.station.office
    waiting = office.approve([document(f"Memory {number}") + b"\n%" + os.urandom(400_000).hex().encode() for number in range(16)])
    for worker in cramped.workers():
        pages = int(Path(f"/proc/{worker}/statm").read_text("ascii").split()[0])
        limit(worker, resource.RLIMIT_AS, pages * resource.getpagesize())
    results = station.stream(waiting.token, waiting.items)
    assert refused_codes(results) <= SHORT and len(results.sealed) + len(results.refused) == len(waiting.items)
    until(lambda: cramped.metric("vermilion_signer_worker_deaths_total") > 0)
    sealed_in_the_end(cramped, waiting)
