"""Databases of an office as an earlier release left them go on under this one: every migration runs over real old rows."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from cryptography import x509
from sqlalchemy import Boolean, Connection, Engine, MetaData, delete, func, insert, select

from ca import tables as ca_tables
from ca.issuance import holders
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, read, write
from sealcore.platform.migrate import scripts, upgrade
from sealcore.protocol.leaf import Certification
from sealcore.protocol.stop import StopStatement
from signer import tables as signer_tables
from signer.acts.model import stop_act
from signer.register import consistency
from signer.register.store import RegisterStore
from tests.attacks.encodings import twin
from workflow import tables as workflow_tables
from workflow.directory import store as directory_store
from workflow.forms import store as form_store
from workflow.forms.model import FormState

FOLDER: Final = Path(__file__).parent / "office"
WHILE_IN_FORCE: Final = datetime(2026, 12, 1, tzinfo=UTC)
AUDIENCE: Final = "https://vermilion.internal/service/signer"
TABLES: Final = {"ca": ca_tables.metadata, "signer": signer_tables.metadata, "workflow": workflow_tables.metadata}


@pytest.fixture
def opened(database_url: str) -> Iterator[Callable[[str], Engine]]:
    """A service's old database, brought up to date."""
    engine = connect(database_url)

    def opened(service: str) -> Engine:
        _restore(engine, service)
        upgrade(engine, scripts(service))
        return engine

    yield opened
    engine.dispose()


def _restore(engine: Engine, service: str) -> None:
    kept = json.loads(gzip.decompress((FOLDER / f"{service}.json.gz").read_bytes()))
    config = Config()
    config.set_main_option("script_location", str(scripts(service)))
    with write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, kept["revision"])
        found = MetaData()
        found.reflect(connection)
        for table in reversed(found.sorted_tables):
            if table.name in kept["tables"]:
                connection.execute(delete(table))  # what the first migration puts there
        for table in found.sorted_tables:
            rows = kept["tables"].get(table.name, {"rows": (), "columns": ()})
            if rows["rows"]:
                booleans = {column.name for column in table.columns if isinstance(column.type, Boolean)}
                connection.execute(insert(table), [_row(rows["columns"], row, booleans) for row in rows["rows"]])


def _row(columns: list[str], values: list[Any], booleans: set[str]) -> dict[str, Any]:
    plain = [base64.b64decode(value["b"]) if isinstance(value, dict) else value for value in values]
    return {name: bool(value) if name in booleans else value for name, value in zip(columns, plain, strict=True)}


def _count(connection: Connection, table: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("service", sorted(TABLES))
def test_an_old_database_gets_exactly_the_tables_that_the_code_uses_and_loses_no_row(opened: Callable[[str], Engine], service: str) -> None:
    kept = json.loads(gzip.decompress((FOLDER / f"{service}.json.gz").read_bytes()))["tables"]
    with read(opened(service)) as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES[service]) == []
        counted = {name: _count(connection, table) for name, table in TABLES[service].tables.items() if name in kept}
    assert counted == {name: len(kept[name]["rows"]) for name in counted}


def test_the_signers_register_and_ledger_add_up(opened: Callable[[str], Engine]) -> None:
    engine = opened("signer")
    register = RegisterStore(engine, audience=AUDIENCE).load()
    assert {seal.kind: (seal.state, seal.certifies) for seal in register.seals.values()} == {
        "contract": ("active", Certification.FORM_FILL),
        "invoice": ("suspended", Certification.FINAL),
        "official": ("active", Certification.FINAL),
    }
    assert consistency.check(engine, None) == 131


def test_an_officers_stop_from_before_does_not_come_back_in_either_spelling(opened: Callable[[str], Engine]) -> None:
    """The contract seal was stopped and resumed; what was recorded under its signature's bytes counts by what it states."""
    engine = opened("signer")
    registers = RegisterStore(engine, audience=AUDIENCE)
    registers.load()
    with read(engine) as connection:
        evidence = connection.execute(
            select(signer_tables.register_acts.c.evidence).where(signer_tables.register_acts.c.number == 1)
        ).scalar_one()
    told = json.loads(evidence)
    statement = StopStatement(told["subject_kind"], told["subject"], told["officer"], told["reason"], told["time"])
    signature = base64.urlsafe_b64decode(told["signature"] + "==")
    for spelled in (signature, twin(signature)):
        try:
            registers.record(stop_act(statement, spelled, 1))
        except VermilionError as refused:
            assert refused.code in {Code.CONFLICT, Code.DECISION_INVALID}
    assert registers.load().seals[told["subject"]].state == "active"


def test_the_ca_knows_its_certificates_and_names_those_whose_holder_nobody_knows(opened: Callable[[str], Engine]) -> None:
    with read(opened("ca")) as connection:
        contested = holders.contested(connection, WHILE_IN_FORCE)
        rows = connection.execute(select(ca_tables.certificates)).all()
        newest = connection.execute(
            select(ca_tables.crls.c.crl).where(ca_tables.crls.c.issuer == "infrastructure").order_by(ca_tables.crls.c.number.desc())
        ).scalars()
        crl = x509.load_der_x509_crl(newest.first() or b"")
    assert sorted(uri.rsplit("/", 2)[1] for uri in contested) == ["client", "service"]
    assert AUDIENCE in contested and all(len(serials) == 2 for serials in contested.values())
    gone = {row.serial for row in rows if row.issuer == "infrastructure" and row.state in ("revoked", "held")}
    assert gone == {f"{entry.serial_number:x}" for entry in crl} != set()


def test_the_workflows_forms_decisions_and_clients_are_read_as_ever(opened: Callable[[str], Engine]) -> None:
    with read(opened("workflow")) as connection:
        ends = {
            row.number: row.expires for row in connection.execute(select(workflow_tables.forms.c.number, workflow_tables.forms.c.expires))
        }
        units = directory_store.units(connection)
        forms = form_store.forms(connection, state=None, submitted_by=None, before=None, limit=200)
        by_state = {state: sum(form.state is state for form in forms) for state in FormState}
        clients = directory_store.clients(connection, "", 200)
        documents = [len(form_store.documents(connection, form.number)) for form in forms]
        attached = [form_store.attachments(connection, form.number) for form in forms]
        open_events = connection.execute(
            select(func.count()).select_from(workflow_tables.outbox).where(workflow_tables.outbox.c.state == "pending")
        ).scalar_one()
    assert (len(forms), sum(documents), sum(map(len, attached)), open_events) == (17, 66, 0, 3)
    assert by_state[FormState.APPLIED] == 6 and by_state[FormState.APPROVED] == 9
    waiting = [form for form in forms if form.state is FormState.APPLIED]
    assert all(ends[form.number] == form.context.exp for form in waiting), "they lapse as those that are filed now"
    assert len(units) == 2 and all(unit.active for unit in units)
    assert all(client.approved and client.unit in client.units for client in clients) and len(clients) == 3
