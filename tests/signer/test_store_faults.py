"""What breaks under the store: the disk is full, a sync fails, the database goes away. Nothing counts as sealed that is not durable."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.ledger.store import entries, head
from sealcore.protocol.ledger_entry import Entry, jti_hash
from signer.model import SealedUse
from signer.pipeline.commit import commit
from signer.register import consistency
from signer.uses.retention import Retention
from signer.uses.store import Intent
from tests.conftest import PostgresqlServer
from tests.shims.sync import FaultySync
from tests.signer.desk import Desk, finished, sealed
from tests.signer.office import Approved, Office
from tests.signer.storing import Storing
from tests.support.disks import Hog, small_disk

DOCUMENTS = [b"%%PDF %d" % number for number in range(3)]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """People and seals without an HSM."""
    return Office.in_software(tmp_path_factory.mktemp("office"))


def ends(desk: Desk, approved: Approved) -> list[tuple[str, int | None]]:
    """The ledger's entries of a token: kind and index."""
    with db.read(desk.engine) as connection:
        found = [Entry.decode(data) for data in entries(connection, 0, head(connection).size)]
    return [(one.kind, one.index) for one in found if one.jti_hash == jti_hash(approved.claims.jti)]


def refusal(work: Callable[[], object]) -> Code:
    """The code with which ``work`` is refused."""
    with pytest.raises(VermilionError) as refused:
        work()
    return refused.value.code


# --- fsync ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shim(tmp_path: Path) -> FaultySync:
    """Syncs below ``tmp_path/data`` fail on demand in processes that are started with it."""
    (tmp_path / "data").mkdir()
    return FaultySync(tmp_path, tmp_path / "data")


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("dies", [False, True], ids=["the process goes on", "the process dies"])
def test_when_a_sync_fails_nothing_is_sealed_and_the_repeat_seals_once(
    shim: FaultySync, tmp_path: Path, office: Office, error: int, dies: bool
) -> None:
    desk = Desk(f"sqlite:///{tmp_path / 'data' / 's.db'}", office)
    approved = office.approve(DOCUMENTS)
    asked = (approved.token, approved.claims.sub, approved.requests)
    with Storing(str(desk.engine.url), "signer-1", shim.environment) as process:
        assert process.do("intend", *asked) == [1, 1, 1]
        with shim.failing(error):
            kind, code = process.do("commit", "first")
            assert (kind, code) in {("refused", "DATABASE_UNAVAILABLE"), ("refused", "STORAGE_FULL")}
            assert shim.failures > 0
            states = Retention(desk.engine, desk.clock).of_token(approved.claims.jti, approved.claims.sub)
            assert {one.state for one in states} == {"intended"}
            assert ends(desk, approved) == []
            kind, _ = process.do("release")  # the process remembers that it has given up, the database cannot
            assert kind == "refused"
        if dies:
            process.kill()
            desk.engine.dispose()
        else:
            assert process.do("intend", *asked) == [2, 2, 2]
            assert [kind for kind, *_ in process.do("commit", "second")] == ["sealed"] * 3
    with Storing(str(desk.engine.url), "signer-1") as process:
        got = process.do("intend", *asked)
        if all(isinstance(one, int) for one in got):
            got = process.do("commit", "third")
        assert [kind for kind, *_ in got] == ["sealed"] * 3
        again = process.do("intend", *asked)
        assert [suffix for _, suffix, *_ in again] == [suffix for _, suffix, *_ in got]
    assert ends(desk, approved) == [("seal", 0), ("seal", 1), ("seal", 2)]
    consistency.check(desk.engine, None)
    desk.engine.dispose()


def test_an_intend_that_cannot_be_made_durable_begins_nothing(shim: FaultySync, tmp_path: Path, office: Office) -> None:
    desk = Desk(f"sqlite:///{tmp_path / 'data' / 's.db'}", office)
    approved = office.approve(DOCUMENTS)
    asked = (approved.token, approved.claims.sub, approved.requests)
    with Storing(str(desk.engine.url), "signer-1", shim.environment) as process:
        with shim.failing():
            assert process.do("intend", *asked) == ("refused", "DATABASE_UNAVAILABLE")
        assert Retention(desk.engine, desk.clock).of_token(approved.claims.jti, approved.claims.sub) == []
        assert process.do("intend", *asked) == [1, 1, 1]
        assert [kind for kind, *_ in process.do("commit", "first")] == ["sealed"] * 3
    desk.engine.dispose()


