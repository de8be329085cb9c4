"""Holds and invalidity dates, cross certificates, acts ordered by approval tokens, restores, pre-signed OCSP answers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("certificates", sa.Column("invalidity_date", sa.String(20)))
    op.add_column("certificates", sa.Column("held_at", sa.String(20)))
    op.add_column("certificates", sa.Column("renewal", sa.Integer, nullable=False, server_default="0"))
    op.add_column("issuers", sa.Column("due_since", sa.String(20)))
    for name, width in (("form", 40), ("people", None), ("policy", 80)):
        op.add_column("outbox", sa.Column(name, sa.String(width), nullable=False, server_default=""))
    op.create_table(
        "acts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("performed_at", sa.String(20), nullable=False),
        sa.Column("crl_number", sa.Integer),
    )
    op.create_table(
        "restores",
        sa.Column("act", sa.String(36), primary_key=True),
        sa.Column("restored_at", sa.String(20), nullable=False),
    )
    op.create_table(
        "ocsp_answers",
        sa.Column("issuer", sa.String(32), primary_key=True),
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("this_update", sa.String(20), nullable=False),
        sa.Column("next_update", sa.String(20), nullable=False),
        sa.Column("status", sa.String(100), nullable=False),
        sa.Column("response_sha1", sa.LargeBinary, nullable=False),
        sa.Column("response_sha256", sa.LargeBinary, nullable=False),
    )
    op.drop_index("certificates_key", "certificates")
    own = sa.text("state <> 'abandoned' AND profile NOT IN ('cross-root', 'cross-issuing')")
    op.create_index("certificates_key", "certificates", ["spki_sha256", "renewal"], unique=True, sqlite_where=own, postgresql_where=own)
    live = sa.text("state <> 'abandoned'")
    op.create_index(
        "certificates_key_issuer",
        "certificates",
        ["spki_sha256", "issuer", "renewal"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
