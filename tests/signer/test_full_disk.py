"""The signer on a disk that is full, its log beside its state: nothing new is begun, stops go on, and with room it is whole again by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sealcore.errors import Code, VermilionError
from tests.pki import InfrastructureCa
from tests.signer.acting import stop
from tests.signer.batches import batch, entries_of, everything_sealed_once, refused_codes
from tests.signer.cramped import Cramped, Stations, code_of, copied
from tests.signer.office import Office, document
from tests.signer.station import Crls, Station
from tests.support.disks import MEBIBYTE, Hog, small_disk
from tests.support.ports import free_port
from tests.support.waiting import until

FULL = {"storage": "STORAGE_FULL"}
RESERVE = "vermilion_storage_reserve_bytes"
AWAY = {Code.HSM_UNAVAILABLE, Code.HSM_KEY_MISSING, Code.SERVICE_UNAVAILABLE}  # no worker could log in
_STOPS = 100  # more than what the database may hold in reserve takes
_WHOLE_BYTES = 1_900_000  # of the reserve on so small a disk

Place = tuple[Cramped, Hog]


@pytest.fixture
def place(tmp_path: Path, stations: Stations) -> Iterator[Callable[..., Place]]:
    """A running signer with its reserve on a disk of 30 MiB, and who may fill that disk."""
    with ExitStack() as opened:

        def make(*, forked: bool = True, **extra: Any) -> Place:
            folder = opened.enter_context(small_disk(tmp_path / "small", 30))
            made = Cramped(folder, stations, **extra)
            made.station.forked = forked
            opened.enter_context(made.station.running())
            until(lambda: made.metric(RESERVE) > _WHOLE_BYTES)
            return made, Hog(folder)

        yield make


def test_on_a_full_disk_nothing_is_begun_stops_go_on_and_with_room_all_goes_on_by_itself(place: Callable[..., Place]) -> None:
    cramped, hog = place()
    station, office = cramped.station, cramped.station.office
    kept, waiting, single = batch(office), batch(office), office.approve([document("One by one")])
    before = station.stream(kept.token, kept.items)
    everything_sealed_once(station, kept, before)
    workers = cramped.workers()

    hog.fill()
    for _ in range(3):
        assert refused_codes(station.stream(waiting.token, waiting.items)) == {Code.STORAGE_FULL}
        assert code_of(lambda: station.seal(single)) is Code.STORAGE_FULL
    again = station.stream(kept.token, kept.items)  # what was sealed can be fetched
    assert again.suffixes == before.suffixes and all(one.repeated for one in again.sealed.values())
    assert cramped.failing() == FULL
    for kind in ("official", "invoice"):  # and somebody takes what the first one left over
        assert stop(station, office.stop("seal", office.seals[kind].id)).epoch == 1
        hog.fill()
    assert "lost since the start, the last because: No space left on device" in cramped.readiness()["log"]
    assert cramped.metric("vermilion_log_lines_lost_total") > 0
    assert entries_of(station, waiting) == []

    hog.go()
    until(lambda: not cramped.failing())
    everything_sealed_once(station, waiting, station.stream(waiting.token, waiting.items))
    assert station.seal(single).attempts == 1  # nothing was signed for nothing
    assert code_of(lambda: station.seal(office.approve([document("Stopped")], seal="invoice"))) is Code.SEAL_SUSPENDED
    until(lambda: cramped.metric(RESERVE) > _WHOLE_BYTES)
    assert cramped.workers() == workers
    assert station.stop() == 0


def test_a_stop_that_is_refused_for_want_of_room_says_that_it_was_not_carried_out(place: Callable[..., Place]) -> None:
    cramped, hog = place()
    station, office = cramped.station, cramped.station.office
    hog.fill()
    assert "stops go on" in cramped.readiness()["parts"]["storage"]["reason"]
    for part in cramped.folder.glob(".reserve-for-stops.*"):
        part.unlink()
    hog.fill()
    said = cramped.readiness()["parts"]["storage"]["reason"]
    assert said.startswith("0.0 MiB are free and the reserve for stops is used up: a stop may be refused; free space now")
    refused = None
    for _ in range(_STOPS):  # the database's log may have some room in it yet
        try:
            stop(station, office.stop("seal", office.seals["invoice"].id))
        except VermilionError as fault:
            refused = fault
            break
    assert refused is not None and refused.code is Code.STORAGE_FULL
    assert refused.reason.startswith("the seal was NOT suspended: ")
    hog.go()
    assert stop(station, office.stop("seal", office.seals["official"].id)).epoch == 1


def test_below_the_mark_nothing_new_is_begun_while_there_is_still_room(place: Callable[..., Place]) -> None:
    cramped, hog = place()
    station, office = cramped.station, cramped.station.office
    hog.fill()
    hog.leave(2 * MEBIBYTE)  # the mark of so small a disk is 3.75 MiB
    waiting = batch(office)
    results = station.stream(waiting.token, waiting.items)
    assert refused_codes(results) == {Code.STORAGE_FULL} and "kept back" in results.refused[0].reason
    assert cramped.failing() == FULL
    assert stop(station, office.stop("seal", office.seals["invoice"].id)).epoch == 1
    assert cramped.metric(RESERVE) > _WHOLE_BYTES  # not touched yet
    hog.leave(4 * MEBIBYTE)
    assert not cramped.failing()
    everything_sealed_once(station, waiting, station.stream(waiting.token, waiting.items))


def test_a_commit_that_finds_the_disk_full_is_repeated_once_there_is_room(place: Callable[..., Place]) -> None:
    """Without a mark the signature is made, and then cannot be committed."""
    cramped, hog = place(storage={"mark_bytes": 0})
    station, office = cramped.station, cramped.station.office
    station.seal(office.approve([document("Before")]))
    hog.fill()
    waiting = [batch(office) for _ in range(4)]
    refused = [refused_codes(station.stream(one.token, one.items)) for one in waiting]
    assert Code.STORAGE_FULL in set().union(*refused) <= {Code.STORAGE_FULL}
    assert cramped.failing() == FULL
    assert stop(station, office.stop("seal", office.seals["invoice"].id)).epoch == 1
    hog.go()
    until(lambda: not cramped.failing())
    for one in waiting:
        everything_sealed_once(station, one, station.stream(one.token, one.items))


def test_a_worker_that_dies_while_the_disk_is_full_is_replaced_and_seals_when_there_is_room(place: Callable[..., Place]) -> None:
    cramped, hog = place(forked=False)
    station, office = cramped.station, cramped.station.office
    station.seal(office.approve([document("Before")]))
    hog.fill()
    killed = cramped.workers()
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    until(lambda: cramped.metric("vermilion_signer_worker_deaths_total") == len(killed) == 2)
    until(lambda: cramped.failing() == FULL)  # it takes no room to start one
    assert killed.isdisjoint(cramped.workers())
    waiting = batch(office)
    assert refused_codes(station.stream(waiting.token, waiting.items)) == {Code.STORAGE_FULL}
    hog.go()
    until(lambda: not cramped.failing())
    everything_sealed_once(station, waiting, station.stream(waiting.token, waiting.items))


def test_a_token_on_the_full_disk_outlives_the_logins_of_new_workers(
    tmp_path: Path, office: Office, infrastructure: InfrastructureCa, crls: Crls
) -> None:
    """SoftHSM writes the token's own record anew at every login, in place: without room it is left empty."""
    with small_disk(tmp_path / "small", 30) as folder:
        mine, hog = copied(office, folder / "hsm"), Hog(folder)

        def stations(place: Path, url: str, extra: dict[str, Any]) -> Station:
            made = Station(place, mine, infrastructure, crls, url, free_port(), extra)
            made.seed()
            return made

        cramped = Cramped(folder, stations, workers={"bulk": 1, "interactive": 0})
        station = cramped.station
        station.forked = False
        with station.running():
            station.seal(mine.approve([document("Before")]))
            waiting = batch(mine)
            hog.fill()
            for worker in cramped.workers():
                os.kill(worker, signal.SIGKILL)
            until(lambda: cramped.metric("vermilion_signer_worker_deaths_total") > 0)
            until(lambda: refused_codes(station.stream(waiting.token, waiting.items)) <= {Code.STORAGE_FULL, *AWAY})
            hog.fill()
            hog.go()
            until(lambda: not cramped.failing())
            everything_sealed_once(station, waiting, station.stream(waiting.token, waiting.items))
