"""Databases that keep their word: engines whose commits are durable, checked when a service starts.

SQLite runs in WAL mode with ``synchronous=FULL``; PostgreSQL with ``synchronous_commit=on``. The rest of the code is
the same for both. ``write`` opens the one kind of transaction that services use for changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from sealcore.errors import Code, VermilionError

BUSY_TIMEOUT_S = 30
SQLITE_FULL = 2  # PRAGMA synchronous: 2 = FULL


def connect(url: str, *, pool_size: int = 8) -> Engine:
    """An engine for ``url`` whose commits survive a crash of the machine; raises DATABASE_UNAVAILABLE when that cannot be had."""
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, pool_size=pool_size)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(url, pool_size=pool_size, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    assert_durable(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for statement in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {statement}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock first: two writers queue instead of one failing at its first write.
    mode = "DEFERRED" if connection.get_execution_options().get("vermilion_read") else "IMMEDIATE"
    connection.exec_driver_sql(f"BEGIN {mode}")


def assert_durable(engine: Engine) -> None:
    """Refuses to go on with a database whose commits may be lost (PROTOCOL "Use": durable means durable)."""
    with read(engine) as connection:
        if engine.dialect.name == "sqlite":
            durable = connection.execute(text("PRAGMA synchronous")).scalar_one() >= SQLITE_FULL
        else:
            durable = (
                connection.execute(text("SHOW synchronous_commit")).scalar_one() in ("on", "remote_apply")
                and connection.execute(text("SHOW fsync")).scalar_one() == "on"
            )
    if not durable:
        raise VermilionError(Code.DATABASE_UNAVAILABLE, "the database does not make its commits durable")


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """A transaction that may change things; commits at its end, rolls back on any exception."""
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """A transaction for reading only; on SQLite it takes no write lock."""
    with _translated(), engine.connect().execution_options(vermilion_read=True) as connection, connection.begin():
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """Turns a database's own failures into our codes; statement values never reach a message."""
    try:
        yield
    except OperationalError as fault:
        message = str(fault.orig).lower()
        if "disk is full" in message or "no space" in message or "disk full" in message:
            raise VermilionError(Code.STORAGE_FULL, "the database's disk is full") from fault
        raise VermilionError(Code.DATABASE_UNAVAILABLE, f"the database does not answer ({type(fault.orig).__name__})") from fault
    except DBAPIError as fault:
        if fault.connection_invalidated:
            raise VermilionError(Code.DATABASE_UNAVAILABLE, "the connection to the database broke") from fault
        raise
