"""Databases whose commits are durable; that they are is checked when a service starts.

SQLite runs in WAL mode with ``synchronous=FULL``; PostgreSQL with ``synchronous_commit=on``. The rest of the code is
the same for both. ``write`` opens the one kind of transaction that services use for changes.
"""

from __future__ import annotations

import json
import random
import re
import select
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import NoneType
from typing import Any, Generic, NoReturn, TypeVar, get_args, get_type_hints
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Row, create_engine, event, text
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, IntegrityError, InvalidatePoolError, OperationalError

from sealcore.errors import Code, VermilionError

BUSY_TIMEOUT_S = 30
SQLITE_FULL = 2  # PRAGMA synchronous: 2 = FULL

# Between two tries for SQLite's write lock. SQLite's own waiting backs off to 100 ms, so that a stop comes to its turn late while
# writers of batches follow each other closely. Who is urgent, or has waited longer, tries more often, and so tends to be next.
_FIRST_TRIES_S = 0.001
_LATER_TRIES_S = 0.000_3
_URGENT_TRIES_S = 0.000_1
_PATIENT_S = 0.02

# Suffixes of some kilobytes fill pages of 8 kB best; measured against 4 and 16 kB (docs/adr). An existing file keeps its own size.
_PAGE_BYTES = 8192
_CACHE_KIB = 16_384  # a batch of small documents fits, so that a transaction spills nothing before its commit
_CHECKPOINT_PAGES = 2048  # 16 MiB of log: the copying back is a pause of some 20 ms for one writer, and for no reader

_POSTGRESQL_OPTIONS = {
    "lock_timeout": "30s",  # as patient as with SQLite: a peer that hangs in a transaction is an error, never a hang
    "idle_in_transaction_session_timeout": "60s",  # and it does not hold its locks for ever
    "jit": "off",  # compiling takes longer than any statement of ours
}
# For a service that looks rows up by key on its hot path. Prepared statements keep the plan that they got when the tables were
# small; a scan chosen then would cost more with every row.
_UNIQUE_VIOLATION, _FOREIGN_KEY_VIOLATION = "23505", "23503"  # SQLSTATE
_NOT_HELD = "a text or a number is one that no row can hold"  # NUL within a text, on PostgreSQL
_BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}


