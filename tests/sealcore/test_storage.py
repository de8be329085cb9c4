"""Room on a disk: what is kept back from new work, and for stops."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from sealcore.errors import Code, VermilionError
from sealcore.platform.config import DatabaseSettings
from sealcore.platform.db import connect, write
from sealcore.platform.storage import PARTS, Storage, StorageSettings
from tests.support.disks import MEBIBYTE, Hog, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", 16) as folder:
        yield folder


def refusal(work: object) -> Code | None:
    assert callable(work)
    try:
        work()
    except VermilionError as refused:
        return refused.code
    return None


def held(folder: Path) -> int:
    """Bytes of the reserve."""
    return sum(each.stat().st_blocks * 512 for each in folder.glob(".reserve-for-stops.*"))


def note(engine: Engine) -> int:
    """A small transaction, as a stop is one."""
    with write(engine) as connection:
        connection.execute(text("INSERT INTO notes VALUES (:note)"), {"note": "x" * 2000})
        return int(connection.execute(text("SELECT count(*) FROM notes")).scalar_one())


@pytest.mark.parametrize("deed", ["shrunk", "linked", "replaced", "removed"])
def test_a_reserve_that_holds_nothing_any_more_is_made_again(disk: Path, tmp_path: Path, deed: str) -> None:
    storage, precious = Storage(disk, StorageSettings()), tmp_path / "precious"
    storage.fill_up()
    precious.write_bytes(bytes(MEBIBYTE))
    parts = sorted(disk.glob(".reserve-for-stops.*"))
    for part in parts:
        match deed:
            case "shrunk":
                os.truncate(part, 0)
            case "linked":
                os.link(part, disk / f"copy of {part.name}")
            case "replaced":
                part.unlink()
                part.symlink_to(precious)
                if not part.with_suffix(".draft").is_symlink():
                    part.with_suffix(".draft").symlink_to(precious)
            case _:
                part.unlink()
    storage.fill_up()
    assert all(part.lstat().st_nlink == 1 and part.lstat().st_size == MEBIBYTE // PARTS for part in parts)
    assert precious.read_bytes() == bytes(MEBIBYTE)
    hog, freed = Hog(disk), []

    def work() -> None:
        """Ends as one that finds the disk full until there is room."""
        hog.fill()
        freed.append(os.statvfs(disk).f_bfree)
        raise VermilionError(Code.STORAGE_FULL, "still full")

    assert refusal(lambda: storage.for_a_stop(work)) is Code.STORAGE_FULL
    assert len(freed) == PARTS + 1


def test_what_cannot_be_given_up_leaves_the_stop_its_own_fault(disk: Path) -> None:
    storage = Storage(disk, StorageSettings())
    for number in range(PARTS - 1):
        (disk / f".reserve-for-stops.{number}").mkdir()
    assert refusal(storage.fill_up) is Code.FILE_UNUSABLE  # and says so in readiness
    (disk / f".reserve-for-stops.{PARTS - 1}").write_bytes(bytes(MEBIBYTE))
    tries = []

    def work() -> None:
        tries.append(len(list(disk.glob(".reserve-for-stops.*"))))
        raise VermilionError(Code.STORAGE_FULL, "full")

    assert refusal(lambda: storage.for_a_stop(work)) is Code.STORAGE_FULL
    assert tries == [PARTS, PARTS - 1]


def test_the_reserve_lets_stops_through_as_often_as_it_has_parts_and_comes_back(disk: Path) -> None:
    url = f"sqlite:///{disk / 'one.db'}"
    engine = connect(url)
    with write(engine) as connection:
        connection.execute(text("CREATE TABLE notes (note TEXT)"))
    storage, hog = Storage.of(DatabaseSettings(url=url), StorageSettings()), Hog(disk)
    storage.fill_up()
    assert held(disk) == MEBIBYTE  # a sixteenth of so small a disk
    noted = 0
    for _ in range(PARTS):
        hog.fill()
        while refusal(lambda: note(engine)) is None:  # the log of the database may have some room in it yet
            noted += 1
        assert (refusal(storage.require_room), refusal(storage.check)) == (Code.STORAGE_FULL, Code.STORAGE_FULL)
        noted += 1
        assert storage.for_a_stop(lambda: note(engine)) == noted
    assert held(disk) == 0
    hog.fill()
    while refusal(lambda: note(engine)) is None:
        noted += 1
    assert refusal(lambda: storage.for_a_stop(lambda: note(engine))) is Code.STORAGE_FULL
    storage.fill_up()
    assert held(disk) == 0
    hog.go()
    assert (refusal(storage.require_room), refusal(storage.check)) == (None, None)
    storage.fill_up()
    assert held(disk) == MEBIBYTE and note(engine) == noted + 1
    engine.dispose()


def test_the_reserve_takes_nothing_that_new_work_needs(disk: Path) -> None:
    hog, storage = Hog(disk), Storage(disk, StorageSettings(mark_bytes=MEBIBYTE))
    hog.fill()
    hog.leave(MEBIBYTE + MEBIBYTE // 2)
    storage.fill_up()
    assert held(disk) == MEBIBYTE // 2 and refusal(storage.require_room) is None  # two parts of four, and the mark is left


def test_other_refusals_of_a_stop_cost_no_reserve(disk: Path) -> None:
    storage = Storage(disk, StorageSettings())
    storage.fill_up()

    def refused() -> None:
        raise VermilionError(Code.DECISION_INVALID, "not by an officer")

    assert refusal(lambda: storage.for_a_stop(refused)) is Code.DECISION_INVALID and held(disk) == MEBIBYTE


def test_a_database_on_a_server_is_watched_there() -> None:
    storage = Storage.of(DatabaseSettings(url="postgresql+psycopg://office@db/signer"), StorageSettings())
    storage.fill_up()
    assert (refusal(storage.require_room), refusal(storage.check)) == (None, None)


LIMITED = """
import resource, sys
from sqlalchemy import text
from sealcore.errors import VermilionError
from sealcore.platform.db import connect, write
engine = connect(sys.argv[1])
with write(engine) as connection:
    connection.execute(text("CREATE TABLE notes (note BLOB)"))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
def note():
    with write(engine) as connection:
        connection.execute(text("INSERT INTO notes VALUES (:note)"), {"note": bytes(1_000_000)})
try:
    note()
except VermilionError as fault:
    print(fault.code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
note()
with write(engine) as connection:
    print(connection.execute(text("SELECT count(*) FROM notes")).scalar_one())
"""


def test_a_limit_that_is_no_full_disk_to_sqlite_is_one_to_us(tmp_path: Path) -> None:
    """As a quota is: SQLite calls it an error of writing (SQLITE_IOERR_WRITE)."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    told = subprocess.run([sys.executable, "-c", LIMITED, f"sqlite:///{tmp_path / 'one.db'}"], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["STORAGE_FULL", "1"]
