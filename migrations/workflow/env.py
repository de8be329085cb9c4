"""Alembic's entry point; everything is in ``sealcore.platform.migrate``."""

from alembic import context

from sealcore.platform.migrate import run

run(context)
