"""Databases whose commits are durable; that they are is checked when a service starts.

SQLite runs in WAL mode with ``synchronous=FULL``; PostgreSQL with ``synchronous_commit=on``. The rest of the code is
the same for both. ``write`` opens the one kind of transaction that services use for changes.
"""

from __future__ import annotations

import random
import select
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, IntegrityError, InvalidatePoolError, OperationalError

from sealcore.errors import Code, VermilionError

BUSY_TIMEOUT_S = 30
SQLITE_FULL = 2  # PRAGMA synchronous: 2 = FULL

# Between two tries for SQLite's write lock. SQLite's own waiting backs off to 100 ms, so that a stop comes to its turn late while
# writers of batches follow each other closely. Who is urgent, or has waited longer, tries more often, and so tends to be next. A try
# costs some 20 µs, and a batch is in there for ten milliseconds.
_FIRST_TRIES_S = 0.002
_LATER_TRIES_S = 0.000_5
_URGENT_TRIES_S = 0.000_1
_PATIENT_S = 0.02

# Suffixes of some kilobytes fill pages of 8 kB best; measured against 4 and 16 kB (docs/adr). An existing file keeps its own size.
_PAGE_BYTES = 8192
_CACHE_KIB = 16_384  # a batch of small documents fits, so that a transaction spills nothing before its commit
_CHECKPOINT_PAGES = 2048  # 16 MiB of log: the copying back is a pause of some 20 ms for one writer, and for no reader
_URGENT_CHECKPOINT_PAGES = 8192  # whoever is waited for leaves it to the others, unless nobody else writes

_POSTGRESQL_OPTIONS = {
    "lock_timeout": "30s",  # as patient as with SQLite: a peer that hangs in a transaction is an error, never a hang
    "idle_in_transaction_session_timeout": "60s",  # and it does not hold its locks for ever
    "jit": "off",  # compiling takes longer than any statement of ours
}
_UNIQUE_VIOLATION, _FOREIGN_KEY_VIOLATION = "23505", "23503"  # SQLSTATE
_DISK_FULL, _OUT_OF_MEMORY = "53100", "53200"  # SQLSTATE
_WRITE_FAILED = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE})
_NOT_HELD = "a text or a number is one that no row can hold"  # NUL within a text, on PostgreSQL
# For a service that looks rows up by key on its hot path. Prepared statements keep the plan that they got when the tables were
# small; a scan chosen then would cost more with every row.
_BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}


def connect(url: str, *, pool_size: int = 8, by_key: bool = False, reads: Path | None = None, urgent: bool = False) -> Engine:
    """An engine for ``url`` whose commits survive a crash of the machine; raises DATABASE_UNAVAILABLE when that cannot be had.

    by_key   PostgreSQL plans for rows that are found by their keys, however small the tables are at first
    reads    another service's SQLite file, whose tables stand beside our own and can only be read; permission to read it is enough
    urgent   somebody waits for whatever is written over it: SQLite's log is copied back by other processes, as long as these write too
    """
    if url.startswith("sqlite"):
        arguments = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "uri": reads is not None}
        engine = create_engine(url, connect_args=arguments, pool_size=pool_size)
        event.listen(engine, "connect", partial(_prepare_sqlite, _URGENT_CHECKPOINT_PAGES if urgent else _CHECKPOINT_PAGES))
        if reads is not None:
            event.listen(engine, "connect", partial(_attach_sqlite, reads))
            event.listen(engine, "checkout", _attached_once)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        options = " ".join(f"-c {name}={value}" for name, value in (_POSTGRESQL_OPTIONS | (_BY_KEY if by_key else {})).items())
        engine = create_engine(url, pool_size=pool_size, connect_args={"connect_timeout": 5, "options": options})
        event.listen(engine, "checkout", _still_there)
    assert_durable(engine)
    return engine


