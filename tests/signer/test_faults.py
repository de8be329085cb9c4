"""What breaks around the signer: the HSM, the disk, the database, other workers, a second signer. Nothing is lost or doubled.

Each fault has its code at the client and its metric at the front. Crashes are in ``tests/crash``, stops in ``test_stops``.
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.worker.channel import Channel, pair
from tests.crash.failpoints import Act
from tests.crash.scene import House, Scene
from tests.crash.services import Variation
from tests.hsm.wrapping import Ckr
from tests.signer.batches import (
    COUNT,
    Scenes,
    administrator,
    batch,
    cut_off,
    entries_of,
    everything_sealed_once,
    in_background,
    ledger_of,
    let_in,
    refused_codes,
)
from tests.signer.cramped import copied
from tests.signer.office import SEALS, document
from tests.signer.station import Station, typed
from tests.support.waiting import until

# --- the HSM -----------------------------------------------------------------------------------------------------------------------


def test_with_the_hsm_gone_the_uses_stay_open_and_go_on_when_it_is_back(tmp_path: Path, house: House) -> None:
    mine = copied(house.office, tmp_path / "hsm")
    scene = Scene(tmp_path / "scene", replace(house, office=mine), f"sqlite:///{tmp_path / 's.db'}")
    scene.open_signer()
    station, approved = scene.station, batch(mine)
    tokens = tmp_path / "hsm" / "tokens"
    assert tokens.is_dir()
    station.seal(mine.approve([document("Before")]))
    tokens.rename(tmp_path / "hsm" / "away")
    results = station.stream(approved.token, approved.items)
    assert refused_codes(results) <= {Code.HSM_UNAVAILABLE, Code.HSM_KEY_MISSING}
    assert len(results.refused) == COUNT
    assert scene.metric("documents", code="HSM_UNAVAILABLE") + scene.metric("documents", code="HSM_KEY_MISSING") == COUNT
    seals = typed(lambda: station.register().ListSeals(signer_pb2.ListSealsRequest())).seals
    assert len(seals) == 3  # what needs no key goes on
    (tmp_path / "hsm" / "away").rename(tokens)
    everything_sealed_once(station, approved, station.stream(approved.token, approved.items))
    scene.close()


def test_without_the_hsm_the_signer_does_not_start_and_says_why(tmp_path: Path, house: House) -> None:
    mine = copied(house.office, tmp_path / "hsm")
    station = Station(tmp_path / "station", mine, house.infrastructure, house.crls, f"sqlite:///{tmp_path / 's.db'}", 1)
    station.seed()
    shutil.rmtree(tmp_path / "hsm" / "tokens")
    assert "HSM_UNAVAILABLE" in station.refused_start()


def test_a_call_that_hangs_holds_nobody_else_up_and_its_late_signature_is_thrown_away(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 2, "interactive": 1})
    station, office, label = scene.station, scene.office, SEALS["contract"]
    approved, others = batch(office), batch(office, seal="invoice")
    scene.wrapped.hang("C_Sign", key=label)
    got = in_background(lambda: station.stream(approved.token, approved.items, a_message=COUNT))
    until(lambda: scene.wrapped.hanging == 1)
    everything_sealed_once(station, others, station.stream(others.token, others.items, a_message=COUNT))
    assert station.seal(office.approve([document("Waited for")], seal="invoice")).attempts == 1
    results = got()
    assert refused_codes(results) == {Code.HSM_TIMEOUT}
    assert (len(results.refused), len(results.sealed)) == (1, COUNT - 1)  # the others of its batch go on in another thread
    assert (scene.metric("documents", code="HSM_TIMEOUT"), scene.metric("hsm_hung")) == (1, 1)
    entries = len(ledger_of(station))
    scene.wrapped.release()
    until(lambda: scene.wrapped.hanging == 0 and scene.metric("hsm_hung") == 0)
    assert len(ledger_of(station)) == entries  # it did not commit late
    again = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, again)
    assert sorted(sealed.attempts for sealed in again.sealed.values()) == [1] * (COUNT - 1) + [2]
    assert scene.wrapped.signatures()[label].begun == sum(entry.attempts or 0 for entry in entries_of(station, approved))


def test_a_key_that_the_hsm_does_not_use_any_more_fails_alone_and_each_attempt_calls_it_once(scenes: Scenes) -> None:
    scene = scenes()
    station, office, label = scene.station, scene.office, SEALS["contract"]
    approved, others = batch(office), batch(office, seal="invoice")
    scene.wrapped.fail("C_Sign", Ckr.DEVICE_ERROR, times=None, key=label)
    for _ in range(2):
        results = station.stream(approved.token, approved.items)
        assert (refused_codes(results), len(results.refused)) == ({Code.HSM_UNAVAILABLE}, COUNT)
    everything_sealed_once(station, others, station.stream(others.token, others.items))
    assert scene.metric("documents", code="HSM_UNAVAILABLE") == 2 * COUNT
    assert scene.metric("hsm_calls", outcome="HSM_UNAVAILABLE") >= 1
    scene.wrapped.clear()
    everything_sealed_once(station, approved, station.stream(approved.token, approved.items))
    attempts = sum(entry.attempts or 0 for entry in entries_of(station, approved))
    assert COUNT < scene.wrapped.signatures()[label].begun <= attempts == 3 * COUNT


# --- workers that do not come up ---------------------------------------------------------------------------------------------------


def test_while_a_worker_dies_at_each_start_the_others_serve(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 2, "interactive": 0})
    scene.points.let_die_at_start(3)
    scene.points.arm("signer", "worker", "gated")
    for _ in range(3):
        approved = batch(scene.office)
        everything_sealed_once(scene.station, approved, scene.station.stream(approved.token, approved.items))
    until(lambda: scene.metric("workers", lane="bulk") == scene.metric("workers_wanted", lane="bulk") == 2)
    assert scene.metric("worker_deaths") == 4
    assert scene.station.log.read_text("utf-8").count("worker not replaced") == 3
    approved = batch(scene.office)
    everything_sealed_once(scene.station, approved, scene.station.stream(approved.token, approved.items))


def test_a_worker_that_freezes_is_ended_and_its_documents_are_sealed_by_others(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0, "silent_s": 1.0})
    (frozen,) = scene.workers()
    os.kill(frozen, signal.SIGSTOP)
    approved = batch(scene.office)
    everything_sealed_once(scene.station, approved, scene.station.stream(approved.token, approved.items))
    assert scene.metric("worker_deaths") == 1
    assert frozen not in scene.workers()
    assert "no sign of life" in scene.station.log.read_text("utf-8")


def test_when_no_worker_can_start_requests_are_refused_at_once_with_the_cause(scenes: Scenes) -> None:
    scene = scenes()
    station, approved = scene.station, batch(scene.office)
    scene.wrapped.fail("C_OpenSession", Ckr.DEVICE_ERROR, times=None)
    for pid in scene.workers():
        scene.kill(pid)
    until(lambda: "workers" in scene.unready() and scene.metric("workers") == 0)
    results = station.stream(approved.token, approved.items)
    assert (refused_codes(results), len(results.refused)) == ({Code.HSM_UNAVAILABLE}, COUNT)
    with pytest.raises(VermilionError) as refused:
        station.seal(office_document := scene.office.approve([document("Waited for")]))
    assert refused.value.code is Code.HSM_UNAVAILABLE
    seals = typed(lambda: station.register().ListSeals(signer_pb2.ListSealsRequest())).seals
    assert len(seals) == 3  # what needs no key goes on
    scene.wrapped.clear()
    until(lambda: not scene.unready())  # by itself
    everything_sealed_once(station, approved, station.stream(approved.token, approved.items))
    assert station.seal(office_document).attempts == 1


def test_what_a_worker_said_last_is_heard_even_when_it_left_messages_unread() -> None:
    """The kernel tells of the unread ones first (ECONNRESET)."""
    ours, theirs = map(Channel, pair())
    ours.send({"dead": "another"})
    theirs.send({"failed": "HSM_UNAVAILABLE"})
    theirs.close()
    assert ours.receive() == ({"failed": "HSM_UNAVAILABLE"}, [])
    assert ours.receive() is None
    ours.close()


# --- disk and database -------------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_nothing_is_released_and_the_same_request_goes_on_later(scenes: Scenes) -> None:
    scene = scenes(variation=Variation(more_pages=8), workers={"bulk": 1, "interactive": 0})
    station, approved = scene.station, scene.office.approve([document(f"Full {number}") for number in range(40)])
    results = station.stream(approved.token, approved.items, a_message=4)
    assert refused_codes(results) == {Code.STORAGE_FULL}
    assert len(results.sealed) + len(results.refused) == 40
    assert len(entries_of(station, approved)) == len(results.sealed) < 40
    assert scene.metric("documents", code="STORAGE_FULL") == len(results.refused)
    assert station.stop() == 0
    scene.variation = Variation()
    scene.start()
    again = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, again)
    assert all(again.suffixes[index] == results.suffixes[index] for index in results.sealed)


def test_with_the_database_gone_nothing_is_released_and_the_same_request_goes_on_later(scenes: Scenes, postgresql_url: str) -> None:
    scene = scenes(postgresql_url)
    station, approved = scene.station, batch(scene.office)
    admin, database = administrator(postgresql_url)
    with admin:
        station.seal(scene.office.approve([document("Before")]))
        cut_off(admin, database)
        with pytest.raises(VermilionError) as refused:
            station.stream(approved.token, approved.items)
        assert refused.value.code is Code.DATABASE_UNAVAILABLE
        assert scene.unready() == {"database"}
        assert scene.metric("rpc_calls", code="DATABASE_UNAVAILABLE") == 1
        let_in(admin, database)
        everything_sealed_once(station, approved, station.stream(approved.token, approved.items))
        assert not scene.unready()


def test_a_connection_that_breaks_in_mid_batch_is_an_error_of_the_items_and_leaves_the_uses_open(
    scenes: Scenes, postgresql_url: str
) -> None:
    scene = scenes(postgresql_url)
    station, approved = scene.station, batch(scene.office)
    admin, database = administrator(postgresql_url)
    with admin:
        scene.points.arm("signer", "worker", "commit begins", act=Act.FREEZE)
        got = in_background(lambda: station.stream(approved.token, approved.items, a_message=COUNT))
        frozen = scene.frozen()
        cut_off(admin, database)
        scene.wake(frozen)
        assert refused_codes(got()) == {Code.DATABASE_UNAVAILABLE}
        assert scene.metric("documents", code="DATABASE_UNAVAILABLE") == COUNT
        let_in(admin, database)
        again = station.stream(approved.token, approved.items)
        while again.refused:  # the other worker could not be told that the leases are given up
            assert refused_codes(again) == {Code.USE_IN_PROGRESS}
            again = station.stream(approved.token, approved.items)
        everything_sealed_once(station, approved, again)
        assert {sealed.attempts for sealed in again.sealed.values()} == {2}


# --- several at once ---------------------------------------------------------------------------------------------------------------


def test_two_clients_that_race_with_one_token_get_the_same_bytes_or_in_progress(scenes: Scenes, database_url: str) -> None:
    station = scenes(database_url).station
    approved = batch(station.office)
    runs = [in_background(lambda: station.stream(approved.token, approved.items, a_message=2)) for _ in range(4)]
    results = [run() for run in runs]
    assert {refused.code for one in results for refused in one.refused.values()} <= {Code.USE_IN_PROGRESS}
    final = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, final)
    for one in results:
        assert all(one.suffixes[index] == final.suffixes[index] for index in one.sealed)


def test_two_replicas_on_one_database_seal_each_document_once(house: House, tmp_path: Path, postgresql_url: str) -> None:
    scenes = [Scene(tmp_path / name, house, postgresql_url, instance=name) for name in ("left", "right")]
    replicas = [scene.station for scene in scenes]
    scenes[0].open_signer()
    scenes[1].start()
    approved = batch(house.office)
    runs = [in_background(lambda one=one: one.stream(approved.token, approved.items, a_message=2)) for one in replicas * 2]  # type: ignore[misc]
    results = [run() for run in runs]
    assert {refused.code for one in results for refused in one.refused.values()} <= {Code.USE_IN_PROGRESS}
    final = replicas[1].stream(approved.token, approved.items)
    everything_sealed_once(replicas[1], approved, final)
    assert replicas[0].stream(approved.token, approved.items).suffixes == final.suffixes
    typed(lambda: replicas[0].register().Stop(house.office.stop("seal", approved.claims.seal)))
    other = batch(house.office)
    with pytest.raises(VermilionError) as refused:
        replicas[1].stream(other.token, other.items)
    assert refused.value.code is Code.SEAL_SUSPENDED
    for scene in scenes:
        scene.close()


def test_a_second_signer_on_the_same_port_does_not_start(station: Station) -> None:
    assert "CONFIGURATION_INVALID" in station.refused_start()


def test_no_secret_and_no_document_is_in_the_log(station: Station) -> None:
    station.seal(station.office.approve([document("Kept to ourselves")]))
    log = station.log.read_text("utf-8")
    assert station.office.token is not None
    pin = station.office.token.pin_file.read_text("ascii").strip()
    assert pin not in log
    assert "Kept to ourselves" not in log
    assert "eyJ" not in log  # how every token begins


def test_a_use_row_altered_while_the_signer_runs_is_not_committed(scenes: Scenes) -> None:
    """Whoever moves the fence, the attempt behind it is discarded."""
    scene = scenes()
    station, approved = scene.station, batch(scene.office)
    scene.points.arm("signer", "worker", "commit begins", act=Act.FREEZE)
    got = in_background(lambda: station.stream(approved.token, approved.items, a_message=COUNT))
    frozen = scene.frozen()
    engine = create_engine(station.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE uses SET attempt = attempt + 1 WHERE use_index = 3"))
    engine.dispose()
    scene.wake(frozen)
    results = got()
    assert sorted(results.sealed) == [0, 1, 2, 4, 5]
    assert results.refused[3].code is Code.USE_IN_PROGRESS