# --- a full disk ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB; ``test_uses`` has the same with SQLite's own limit, for those who may not mount one."""
    with small_disk(tmp_path / "small", 2) as folder:
        yield folder


def test_on_a_disk_without_room_nothing_is_sealed_and_with_room_the_repeat_seals_once(tiny_disk: Path, office: Office) -> None:
    desk = Desk(f"sqlite:///{tiny_disk / 's.db'}", office)
    approved = office.approve(DOCUMENTS)
    intents = [one for one in desk.uses.intend(desk.wanted(approved)) if isinstance(one, Intent)]
    hog = Hog(tiny_disk)
    hog.fill()
    assert refusal(lambda: desk.commit(*intents, mark=os.urandom(100_000))) is Code.STORAGE_FULL
    assert ends(desk, approved) == []
    assert refusal(lambda: desk.uses.intend(desk.wanted(office.approve([os.urandom(8) for _ in range(500)])))) is Code.STORAGE_FULL
    hog.go()
    assert all(isinstance(one, SealedUse) for one in desk.commit(*intents))
    assert ends(desk, approved) == [("seal", 0), ("seal", 1), ("seal", 2)]
    consistency.check(desk.engine, None)
    desk.engine.dispose()


# --- a database that goes away -------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server that the test may halt and start again."""
    server = PostgresqlServer()
    yield server
    server.stop()


def test_while_the_database_is_away_nothing_is_sealed_and_afterwards_the_repeat_seals_once(
    own_server: PostgresqlServer, office: Office
) -> None:
    desk = Desk(own_server.create_database(), office)
    approved = office.approve(DOCUMENTS)
    kept = sealed(desk.commit(desk.intent(approved))[0])
    intents = [one for one in desk.uses.intend(desk.wanted(approved, 1, 2)) if isinstance(one, Intent)]
    wanted = desk.wanted(approved)
    own_server.halt()
    for _ in range(3):
        assert refusal(lambda: desk.commit(*intents)) is Code.DATABASE_UNAVAILABLE
        assert refusal(lambda: desk.uses.intend(wanted)) is Code.DATABASE_UNAVAILABLE
        assert refusal(lambda: desk.uses.release(intents)) is Code.DATABASE_UNAVAILABLE
    own_server.start()
    other = desk.signer("signer-2")
    assert [one.code for one in other.intend(wanted)[1:] if isinstance(one, VermilionError)] == [Code.USE_IN_PROGRESS] * 2
    desk.uses.intend(desk.wanted(office.approve(DOCUMENTS[:1])))  # any work: what could not be told is told now
    first, *others = other.intend(wanted)
    assert sealed(first).suffix == kept.suffix
    again = [one for one in others if isinstance(one, Intent)]
    assert [one.attempt for one in again] == [2, 2]
    assert all(isinstance(one, SealedUse) for one in desk.commit(*again))
    assert [isinstance(one, VermilionError) for one in desk.commit(*intents)] == [True, True]
    assert ends(desk, approved) == [("seal", 0), ("seal", 1), ("seal", 2)]
    consistency.check(desk.engine, None)
    desk.engine.dispose()


@pytest.mark.parametrize("step", ["commit: entries appended", "commit: uses ended"])
def test_a_database_that_goes_away_in_the_middle_of_commit_has_sealed_nothing(
    own_server: PostgresqlServer, office: Office, step: str
) -> None:
    desk = Desk(own_server.create_database(), office)
    approved = office.approve(DOCUMENTS)
    intent = desk.intent(approved)

    def reached(name: str) -> None:
        if name == step:
            own_server.halt()

    assert refusal(lambda: commit(desk.engine, desk.clock, desk.suffixes, [finished(intent)], reached=reached)) is Code.DATABASE_UNAVAILABLE
    own_server.start()
    assert ends(desk, approved) == []
    assert sealed(desk.commit(intent)[0])  # the attempt still holds its lease, and nothing came of the first try
    suffix = hashlib.sha256(finished(intent).suffix).digest()
    assert sealed(desk.uses.intend(desk.wanted(approved, 0))[0]).sealed_sha256 == suffix
    assert ends(desk, approved) == [("seal", 0)]
    desk.engine.dispose()
