"""The accounts that `deploy/databases.sql` makes on PostgreSQL: each service has its own database, and none reaches another's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from ca.ocsp.record import AnswerRecord, open_record
from sealcore.platform.migrate import scripts, upgrade
from tests.ca.harm import HARM
from tests.conftest import PostgresqlServer

OWN = {"vermilion_signer": "signer", "vermilion_ca": "ca", "vermilion_workflow": "workflow"}
ROLES = (*OWN, "vermilion_ocsp")
MAY = {(role, role) for role in OWN} | {("vermilion_ocsp", "vermilion_ca")}


def engine(server: PostgresqlServer, role: str, database: str) -> Engine:
    return create_engine(f"postgresql+psycopg://{role}@/{database}?host={server.folder}")


def said(server: PostgresqlServer, role: str, database: str, statement: str) -> str:
    """What the server says to a statement: empty where it does it."""
    made = engine(server, role, database)
    try:
        with made.begin() as connection:
            connection.execute(text(statement))
    except DBAPIError as fault:
        return str(fault.orig)
    finally:
        made.dispose()
    return ""


@pytest.fixture(scope="module")
def server(postgresql_server: PostgresqlServer, repository: Path) -> PostgresqlServer:
    """With the accounts, and the tables that each service makes by its own account."""
    command: list[str | Path] = [
        "psql",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        postgresql_server.folder,
        "-U",
        "vermilion",
        "-f",
        repository / "deploy/databases.sql",
    ]
    for again in (False, True):
        subprocess.run([*command, "postgres"], check=True, capture_output=True)
        for database, service in OWN.items() if not again else ():
            made = engine(postgresql_server, database, database)
            upgrade(made, scripts(service))
            made.dispose()
    return postgresql_server


def test_an_account_connects_to_its_own_database_alone(server: PostgresqlServer) -> None:
    for role in ROLES:
        for database in OWN:
            refused = said(server, role, database, "SELECT 1")
            assert ("permission denied for database" in refused) == ((role, database) not in MAY), (role, database, refused)


def test_the_responders_account_reads_the_record_and_changes_nothing(server: PostgresqlServer) -> None:
    record = open_record(f"postgresql+psycopg://vermilion_ocsp@/vermilion_ca?host={server.folder}", Path("unused"))
    assert AnswerRecord(record).look_up("seals", 1)[0].kind == "unknown"
    record.dispose()
    reads = ("SELECT evidence FROM acts", "SELECT * FROM outbox", "SELECT * FROM restores")  # whom people are, and what they decided
    makes = ("CREATE TABLE mine (x int)", "CREATE TEMPORARY TABLE mine (x int)", "LOCK TABLE certificates IN EXCLUSIVE MODE")
    for statement in (*HARM, *reads, *makes, "UPDATE ocsp_answers SET status = 'good'"):
        told = said(server, "vermilion_ocsp", "vermilion_ca", statement)
        assert "permission denied" in told or "must be owner" in told, (statement, told)


def test_no_account_ends_anothers_sessions_or_takes_its_place(server: PostgresqlServer) -> None:
    ours = engine(server, "vermilion_signer", "vermilion_signer")
    with ours.connect() as connection:
        session = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        for role, database in MAY - {("vermilion_signer", "vermilion_signer")}:
            for statement in (
                f"SELECT pg_terminate_backend({session})",
                "SET ROLE vermilion_signer",
                "CREATE ROLE mine SUPERUSER",
                "CREATE DATABASE mine",
                "COPY (SELECT 1) TO PROGRAM 'true'",
                "SELECT pg_read_file('postgresql.conf')",
            ):
                assert said(server, role, database, statement), (role, statement)
    ours.dispose()
