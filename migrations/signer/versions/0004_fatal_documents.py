"""Documents over which two workers have died, and which are refused from then on (ADR 18)."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fatal_documents",
        sa.Column("document_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("noted_us", sa.BigInteger, nullable=False),
    )
