"""The hot path finds rows by their keys, on both databases: what a document costs does not grow with those before it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from sealcore.platform import db
from signer.uses.store import Intent
from tests.signer.desk import Desk, desk, office

__all__ = ["desk", "office"]  # the fixtures

GROWING = ("uses", "suffixes", "ledger_entries")
Statements = list[tuple[str, Any]]


def test_no_statement_of_a_documents_way_scans_a_table_that_grows(desk: Desk) -> None:
    statements: Statements = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        statements.append((statement, parameters))

    event.listen(desk.engine, "before_cursor_execute", note)
    approved = desk.office.approve([b"%%PDF %d" % number for number in range(4)])
    intents = [one for one in desk.uses.intend(desk.wanted(approved)) if isinstance(one, Intent)]
    desk.uses.release(intents[2:])
    taken = [one for one in desk.uses.intend(desk.wanted(approved)) if isinstance(one, Intent)]
    desk.commit(*intents[:2], *taken)
    desk.uses.intend(desk.wanted(approved))
    event.remove(desk.engine, "before_cursor_execute", note)

    seen = {statement.split()[0] for statement, _ in statements}
    assert {"SELECT", "UPDATE"} <= seen
    explained = 0
    with db.write(desk.engine) as connection:
        for statement, parameters in statements:
            if not any(table in statement for table in GROWING) or statement.startswith(("INSERT INTO suffixes", "INSERT INTO ledger")):
                continue
            one = parameters[0] if isinstance(parameters, list) else parameters
            if desk.engine.dialect.name == "sqlite":
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]
                scans = [line for line in plan if line.startswith("SCAN") and any(line.split()[1] == name for name in (*GROWING, "u"))]
            else:
                plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", one)]
                scans = [line for line in plan if "Seq Scan" in line and any(f" {table}" in line for table in GROWING)]
            assert scans == [], "\n".join([statement, *plan])
            explained += 1
    assert explained >= 6
