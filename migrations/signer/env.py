"""Alembic's entry point; everything is in ``sealcore.migrate``."""

from alembic import context

from sealcore.migrate import run

run(context)