def connect(url: str, *, pool_size: int = 8, by_key: bool = False, reads: Path | None = None) -> Engine:
    """An engine for ``url`` whose commits survive a crash of the machine; raises DATABASE_UNAVAILABLE when that cannot be had.

    by_key   PostgreSQL plans for rows that are found by their keys, however small the tables are at first
    reads    another service's SQLite file, whose tables stand beside our own and can only be read; permission to read it is enough
    """
    if url.startswith("sqlite"):
        arguments = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "uri": reads is not None}
        engine = create_engine(url, connect_args=arguments, pool_size=pool_size)
        event.listen(engine, "connect", _prepare_sqlite)
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


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for statement in (
        f"page_size={_PAGE_BYTES}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{_CACHE_KIB}",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
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
    # By the message: neither driver has one code for a full disk.
    message = str(original).lower()
    if "disk is full" in message or "no space" in message or "disk full" in message:
        raise VermilionError(Code.STORAGE_FULL, "the database's disk is full") from fault
    raise VermilionError(Code.DATABASE_UNAVAILABLE, f"the database does not answer ({type(original).__name__})") from fault


# --- many rows at once ---------------------------------------------------------------------------------------------------------
# Statements of the hot path go to the driver as they stand, one a table and batch; what SQLAlchemy does for a statement costs more
# than a row. The values of a row are a NamedTuple: its fields give the names that a statement uses, their order, which is the order
# in which the drivers get them, and their types.

_Values = TypeVar("_Values", bound=tuple[Any, ...])
_NAME = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")  # ``:name``, and not PostgreSQL's ``::type``
_POSTGRESQL_TYPES = {str: "text", int: "int8", bytes: "bytea"}


@dataclass(frozen=True)
class Many(Generic[_Values]):
    """One statement that changes many rows, in each database's own words.

    row          the NamedTuple of a row's values
    sqlite       with ``:name`` for a value of a row, or for one that all rows share
    postgresql   with ``{rows}`` in the place of a table of the rows, whose columns have the names of the fields, and ``:name`` for
                 a value that all rows share
    """

    row: type[_Values]
    sqlite: str
    postgresql: str

    def run(self, connection: Connection, rows: Sequence[_Values], **shared: Any) -> int:
        """Runs it for ``rows`` and returns how many rows of the table it touched."""
        if not rows:
            return 0
        if connection.dialect.name == "sqlite":
            statement, names = self._for_sqlite
            tail = tuple(shared[name] for name in names)
            return connection.exec_driver_sql(statement, [(*row, *tail) for row in rows] if tail else list(rows)).rowcount
        return connection.exec_driver_sql(self._for_postgresql, dict(zip(_fields(self.row), _columns(rows), strict=True)) | shared).rowcount

    @cached_property
    def _for_sqlite(self) -> tuple[str, Sequence[str]]:
        """The statement with numbered places, and the names of the shared values in the order of theirs."""
        return _numbered(self.sqlite, _fields(self.row))

    @cached_property
    def _for_postgresql(self) -> str:
        return _named(self.postgresql.replace("{rows}", _unnest(self.row)))


@dataclass(frozen=True)
class Keyed(Generic[_Values]):
    """One statement that reads the rows of many keys, in each database's own words.

    key          the NamedTuple of a key's values
    sqlite       with one ``json_each(?)`` over the keys, and ``:name`` for a value of a key; joined by CROSS JOIN, which settles that
                 the keys come first
    postgresql   with ``{keys}`` in the place of a table of the keys, whose columns have the names of the fields
    """

    key: type[_Values]
    sqlite: str
    postgresql: str

    def read(self, connection: Connection, keys: Sequence[_Values]) -> Sequence[Row[Any]]:
        """The rows that are there, in no order that counts."""
        if not keys:
            return []
        if connection.dialect.name == "sqlite":
            return connection.exec_driver_sql(self._for_sqlite, (json.dumps(keys),)).all()
        return connection.exec_driver_sql(self._for_postgresql, dict(zip(_fields(self.key), _columns(keys), strict=True))).all()

    @cached_property
    def _for_sqlite(self) -> str:
        places = {name: f"value->>{place}" for place, name in enumerate(_fields(self.key))}
        return _NAME.sub(lambda found: places[found[1]], self.sqlite)

    @cached_property
    def _for_postgresql(self) -> str:
        return _named(self.postgresql.replace("{keys}", _unnest(self.key)))


def _fields(kind: type[tuple[Any, ...]]) -> tuple[str, ...]:
    fields: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    return fields


def _types(kind: type[tuple[Any, ...]]) -> dict[str, str]:
    """PostgreSQL's type of each field; one that may be None has the type of what it is otherwise."""
    hints = get_type_hints(kind)
    plain = {name: next(one for one in (*get_args(hints[name]), hints[name]) if one is not NoneType) for name in _fields(kind)}
    return {name: _POSTGRESQL_TYPES[one] for name, one in plain.items()}


def _numbered(statement: str, fields: Sequence[str]) -> tuple[str, Sequence[str]]:
    shared = [name for name in dict.fromkeys(_NAME.findall(statement)) if name not in fields]
    places = {name: place for place, name in enumerate((*fields, *shared), 1)}
    return _NAME.sub(lambda found: f"?{places[found[1]]}", statement), shared


def _named(statement: str) -> str:
    return _NAME.sub(r"%(\1)b", statement)


def _unnest(kind: type[tuple[Any, ...]]) -> str:
    return f"unnest({', '.join(f':{name}::{one}[]' for name, one in _types(kind).items())}) AS given ({', '.join(_fields(kind))})"


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


@dataclass(frozen=True)
class Rows:
    """A table's columns with their PostgreSQL types, for inserting rows that are certainly new."""

    table: str
    columns: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, table: str, row: type[tuple[Any, ...]]) -> Rows:
        """The columns that the fields of a NamedTuple name, with their types."""
        return cls(table, tuple(_types(row).items()))

    def insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Inserts ``rows``, values in the order of the columns: executemany on SQLite, binary COPY on PostgreSQL."""
        if not rows:
            return
        names = ", ".join(f'"{name}"' for name, _ in self.columns)
        if connection.dialect.name == "sqlite":
            marks = ", ".join("?" for _ in self.columns)
            connection.exec_driver_sql(f"INSERT INTO {self.table} ({names}) VALUES ({marks})", list(rows))  # noqa: S608
            return
        cursor: Any = connection.connection.cursor()  # psycopg's own
        with cursor, cursor.copy(f"COPY {self.table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([kind for _, kind in self.columns])
            for row in rows:
                copy.write_row(row)


def database_answers(engine: Engine) -> Callable[[], None]:
    """A check of readiness, which reads from the database's own file or server; DATABASE_UNAVAILABLE."""
    question = text("SELECT count(*) FROM sqlite_master" if engine.dialect.name == "sqlite" else "SELECT 1")

    def check() -> None:
        with read(engine) as connection:
            connection.execute(question).scalar_one()

    return check
