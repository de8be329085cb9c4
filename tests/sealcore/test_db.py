"""Durability is asserted, transactions commit or vanish, and a database that is away has its code."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from sealcore.db import assert_durable, connect, read, write
from sealcore.errors import Code, VermilionError


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
