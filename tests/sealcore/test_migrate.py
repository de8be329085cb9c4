"""Bringing databases to their newest schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, read, write
from sealcore.platform.migrate import scripts, upgrade

SERVICES = ("ca", "signer", "workflow")
_START = """
import sys
from pathlib import Path
from sealcore.platform.db import connect
from sealcore.platform.migrate import scripts, upgrade
upgrade(connect(sys.argv[1]), Path(sys.argv[2]))
print("alembic" in sys.modules)
"""


@pytest.mark.parametrize("service", SERVICES)
def test_scripts_are_named_by_their_revisions_and_the_last_is_the_head(service: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts(service)))
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    names = sorted(Path(one.path).stem.partition("_")[0] for one in revisions)
    assert names == sorted(one.revision for one in revisions)
    assert ScriptDirectory.from_config(config).get_current_head() == names[-1]


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_at_the_newest_schema_starts_without_alembic(service: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", _START, f"sqlite:///{tmp_path / 'some.db'}", str(scripts(service))]
    said = [subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip() for _ in range(2)]
    assert said == ["True", "False"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_of_a_later_release_is_refused_by_name_and_stays_as_it_is(service: str, database_url: str) -> None:
    engine = connect(database_url)
    upgrade(engine, scripts(service))
    with write(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("CREATE TABLE of_a_later_release (id integer)"))
    with pytest.raises(VermilionError, match="9999") as refused:
        upgrade(engine, scripts(service))
    assert refused.value.code is Code.DATABASE_NEWER
    with read(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
        assert inspect(connection).has_table("of_a_later_release")
    engine.dispose()
