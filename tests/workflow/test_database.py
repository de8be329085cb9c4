"""The workflow's database: its migrations, and form numbers under load."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, read, write
from sealcore.platform.migrate import scripts, upgrade
from tests.workflow.conftest import Desk
from workflow import tables
from workflow.directory import store as directory_store
from workflow.directory.model import Unit
from workflow.forms import store as form_store


def test_the_migrations_make_the_tables_that_the_code_expects(database_url: str) -> None:
    engine = connect(database_url)
    upgrade(engine, scripts("workflow"))
    upgrade(engine, scripts("workflow"))  # a second start finds nothing to do
    with read(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def test_fifty_forms_at_once_are_numbered_without_a_gap(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    with ThreadPoolExecutor(50) as pool:
        numbers = list(pool.map(lambda _: desk.submit(seal).number, range(50)))
    assert sorted(numbers) == [f"OFFICE-2026-{n:06d}" for n in range(1, 51)]


def test_numbers_stay_gapless_when_submissions_fail_in_between(desk: Desk) -> None:
    def take(connection: Connection, fail: bool) -> str:
        number = form_store.next_number(connection, "OFFICE", 2026)
        if fail:
            raise VermilionError(Code.CONFLICT, "on purpose")
        return number

    def attempt(n: int) -> str | None:
        try:
            with write(desk.office.engine) as connection:
                return take(connection, n % 3 == 0)
        except VermilionError:
            return None

    with ThreadPoolExecutor(16) as pool:
        numbers = [number for number in pool.map(attempt, range(60)) if number]
    assert sorted(numbers) == [f"OFFICE-2026-{n:06d}" for n in range(1, 41)]


def test_every_unit_and_year_counts_for_itself(desk: Desk) -> None:
    with write(desk.office.engine) as connection:
        directory_store.add_unit(connection, Unit("SALES", "Sales"))
        given = [
            form_store.next_number(connection, unit, year)
            for unit, year in [("OFFICE", 2026), ("SALES", 2026), ("SALES", 2027), ("SALES", 2026)]
        ]
    assert given == ["OFFICE-2026-000001", "SALES-2026-000001", "SALES-2027-000001", "SALES-2026-000002"]


def test_two_people_who_decide_at_once_give_one_token(desk: Desk) -> None:
    from tests.workflow.deciding import claims, decide

    seal = desk.signer.state.add_seal(seal=2)
    form = desk.submit(seal)
    approvers = [desk.human("approver") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda human: decide(desk, form, human).form.state, approvers))
    assert sorted(map(str, outcomes)) == ["applied", "approved"]
    assert len(claims(desk, form.number).decisions) == 2


def test_one_person_who_decides_twice_at_once_counts_once(desk: Desk) -> None:
    from tests.workflow.deciding import decide

    seal = desk.signer.state.add_seal(seal=2)
    form, approver = desk.submit(seal), desk.human("approver")

    def attempt(_: int) -> Code | None:
        try:
            decide(desk, form, approver)
        except VermilionError as fault:
            return fault.code
        return None

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(attempt, range(4)))
    assert codes.count(None) == 1
    assert codes.count(Code.CONFLICT) == 3
