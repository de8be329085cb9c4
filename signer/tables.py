"""The signer's database: the register with its acts, tokens seen, uses, stored suffixes, and the ledger.

Locks are always taken in the order of the tables below, the ledger's head last; so no two transactions can wait for each other
in a circle.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, LargeBinary, MetaData, Row, SmallInteger, String, Table, Text, text

from sealcore.platform.ledger import store

metadata = MetaData()

# A token as it first came: evidence for its uses, and who owns them.
tokens = Table(
    "tokens",
    metadata,
    Column("jti", String(36), primary_key=True),
    Column("jws", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("seal", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("kind", String(8), nullable=False),  # manifest, grant
    Column("first_seen_us", BigInteger, nullable=False),
)

# One row: the number of acts. Locked first by every change of the register.
register_head = Table(
    "register_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("acts", BigInteger, nullable=False),
)

# Everything that ever changed the register, each act with the signatures that allowed it.
register_acts = Table(
    "register_acts",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("evidence", Text, nullable=False),  # RFC 8785 JSON
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("jti", String(36), nullable=True, unique=True),
    Column("time_us", BigInteger, nullable=False),
    Column("ledger_index", BigInteger, nullable=False),
)

# The register that follows from the acts. Compared with them at every start.
register_records = Table(
    "register_records",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("value", Text, nullable=False),  # RFC 8785 JSON
)

# Pictures and templates, by the SHA-256 that acts name.
attachments = Table(
    "attachments",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# Raised by every act that takes something away, and read again by Commit under a lock. Kinds: seal, grant, client, person, issuer,
# template. Derived from the acts; a row exists from the first use on, because only a row can be locked.
epochs = Table(
    "epochs",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

# No index has a column that Commit changes, so that PostgreSQL writes the new row into the same page and touches no index (HOT).
uses = Table(
    "uses",
    metadata,
    Column("jti", String(36), primary_key=True),
    Column("use_index", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(8), nullable=False),  # intended, sealed, voided
    Column("binding", LargeBinary, nullable=False),  # hash of the bytes and marks that this use is for
    Column("salt", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("attempt", Integer, nullable=False),  # the fence: raised by every takeover
    Column("owner", Text, nullable=False),  # instance/boot/worker/intend
    Column("lease_until_us", BigInteger, nullable=False),
    Column("frozen", Text, nullable=False),  # JSON: all that shapes the bytes
    Column("ledger_index", BigInteger, nullable=True),
    Column("sealed_sha256", LargeBinary, nullable=True),
    Column("warnings", Text, nullable=True),  # JSON; NULL: none
    Column("ended_us", BigInteger, nullable=True),
    Column("acknowledged", SmallInteger, nullable=False),  # 0 no, 1 yes, 2 yes and the bytes are gone
)
_HELD = text("acknowledged = 1")
Index("ix_uses_acknowledged", uses.c.jti, uses.c.use_index, sqlite_where=_HELD, postgresql_where=_HELD)

# The appended bytes, by ledger index: apart from ``uses`` so that its rows stay small, and in the ledger's order so that inserts
# only append. ``packing`` defines their form.
suffixes = Table(
    "suffixes",
    metadata,
    Column("ledger_index", store.ORDINAL, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

# What many suffixes have in common, by its SHA-256: the certificates of seals and timestamps. Never deleted; there are a few for each
# certificate.
suffix_parts = Table(
    "suffix_parts",
    metadata,
    Column("name", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# The newest answer of an outside CA about each certificate of a seal, as that CA signed it (``signer.status``).
certificate_status = Table(
    "certificate_status",
    metadata,
    Column("certificate_sha256", LargeBinary, primary_key=True),
    Column("kind", String(4), nullable=False),  # ocsp, crl
    Column("answer", LargeBinary, nullable=False),
    Column("this_update_us", BigInteger, nullable=False),
)

# Documents over which two workers died: refused from then on (``signer.front.fatal``).
fatal_documents = Table(
    "fatal_documents",
    metadata,
    Column("document_sha256", LargeBinary, primary_key=True),
    Column("noted_us", BigInteger, nullable=False),
)

ledger = store.tables(metadata)


class UseKey(NamedTuple):
    """What names a row of ``uses``."""

    jti: str
    use_index: int


AnyRow = Row[*tuple[Any, ...]]
"""A row of whatever columns were selected."""


def insert_missing(connection: Connection, table: Table, rows: list[dict[str, object]]) -> None:
    """Inserts those ``rows`` whose primary key does not exist yet; existing rows stay unchanged."""
    if not rows:
        return
    insert = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert
    connection.execute(insert(table).on_conflict_do_nothing(), rows)
