"""Attachments of acts, the units that a client may apply for, and who closed a refused delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "form_attachments",
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["forms.number"], name=op.f("fk_form_attachments_number")),
        sa.PrimaryKeyConstraint("number", "sha256", name=op.f("pk_form_attachments")),
    )
    op.create_table(
        "client_units",
        sa.Column("client", sa.String(length=36), nullable=False),
        sa.Column("unit", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["client"], ["clients.id"], name=op.f("fk_client_units_client")),
        sa.ForeignKeyConstraint(["unit"], ["units.code"], name=op.f("fk_client_units_unit")),
        sa.PrimaryKeyConstraint("client", "unit", name=op.f("pk_client_units")),
    )
    op.execute("INSERT INTO client_units (client, unit) SELECT id, unit FROM clients")
    op.add_column("outbox", sa.Column("closed", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("closed_by", sa.String(length=36), nullable=True))
    op.add_column("outbox", sa.Column("closed_reason", sa.Text(), nullable=True))
