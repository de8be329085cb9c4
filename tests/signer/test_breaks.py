"""What breaks in the middle: crashes, the HSM, the disk, the database, a stop. Nothing is lost, nothing is doubled."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from protos.vermilion.v1 import ledger_pb2, signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.hsm.softhsm import settings_of
from sealcore.ids import service_uri
from sealcore.ledger.entry import Entry, jti_hash
from tests.pki import InfrastructureCa
from tests.signer.conftest import port
from tests.signer.office import Approved, Office, document, grant_request, item_message
from tests.signer.station import PROGRAMS, TIMEOUT_S, Crls, Results, Station, typed

COUNT = 6
STEPS = ["intend: rows written", "intended", "signed", "commit: uses ended", "committed"]  # tests/crash kills at all of them, and often
BEFORE_INTEND, AFTER_COMMIT = {"gated", "intend: rows written"}, {"committed", "answered"}


def batch(office: Office, **how: Any) -> Approved:
    """A fresh batch."""
    return office.approve([document(f"Fault {number}") for number in range(COUNT)], **how)


def ledger_of(station: Station) -> list[Entry]:
    """The whole ledger, as the log process reads it."""
    log = station.ledger(service_uri("ledger"))
    head = typed(lambda: log.Head(ledger_pb2.HeadRequest()))
    parts = typed(lambda: list(log.Entries(ledger_pb2.EntriesRequest(start=0, end=head.size))))
    return [Entry.decode(data) for part in parts for data in part.entries]


def entries_of(station: Station, approved: Approved) -> list[Entry]:
    """The ledger's entries of one token."""
    return [entry for entry in ledger_of(station) if entry.jti_hash == jti_hash(approved.claims.jti)]


def everything_sealed_once(station: Station, approved: Approved, results: Results) -> None:
    """Each document has its bytes, and the ledger one entry for each."""
    assert sorted(results.sealed) == list(range(COUNT)), results.refused
    for index, sealed in results.sealed.items():
        file = approved.documents[index] + results.suffixes[index]
        assert hashlib.sha256(file).digest() == sealed.sealed_sha256
    entries = entries_of(station, approved)
    assert sorted(entry.index for entry in entries if entry.index is not None) == list(range(COUNT))
    assert {entry.kind for entry in entries} == {"seal"}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_after_any_step_and_the_same_request_again_seal_each_document_once(own_station: Station, step: str) -> None:
    approved = batch(own_station.office)
    own_station.start(str(PROGRAMS / "crashing.py"), step, "1", "all")
    with contextlib.suppress(VermilionError):  # at the last step the answers may be out already
        results = own_station.stream(approved.token, approved.items, a_message=COUNT)
        assert step == "answered", results.refused
    assert own_station.died() == -9
    own_station.forget_channels()
    with own_station.running():
        results = own_station.stream(approved.token, approved.items)
        everything_sealed_once(own_station, approved, results)
        assert {sealed.repeated for sealed in results.sealed.values()} == {step in AFTER_COMMIT}
        attempts = {sealed.attempts for sealed in results.sealed.values()}
        assert attempts == ({1} if step in BEFORE_INTEND | AFTER_COMMIT else {2})


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_dies_after_any_step_is_replaced_and_nobody_notices(sqlite_station: Callable[..., Station], step: str) -> None:
    """The front hands its documents to another worker, which takes the uses over at once."""
    own_station = sqlite_station()
    approved = batch(own_station.office)
    own_station.extra["workers"] = {"bulk": 2, "interactive": 0}
    own_station.write_config()
    with own_station.running(str(PROGRAMS / "crashing.py"), step, "1", "worker"):
        everything_sealed_once(own_station, approved, own_station.stream(approved.token, approved.items, a_message=COUNT))
        assert "worker ended" in own_station.log.read_text("utf-8")
        assert sorted(own_station.stream(approved.token, approved.items).sealed) == list(range(COUNT))


def copied(office: Office, folder: Path) -> Office:
    """The same office with a copy of its token, which a test may take away."""
    assert office.token is not None
    assert office.token.softhsm_conf is not None
    original = office.token.softhsm_conf.parent
    shutil.copytree(original, folder)
    settings = settings_of(folder, office.token.label)
    conf = folder / "softhsm2.conf"
    conf.write_text(conf.read_text("utf-8").replace(str(original), str(folder)), "utf-8")
    other = object.__new__(Office)
    other.__dict__.update(office.__dict__, token=settings)
    return other


