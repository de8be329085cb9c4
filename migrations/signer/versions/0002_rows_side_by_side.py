"""Fewer indexes and smaller rows on the way of a document.

Suffixes are packed and stand by ledger index; signatures are indexed block by block; salts are binary; what can be computed from
an entry is not stored beside it.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHUNK = 500
SALTS = ("form", "people", "policy")
ORDINAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _suffixes()
    _uses()
    _entries()
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE uses SET (fillfactor = 45)")  # room for the row that Commit writes beside the old one
        # Signatures do not compress. What fits a page stays in the row; a TOAST table would cut it into pieces of 2 kB.
        op.execute("ALTER TABLE suffixes ALTER COLUMN content SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE suffixes SET (toast_tuple_target = 8160)")


def _suffixes() -> None:
    """By ledger index; each gets the byte that says that it is stored as it is."""
    op.rename_table("suffixes", "suffixes_before")
    op.create_table(
        "suffixes",
        sa.Column("ledger_index", ORDINAL, nullable=False, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("ledger_index", name="suffixes_by_entry"),
    )
    connection, start = op.get_bind(), -1
    wanted = sa.text(
        "SELECT u.ledger_index AS place, s.content FROM uses u JOIN suffixes_before s ON s.jti = u.jti AND s.use_index = u.use_index"
        " WHERE u.ledger_index > :start ORDER BY u.ledger_index LIMIT :count"
    )
    while rows := connection.execute(wanted, {"start": start, "count": CHUNK}).all():
        connection.execute(
            sa.text("INSERT INTO suffixes (ledger_index, content) VALUES (:place, :content)"),
            [{"place": row.place, "content": b"\x00" + bytes(row.content)} for row in rows],
        )
        start = rows[-1].place
    op.drop_table("suffixes_before")


def _uses() -> None:
    kept = (
        "jti, use_index, state, binding, salt, leaf_hash, attempt, owner, lease_until_us, frozen, ledger_index, sealed_sha256, warnings,"
        " ended_us"
    )
    op.rename_table("uses", "uses_before")
    op.create_table(
        "uses",
        sa.Column("jti", sa.String(36), nullable=False),
        sa.Column("use_index", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("binding", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger, nullable=False),
        sa.Column("frozen", sa.Text, nullable=False),
        sa.Column("ledger_index", sa.BigInteger, nullable=True),
        sa.Column("sealed_sha256", sa.LargeBinary, nullable=True),
        sa.Column("warnings", sa.Text, nullable=True),
        sa.Column("ended_us", sa.BigInteger, nullable=True),
        sa.Column("acknowledged", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("jti", "use_index", name="uses_by_token"),
    )
    acknowledged = "CASE WHEN NOT acknowledged THEN 0 WHEN ledger_index IN (SELECT ledger_index FROM suffixes) THEN 1 ELSE 2 END"
    op.execute(f"INSERT INTO uses ({kept}, acknowledged) SELECT {kept}, {acknowledged} FROM uses_before")  # noqa: S608
    op.drop_table("uses_before")
    held = sa.text("acknowledged = 1")
    op.create_index("ix_uses_acknowledged", "uses", ["jti", "use_index"], sqlite_where=held, postgresql_where=held)


def _entries() -> None:
    op.rename_table("ledger_entries", "ledger_entries_before")
    for column in ("form", "jti", "signature_hash"):
        op.drop_index(f"ix_ledger_entries_{column}", "ledger_entries_before")
    op.create_table(
        "ledger_entries",
        sa.Column("index", ORDINAL, nullable=False, autoincrement=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("form", sa.String(64), nullable=True),
        sa.Column("jti", sa.String(36), nullable=True),
        sa.Column("signature_key", sa.BigInteger, nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("salts", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("index", name="ledger_entries_in_order"),
    )
    connection, start = op.get_bind(), -1
    before = sa.table(
        "ledger_entries_before",
        *(sa.column(name) for name in ("index", "entry", "kind", "form", "jti", "signature_hash", "idempotency_key", "salts")),
    )
    names = ("index", "entry", "kind", "form", "jti", "signature_key", "idempotency_key", "salts")
    after = sa.table("ledger_entries", *(sa.column(name) for name in names))
    wanted = sa.select(before).order_by(before.c.index).limit(CHUNK)
    while rows := connection.execute(wanted.where(before.c.index > start)).mappings().all():
        connection.execute(sa.insert(after), [_entry(row) for row in rows])
        start = rows[-1]["index"]
    op.drop_table("ledger_entries_before")
    for column, unique in (("form", False), ("signature_key", False), ("idempotency_key", True)):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_ledger_entries_{column}", "ledger_entries", [column], unique=unique, sqlite_where=there, postgresql_where=there
        )


def _entry(row: Any) -> dict[str, Any]:
    """Blocks of 4096 entries, then the first 32 bits of the hash; and one byte that says which salts follow."""
    salts, signature = json.loads(row["salts"]), row["signature_hash"]
    head = sum(1 << bit for bit, name in enumerate(SALTS) if name in salts)
    kept = {name: row[name] for name in ("index", "entry", "kind", "form", "jti", "idempotency_key")}
    return {
        **kept,
        "signature_key": None if signature is None else (row["index"] >> 12) << 32 | int.from_bytes(signature[:4], "big"),
        "salts": bytes((head,)) + b"".join(bytes.fromhex(salts[name]) for name in SALTS if name in salts),
    }
