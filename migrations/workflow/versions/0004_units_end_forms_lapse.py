"""Units end, and open forms lapse at the end of their term, which stands beside them now."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("units", sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("forms", sa.Column("expires", sa.BigInteger(), nullable=True))
    forms = sa.table(
        "forms", sa.column("number", sa.String), sa.column("state", sa.String), sa.column("context", sa.Text), sa.column("expires")
    )
    connection = op.get_bind()
    waiting = connection.execute(sa.select(forms.c.number, forms.c.context).where(forms.c.state == "applied")).all()
    for number, context in waiting:
        connection.execute(sa.update(forms).where(forms.c.number == number).values(expires=json.loads(context)["exp"]))
    op.create_index("ix_forms_state_expires", "forms", ["state", "expires"])
