"""The status of seal certificates from outside CAs, as those CAs signed it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "certificate_status",
        sa.Column("certificate_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("this_update_us", sa.BigInteger, nullable=False),
    )
