"""Rows of the workflow's tables: writing one, with the refusals that a database's own constraints mean. Each function works inside the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import IntegrityError

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import is_dangling, is_duplicate


def insert_row(connection: Connection, table: Table, values: dict[str, Any], taken: str) -> None:
    """Inserts a row; CONFLICT with the words of ``taken`` when it is there, NOT_FOUND when something that it refers to is not."""
    try:
        with connection.begin_nested():  # a refused row leaves the transaction usable
            connection.execute(insert(table).values(values))
    except IntegrityError as fault:
        if is_duplicate(fault):
            raise VermilionError(Code.CONFLICT, taken) from None
        if is_dangling(fault):
            raise VermilionError(Code.NOT_FOUND, f"{_referred(values)} does not exist") from None
        raise


def _referred(values: dict[str, Any]) -> str:
    named = [f"the {name} {values[name]}" for name in ("unit", "client", "person", "number") if name in values]
    return " or ".join(named) or "what the row refers to"
