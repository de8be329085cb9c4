"""Whether people approved a client. Existing clients count as approved: the rules of their time did not ask for it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("approved", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(sa.update(sa.table("clients", sa.column("approved", sa.Boolean))).values(approved=True))
