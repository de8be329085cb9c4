"""Durability is asserted, transactions commit or vanish, and a database that is away has its code."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import _POSTGRESQL_OPTIONS, assert_durable, connect, read, write


def test_a_write_commits_whole_or_not_at_all(database_url: str) -> None:
    engine = connect(database_url)
    with write(engine) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    with pytest.raises(ZeroDivisionError), write(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        _ = 1 // 0
    with write(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))
    with read(engine) as connection:
        assert connection.execute(text("SELECT n FROM t")).scalars().all() == [2]
    engine.dispose()


def test_a_database_that_may_lose_commits_is_refused(postgresql_url: str) -> None:
    engine = create_engine(postgresql_url, connect_args={"options": "-c synchronous_commit=off"})
    with pytest.raises(VermilionError) as refusal:
        assert_durable(engine)
    assert refusal.value.code is Code.DATABASE_UNAVAILABLE
    engine.dispose()


def test_a_database_that_is_away_has_its_code(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.db", f"postgresql+psycopg://nobody@/none?host={tmp_path}"):
        with pytest.raises(VermilionError) as refusal:
            connect(url)
        assert refusal.value.code is Code.DATABASE_UNAVAILABLE
        assert str(tmp_path) not in refusal.value.reason


@pytest.mark.parametrize("urgent", [False, True])
def test_a_writer_waits_for_the_one_before_it_and_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urgent: bool
) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'busy.db'}")
    with write(engine) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    let_go, holds = threading.Event(), threading.Event()

    def hold() -> None:
        with write(engine) as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            holds.set()
            let_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(10)
    with read(engine) as connection:  # readers wait for nobody
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    with monkeypatch.context() as hurried:
        hurried.setattr("sealcore.platform.db.BUSY_TIMEOUT_S", 0.05)
        with pytest.raises(VermilionError) as refusal, write(engine, urgent=urgent):
            pass
        assert refusal.value.code is Code.DATABASE_UNAVAILABLE
    threading.Timer(0.05, let_go.set).start()
    with write(engine, urgent=urgent) as connection:
        assert connection.execute(text("SELECT n FROM t")).scalars().all() == [1]
    holder.join()
    engine.dispose()


def test_a_peer_that_hangs_in_a_transaction_is_an_error_and_no_hang(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_POSTGRESQL_OPTIONS, "lock_timeout", "100ms")
    engine = connect(postgresql_url)
    with write(engine) as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with write(engine) as hanging:
        hanging.execute(text("UPDATE t SET n = 2"))
        with pytest.raises(VermilionError) as refusal, write(engine) as connection:
            connection.execute(text("UPDATE t SET n = 3"))
        assert refusal.value.code is Code.DATABASE_UNAVAILABLE
    engine.dispose()


def test_connections_that_the_server_has_ended_are_not_used_again(postgresql_url: str) -> None:
    engine, other = connect(postgresql_url, pool_size=3), connect(postgresql_url)
    with read(engine), read(engine), read(engine):
        pass  # three are in the pool
    with write(other) as connection:
        mine = text(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(mine)
    with read(engine), read(engine), read(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    other.dispose()


def test_a_full_disk_has_its_code(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'full.db'}", pool_size=1)
    with write(engine) as connection:
        connection.execute(text("CREATE TABLE t (b BLOB)"))
    with read(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=8")
    with pytest.raises(VermilionError) as refusal, write(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (:b)"), {"b": b"x" * 200_000})
    assert refusal.value.code is Code.STORAGE_FULL
    with read(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    engine.dispose()
