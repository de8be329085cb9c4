"""Certificates, CRLs and the ledger's outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("names_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("spki_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("not_before", sa.String(20), nullable=False),
        sa.Column("not_after", sa.String(20), nullable=False),
        sa.Column("tbs", sa.LargeBinary, nullable=False),
        sa.Column("certificate", sa.LargeBinary),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("recorded_at", sa.String(20), nullable=False),
        sa.Column("issued_at", sa.String(20)),
        sa.Column("revoked_at", sa.String(20)),
        sa.Column("reason", sa.String(32)),
    )
    live = sa.text("state <> 'abandoned'")
    op.create_index("certificates_key", "certificates", ["spki_sha256"], unique=True, sqlite_where=live, postgresql_where=live)
    op.create_index("certificates_issuer_state", "certificates", ["issuer", "state"])
    op.create_table(
        "crls",
        sa.Column("issuer", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("this_update", sa.String(20), nullable=False),
        sa.Column("next_update", sa.String(20), nullable=False),
        sa.Column("crl", sa.LargeBinary, nullable=False),
    )
    issuers = op.create_table(
        "issuers",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("crl_number", sa.Integer, nullable=False),
        sa.Column("crl_due", sa.Boolean, nullable=False),
    )
    op.bulk_insert(issuers, [{"name": name, "crl_number": 0, "crl_due": True} for name in ("root", "seals", "infrastructure")])
    op.create_table(
        "outbox",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("idempotency_key", sa.String(80), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("ledger_index", sa.Integer),
    )
    waiting = sa.text("ledger_index IS NULL")
    op.create_index("outbox_waiting", "outbox", ["position"], sqlite_where=waiting, postgresql_where=waiting)
