"""The CA's schema comes from its migrations, the same on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from ca.tables import metadata
from sealcore.db import connect, read
from sealcore.migrate import scripts, upgrade


def test_migrations_make_exactly_the_tables_that_the_code_uses(database_url: str) -> None:
    engine = connect(database_url)
    upgrade(engine, scripts("ca"))
    with read(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_upgrade_may_run_at_every_start_and_by_several_at_once(database_url: str) -> None:
    engines = [connect(database_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda engine: upgrade(engine, scripts("ca")), engines))
    upgrade(engines[0], scripts("ca"))
    assert {"certificates", "crls", "issuers", "outbox"} <= set(inspect(engines[0]).get_table_names())
