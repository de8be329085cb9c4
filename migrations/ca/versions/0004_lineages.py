"""From which certificate each came by renewals.

Of those that are on record nobody knows: an operator could once have one for any URI. Each counts as the first of its line.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("certificates", sa.Column("lineage", sa.String(40)))
    op.execute("UPDATE certificates SET lineage = serial WHERE uri IS NOT NULL")
