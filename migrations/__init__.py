"""Database migrations, one Alembic environment for each service; see ``sealcore.platform.migrate``."""
