"""Tokens, register, uses, suffixes, ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("jti", sa.String(36), primary_key=True),
        sa.Column("jws", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("seal", sa.Text, nullable=False),
        sa.Column("sub", sa.Text, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("first_seen_us", sa.BigInteger, nullable=False),
    )
    _register()
    op.create_table(
        "uses",
        sa.Column("jti", sa.String(36), primary_key=True),
        sa.Column("use_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("binding", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger, nullable=False),
        sa.Column("frozen", sa.Text, nullable=False),
        sa.Column("ledger_index", sa.BigInteger, nullable=True, unique=True),
        sa.Column("ledger_leaf_hash", sa.LargeBinary, nullable=True),
        sa.Column("sealed_sha256", sa.LargeBinary, nullable=True),
        sa.Column("warnings", sa.Text, nullable=True),
        sa.Column("ended_us", sa.BigInteger, nullable=True),
        sa.Column("acknowledged", sa.Boolean, nullable=False),
    )
    op.create_table(
        "suffixes",
        sa.Column("jti", sa.String(36), primary_key=True),
        sa.Column("use_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    _ledger()


def _register() -> None:
    op.create_table(
        "register_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("acts", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "register_acts",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("jti", sa.String(36), nullable=True, unique=True),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("ledger_index", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "register_records",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "attachments",
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "epochs",
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )


def _ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("form", sa.String(64), nullable=True, index=True),
        sa.Column("jti", sa.String(36), nullable=True, index=True),
        sa.Column("signature_hash", sa.LargeBinary(32), nullable=True, index=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True, unique=True),
        sa.Column("salts", sa.Text, nullable=False),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
    )