def test_with_the_hsm_gone_the_uses_stay_open_and_go_on_when_it_is_back(
    tmp_path: Path, office: Office, infrastructure: InfrastructureCa, crls: Crls
) -> None:
    mine = copied(office, tmp_path / "hsm")
    station = Station(tmp_path / "station", mine, infrastructure, crls, f"sqlite:///{tmp_path / 's.db'}", port())
    station.seed()
    approved = batch(mine)
    tokens = tmp_path / "hsm" / "tokens"
    assert tokens.is_dir()
    with station.running():
        station.seal(mine.approve([document("Before")]))
        tokens.rename(tmp_path / "hsm" / "away")
        results = station.stream(approved.token, approved.items)
        assert {refused.code for refused in results.refused.values()} <= {Code.HSM_UNAVAILABLE, Code.HSM_KEY_MISSING}
        assert len(results.refused) == COUNT
        seals = typed(lambda: station.register().ListSeals(signer_pb2.ListSealsRequest())).seals
        assert len(seals) == 3  # what needs no key goes on
        (tmp_path / "hsm" / "away").rename(tokens)
        everything_sealed_once(station, approved, station.stream(approved.token, approved.items))


def test_without_the_hsm_the_signer_does_not_start_and_says_why(
    tmp_path: Path, office: Office, infrastructure: InfrastructureCa, crls: Crls
) -> None:
    mine = copied(office, tmp_path / "hsm")
    station = Station(tmp_path / "station", mine, infrastructure, crls, f"sqlite:///{tmp_path / 's.db'}", port())
    station.seed()
    shutil.rmtree(tmp_path / "hsm" / "tokens")
    assert "HSM_UNAVAILABLE" in station.refused_start()


def test_on_a_full_disk_nothing_is_released_and_the_same_request_goes_on_later(sqlite_station: Callable[..., Station]) -> None:
    station = sqlite_station()
    approved = station.office.approve([document(f"Full {number}") for number in range(40)])
    with station.running(str(PROGRAMS / "cramped.py"), "16"):
        results = station.stream(approved.token, approved.items, a_message=4)
        assert {refused.code for refused in results.refused.values()} == {Code.STORAGE_FULL}
        assert len(results.sealed) + len(results.refused) == 40
        assert len(entries_of(station, approved)) == len(results.sealed) < 40
    with station.running():
        again = station.stream(approved.token, approved.items)
        assert sorted(again.sealed) == list(range(40))
        assert len(entries_of(station, approved)) == 40
        assert all(again.suffixes[index] == results.suffixes[index] for index in results.sealed)


def test_with_the_database_gone_nothing_is_released_and_the_same_request_goes_on_later(
    tmp_path: Path, postgresql_url: str, office: Office, infrastructure: InfrastructureCa, crls: Crls
) -> None:
    station = Station(tmp_path / "station", office, infrastructure, crls, postgresql_url, port())
    station.seed()
    approved = batch(office)
    url = make_url(postgresql_url)
    with station.running(), psycopg.connect(host=str(url.query["host"]), user="vermilion", dbname="postgres", autocommit=True) as admin:
        station.seal(office.approve([document("Before")]))
        admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')  # type: ignore[call-overload]
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url.database,))
        with pytest.raises(VermilionError) as refused:
            station.stream(approved.token, approved.items)
        assert refused.value.code is Code.DATABASE_UNAVAILABLE
        admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')  # type: ignore[call-overload]
        everything_sealed_once(station, approved, station.stream(approved.token, approved.items))


def test_a_connection_that_breaks_in_mid_batch_is_an_error_of_the_items_and_leaves_the_uses_open(
    tmp_path: Path, postgresql_url: str, office: Office, infrastructure: InfrastructureCa, crls: Crls
) -> None:
    station = Station(tmp_path / "station", office, infrastructure, crls, postgresql_url, port())
    station.seed()
    approved = batch(office)
    url, hold = make_url(postgresql_url), tmp_path / "hold"
    hold.touch()
    with (
        station.running(str(PROGRAMS / "waiting.py"), "commit begins", str(hold)),
        psycopg.connect(host=str(url.query["host"]), user="vermilion", dbname="postgres", autocommit=True) as admin,
    ):
        got = in_background(lambda: station.stream(approved.token, approved.items, a_message=COUNT))
        until(hold.with_suffix(".reached").exists)
        admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')  # type: ignore[call-overload]
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url.database,))
        hold.unlink()
        results = got()
        assert {refused.code for refused in results.refused.values()} == {Code.DATABASE_UNAVAILABLE}
        admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')  # type: ignore[call-overload]
        again = station.stream(approved.token, approved.items)
        everything_sealed_once(station, approved, again)
        assert {sealed.attempts for sealed in again.sealed.values()} == {2}


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Runs ``work`` beside the test; call the result to wait for its answer."""
    answer: list[Any] = []
    thread = threading.Thread(target=lambda: answer.append(work()))
    thread.start()

    def wait() -> Any:
        thread.join(TIMEOUT_S)
        return answer[0]

    return wait


def until(condition: Callable[[], bool]) -> None:
    """Waits for what must come about."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["seal", "grant"])
