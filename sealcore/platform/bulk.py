"""Statements over many rows at once, for the hot path: one a table and batch, sent to the driver as they stand.

What SQLAlchemy does for a statement costs more than a row. The values of a row are a NamedTuple: its fields give the names that a
statement uses, their order, which is the order in which the drivers get them, and their types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from sqlalchemy import Connection, Row

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
