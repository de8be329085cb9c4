"""Brings a service's database to its newest schema when the service starts: Alembic, run in code, without an alembic.ini.

The scripts are package data under ``migrations/<service>``; their ``env.py`` is one line, ``run(context)``.
"""

from __future__ import annotations

import threading
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write

_ADVISORY_LOCK = 0x5645_524D  # "VERM": replicas that start together upgrade one after the other
_one_at_a_time = threading.Lock()  # Alembic keeps its running environment in module globals


def scripts(service: str) -> Path:
    """Where the migration scripts of ``service`` lie, in a checkout as in an installed wheel."""
    return Path(str(resources.files("migrations"))) / service


def upgrade(engine: Engine, script_location: Path) -> None:
    """Upgrades to head in one transaction: after a crash the database has the old schema or the new one, nothing between.

    Raises DATABASE_NEWER for a database that a later release has upgraded, which stays as it is.
    """
    known = sorted(script.stem.partition("_")[0] for script in (script_location / "versions").glob("[0-9]*.py"))
    if _revisions(engine, script_location.name, known) == known[-1:]:
        return  # as at nearly every start, which Alembic would double
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    with _one_at_a_time, write(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # another replica's upgrade takes as long as it takes
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revisions(engine: Engine, service: str, known: list[str]) -> list[str]:
    """The database's revision, by which the scripts' names begin; none for an empty one. DATABASE_NEWER where no script has it."""
    with read(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return []
        found = list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    for revision in found:
        if revision not in known:
            reason = f"the database of the {service} is at schema {revision[:40]}, of a later release; this one ends at {known[-1]}"
            raise VermilionError(Code.DATABASE_NEWER, reason)
    return found


def run(context: Any) -> None:
    """The whole of an ``env.py``: migrates on the connection that ``upgrade`` opened, inside its transaction."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, render_as_batch=connection.dialect.name == "sqlite")
    context.run_migrations()