def test_a_stop_in_mid_batch_voids_what_is_not_committed(own_station: Station, tmp_path: Path, kind: str) -> None:
    """The batch has its signatures; the stop commits; then the batch comes to its commit."""
    office, hold = own_station.office, tmp_path / "hold"
    grant = office.grant(COUNT)
    items = [item_message(grant_request(index, document(f"Stop {index}"))) for index in range(COUNT)]
    subject = grant.claims.seal if kind == "seal" else grant.claims.jti
    with own_station.running(str(PROGRAMS / "waiting.py"), "commit begins", str(hold)):
        before = own_station.stream(grant.token, items[:2])
        hold.with_suffix(".reached").unlink()
        hold.touch()
        got = in_background(lambda: own_station.stream(grant.token, items[2:], a_message=COUNT))
        until(hold.with_suffix(".reached").exists)
        stopped = typed(lambda: own_station.register().Stop(office.stop(kind, subject)))
        hold.unlink()
        results = got()
        assert {refused.code for refused in results.refused.values()} == {Code.USE_VOIDED}
        assert len(results.refused) == COUNT - 2
        kinds = {entry.index: entry.kind for entry in entries_of(own_station, grant)}
        assert kinds == {**dict.fromkeys((0, 1), "seal"), **dict.fromkeys(range(2, COUNT), "void")}
        assert [entry.kind for entry in ledger_of(own_station)[stopped.ledger_index + 1 :]] == ["void"] * (COUNT - 2)
        assert sorted(before.sealed) == [0, 1]


def test_two_clients_that_race_with_one_token_get_the_same_bytes_or_in_progress(station: Station) -> None:
    approved = batch(station.office)
    runs = [in_background(lambda: station.stream(approved.token, approved.items, a_message=2)) for _ in range(4)]
    results = [run() for run in runs]
    assert {refused.code for one in results for refused in one.refused.values()} <= {Code.USE_IN_PROGRESS}
    final = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, final)
    for one in results:
        assert all(one.suffixes[index] == final.suffixes[index] for index in one.sealed)


def test_two_replicas_on_one_database_seal_each_document_once(
    tmp_path: Path, postgresql_url: str, office: Office, infrastructure: InfrastructureCa, crls: Crls
) -> None:
    replicas = [
        Station(tmp_path / name, office, infrastructure, crls, postgresql_url, port(), {"instance": name}) for name in ("left", "right")
    ]
    replicas[0].seed()
    approved = batch(office)
    with replicas[0].running(), replicas[1].running():
        runs = [in_background(lambda one=one: one.stream(approved.token, approved.items, a_message=2)) for one in replicas * 2]  # type: ignore[misc]
        results = [run() for run in runs]
        assert {refused.code for one in results for refused in one.refused.values()} <= {Code.USE_IN_PROGRESS}
        final = replicas[1].stream(approved.token, approved.items)
        everything_sealed_once(replicas[1], approved, final)
        assert replicas[0].stream(approved.token, approved.items).suffixes == final.suffixes
        typed(lambda: replicas[0].register().Stop(office.stop("seal", approved.claims.seal)))
        other = batch(office)
        with pytest.raises(VermilionError) as refused:
            replicas[1].stream(other.token, other.items)
        assert refused.value.code is Code.SEAL_SUSPENDED


def test_sigterm_in_mid_batch_lets_it_end_and_the_process_ends_cleanly(own_station: Station, tmp_path: Path) -> None:
    approved = batch(own_station.office)
    hold = tmp_path / "hold"
    hold.touch()
    own_station.start(str(PROGRAMS / "waiting.py"), "commit begins", str(hold))
    got = in_background(lambda: own_station.stream(approved.token, approved.items, a_message=COUNT))
    until(hold.with_suffix(".reached").exists)
    process = own_station.process
    assert process is not None
    process.terminate()
    hold.unlink()
    assert sorted(got().sealed) == list(range(COUNT))
    assert process.wait(TIMEOUT_S) == 0


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


def test_a_use_row_altered_while_the_signer_runs_is_not_committed(sqlite_station: Callable[..., Station], tmp_path: Path) -> None:
    """Whoever moves the fence, the attempt behind it is discarded."""
    station, hold = sqlite_station(), tmp_path / "hold"
    approved = batch(station.office)
    hold.touch()
    with station.running(str(PROGRAMS / "waiting.py"), "commit begins", str(hold)):
        got = in_background(lambda: station.stream(approved.token, approved.items, a_message=COUNT))
        until(hold.with_suffix(".reached").exists)
        engine = create_engine(station.database_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE uses SET attempt = attempt + 1 WHERE use_index = 3"))
        engine.dispose()
        hold.unlink()
        results = got()
        assert sorted(results.sealed) == [0, 1, 2, 4, 5]
        assert results.refused[3].code is Code.USE_IN_PROGRESS
        assert replace(approved).claims.jti
