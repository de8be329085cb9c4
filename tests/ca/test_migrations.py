"""The CA's schema comes from its migrations, the same on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from cryptography.x509.oid import NameOID
from sqlalchemy import MetaData, Table, insert, inspect, select

from ca.issuance.holders import contested
from ca.tables import certificates, metadata
from sealcore.ids import client_uri
from sealcore.platform.db import connect, read, write
from sealcore.platform.migrate import scripts, upgrade
from tests.ca.office import Desk, software_request


def test_migrations_make_exactly_the_tables_that_the_code_uses(database_url: str) -> None:
    engine = connect(database_url)
    upgrade(engine, scripts("ca"))
    with read(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_identities_from_before_have_one_holder_a_uri(database_url: str, desk: Desk) -> None:
    """An office at revision 0002, with two certificates of one client, one of another, and a seal."""
    uris = [client_uri("Old-A"), client_uri("Old-A"), client_uri("old-b"), ""]
    made = [desk.issue("client" if uri else "seal", software_request((NameOID.COMMON_NAME, "x")), uri=uri) for uri in uris]
    serials = [f"{one.serial_number:x}" for one in made]
    engine = connect(database_url)
    config = Config()
    config.set_main_option("script_location", str(scripts("ca")))
    with write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        old = Table("certificates", MetaData(), autoload_with=connection)
        with read(desk.engine) as present:
            rows = present.execute(select(certificates).where(certificates.c.serial.in_(serials))).mappings().all()
        for at, row in enumerate(sorted(rows, key=lambda row: serials.index(row["serial"]))):
            kept = {name: row[name] for name in old.c.keys()}  # noqa: SIM118  (a collection of columns, not a mapping)
            connection.execute(insert(old).values(kept | {"recorded_at": f"2026-01-01T00:00:0{at}Z"}))
    upgrade(engine, scripts("ca"))
    with read(engine) as connection:
        found = {row.serial: (row.uri, row.holder) for row in connection.execute(select(certificates))}
        several = contested(connection, desk.clock.now())
    a, b = client_uri("old-a"), client_uri("old-b")
    assert found == dict(zip(serials, [(a, serials[0]), (a, serials[0]), (b, serials[2]), (None, None)], strict=True))
    assert {uri: sorted(of_uri) for uri, of_uri in several.items()} == {a: sorted(serials[:2])}
    engine.dispose()


def test_upgrade_may_run_at_every_start_and_by_several_at_once(database_url: str) -> None:
    engines = [connect(database_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda engine: upgrade(engine, scripts("ca")), engines))
    upgrade(engines[0], scripts("ca"))
    assert {"certificates", "crls", "issuers", "outbox"} <= set(inspect(engines[0]).get_table_names())