def _prepare_sqlite(checkpoint_pages: int, connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for statement in (
        f"page_size={_PAGE_BYTES}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",  # nothing of ours depends on /tmp
        f"cache_size=-{_CACHE_KIB}",
        f"wal_autocheckpoint={checkpoint_pages}",
    ):
        cursor.execute(f"PRAGMA {statement}")
    cursor.close()


def _attach_sqlite(file: Path, connection: Any, record: Any) -> None:
    """Attaches the file read-only.

    While nobody has it open there is no WAL beside it, and a reader without write permission cannot create one: then the file is read
    as it is, over a connection that is used once.
    """
    at_rest = not Path(f"{file}-wal").exists()
    connection.execute("ATTACH DATABASE ? AS beside", (f"file:{quote(str(file))}?mode=ro{'&immutable=1' if at_rest else ''}",))
    record.info["attached"] = "anew at rest" if at_rest else "in use"


def _attached_once(_connection: Any, record: Any, _proxy: Any) -> None:
    """Used once only: a connection to a file without a WAL would not see what its owner writes after it has come back."""
    if record.info["attached"] == "at rest":
        raise DisconnectionError("attached while the file was at rest")
    record.info["attached"] = record.info["attached"].removeprefix("anew ")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    # DEFERRED sees one snapshot from its first statement on, and no writer waits for it.
    if options.get("vermilion_read"):
        connection.exec_driver_sql("BEGIN DEFERRED")
    else:
        _begin_immediate(connection.connection.driver_connection, urgent="vermilion_urgent" in options)


def _begin_immediate(connection: Any, *, urgent: bool) -> None:
    """Takes the write lock first: two writers queue instead of one failing at its first write. Waits BUSY_TIMEOUT_S at most."""
    started = time.monotonic()
    # Otherwise SQLite waits by itself, in steps that grow (see above).
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as fault:
                if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                waited_s = time.monotonic() - started
                if waited_s > BUSY_TIMEOUT_S:
                    raise VermilionError(Code.DATABASE_UNAVAILABLE, "the database is locked by another writer") from fault
                pause_s = _URGENT_TRIES_S if urgent else _FIRST_TRIES_S if waited_s < _PATIENT_S else _LATER_TRIES_S
                time.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  (so that waiters do not march in step)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout={1000 * BUSY_TIMEOUT_S}")  # readers wait as SQLite waits


def _still_there(connection: Any, _record: Any, _proxy: Any) -> None:
    """Drops connections that the server has closed, without a round trip: an idle connection is readable only when it has been closed."""
    import psycopg  # noqa: PLC0415  (it takes long to load; a service on SQLite does without)

    poll = select.poll()
    try:
        poll.register(connection.pgconn.socket, select.POLLIN)
        ended = bool(poll.poll(0))
    except psycopg.Error:  # no socket any more
        ended = True
    if ended:
        raise InvalidatePoolError("the server has ended this connection")


def assert_durable(engine: Engine) -> None:
    """Refuses to go on with a database whose commits may be lost (docs/protocol.md, "Use": durable means durable)."""
    with read(engine) as connection:
        if engine.dialect.name == "sqlite":
            # Asked of the database, not taken from what we set: a server's or a role's own setting
            # may stand against ours.
            durable = connection.execute(text("PRAGMA synchronous")).scalar_one() >= SQLITE_FULL
        else:
            durable = (
                connection.execute(text("SHOW synchronous_commit")).scalar_one() in ("on", "remote_apply")
                and connection.execute(text("SHOW fsync")).scalar_one() == "on"
            )
    if not durable:
        raise VermilionError(Code.DATABASE_UNAVAILABLE, "the database does not make its commits durable")


@contextmanager
def write(engine: Engine, *, urgent: bool = False) -> Iterator[Connection]:
    """A transaction that may change things; commits at its end, rolls back on any exception.

    ``urgent`` goes before others that wait for SQLite's write lock: for a stop, and for work that somebody waits for.
    """
    if urgent:
        engine = engine.execution_options(vermilion_urgent=True)
    with _translated(engine), engine.begin() as connection:
        yield connection
    if (committed := engine.get_execution_options().get("vermilion_committed")) is not None:
        committed()


def on_commit(engine: Engine, committed: Callable[[], None]) -> None:
    """Calls ``committed`` after each ``write`` of this process, in the thread that wrote. One for each engine, which must not block or raise."""
    engine.update_execution_options(vermilion_committed=committed)


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """A transaction for reading only; on SQLite it takes no write lock."""
    with _translated(engine), engine.connect().execution_options(vermilion_read=True) as connection, connection.begin():
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """Turns a database's own failures into our codes; statement values never reach a message."""
    try:
        yield
    except OperationalError as fault:
        _refuse(fault.orig, fault)
    except DBAPIError as fault:
        if fault.connection_invalidated:
            raise VermilionError(Code.DATABASE_UNAVAILABLE, "the connection to the database broke") from fault
        if isinstance(fault, DataError):
            raise VermilionError(Code.INVALID_ARGUMENT, _NOT_HELD) from fault
        if (short := _shortage(fault.orig)) is not None:
            raise short from fault
        raise
    except engine.dialect.loaded_dbapi.DataError as fault:
        raise VermilionError(Code.INVALID_ARGUMENT, _NOT_HELD) from fault
    except engine.dialect.loaded_dbapi.OperationalError as fault:  # from the driver's own cursor
        _refuse(fault, fault)


def is_duplicate(fault: IntegrityError) -> bool:
    """Whether a row was refused because its key is taken, and not because of what it refers to, lacks or may not hold."""
    original: Any = fault.orig
    if isinstance(original, sqlite3.IntegrityError):
        return original.sqlite_errorname in ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID")
    return getattr(original, "sqlstate", None) == _UNIQUE_VIOLATION


def is_dangling(fault: IntegrityError) -> bool:
    """Whether a row was refused because what it refers to does not exist."""
    original: Any = fault.orig
    if isinstance(original, sqlite3.IntegrityError):
        return original.sqlite_errorname == "SQLITE_CONSTRAINT_FOREIGNKEY"
    return getattr(original, "sqlstate", None) == _FOREIGN_KEY_VIOLATION


def _refuse(original: object, fault: Exception) -> NoReturn:
    if (short := _shortage(original)) is not None:
        raise short from fault
    raise VermilionError(Code.DATABASE_UNAVAILABLE, f"the database does not answer ({type(original).__name__})") from fault


def _shortage(original: object) -> VermilionError | None:
    """STORAGE_FULL or RESOURCES_EXHAUSTED where the database says that something has run out.

    SQLite says so of ENOSPC alone (SQLITE_FULL); a quota, a limit of file sizes or a failing disk is an error of writing to it.
    """
    if isinstance(original, sqlite3.Error) and hasattr(original, "sqlite_errorcode"):
        code = original.sqlite_errorcode
        if code & 0xFF == sqlite3.SQLITE_FULL:
            return VermilionError(Code.STORAGE_FULL, "the database's disk is full")
        if code in _WRITE_FAILED:
            return VermilionError(Code.STORAGE_FULL, f"the database cannot write to its disk ({original.sqlite_errorname})")
    state = getattr(original, "sqlstate", None)
    if state == _DISK_FULL or "disk quota exceeded" in str(original).lower():
        return VermilionError(Code.STORAGE_FULL, "the database server's disk is full")
    if state == _OUT_OF_MEMORY:
        return VermilionError(Code.RESOURCES_EXHAUSTED, "the database server has no memory left")
    return None


def database_answers(engine: Engine) -> Callable[[], None]:
    """A check of readiness, which reads from the database's own file or server; DATABASE_UNAVAILABLE."""
    question = text("SELECT count(*) FROM sqlite_master" if engine.dialect.name == "sqlite" else "SELECT 1")

    def check() -> None:
        with read(engine) as connection:
            connection.execute(question).scalar_one()

    return check
