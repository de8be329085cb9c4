"""The first certificate of the line of renewals that each certificate belongs to.

For existing certificates this is not known, because operators used to be able to have any URI certified. Each starts a line of its own.
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
