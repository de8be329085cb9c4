"""The CA's database: certificates, CRLs, and what the ledger has still to be told. The migration makes these tables.

Instants are RFC 3339 text in UTC with whole seconds: the same in both databases, and in order when compared as text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, text

metadata = MetaData()

INSTANT_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


class State(StrEnum):
    """Where a certificate stands.

    RECORDED   built and linted; may have been signed, has not left
    ISSUED     signed and stored
    REVOKED    on the next CRL and all later ones
    ABANDONED  a recorded one whose signing never ended; its serial number is never used again
    """

    RECORDED = "recorded"
    ISSUED = "issued"
    REVOKED = "revoked"
    ABANDONED = "abandoned"


certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),  # lower hex of at most 20 octets
    Column("issuer", String(32), nullable=False),
    Column("profile", String(32), nullable=False),
    Column("subject", String, nullable=False),  # RFC 4514
    Column("names_sha256", LargeBinary(32), nullable=False),  # of subject and SAN: tells whether a request is the same again
    Column("spki_sha256", LargeBinary(32), nullable=False),
    Column("not_before", String(20), nullable=False),
    Column("not_after", String(20), nullable=False),
    Column("tbs", LargeBinary, nullable=False),  # what was linted, byte for byte what is signed
    Column("certificate", LargeBinary),
    Column("state", String(16), nullable=False),
    Column("recorded_at", String(20), nullable=False),
    Column("issued_at", String(20)),
    Column("revoked_at", String(20)),
    Column("reason", String(32)),  # CRLReason (RFC 5280 §5.3.1)
    # one key, one certificate: a second one, also under another CA, is refused by the database itself
    Index(
        "certificates_key",
        "spki_sha256",
        unique=True,
        sqlite_where=text("state <> 'abandoned'"),
        postgresql_where=text("state <> 'abandoned'"),
    ),
    Index("certificates_issuer_state", "issuer", "state"),
)

crls = Table(
    "crls",
    metadata,
    Column("issuer", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("this_update", String(20), nullable=False),
    Column("next_update", String(20), nullable=False),
    Column("crl", LargeBinary, nullable=False),
)

issuers = Table(
    "issuers",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("crl_number", Integer, nullable=False),  # of the newest CRL; the row is locked while one is made
    Column("crl_due", Boolean, nullable=False),  # a revocation is not on any CRL yet
)

outbox = Table(
    "outbox",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("idempotency_key", String(80), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("subject_sha256", LargeBinary(32), nullable=False),
    Column("ledger_index", Integer),  # once the ledger has it
    Index("outbox_waiting", "position", sqlite_where=text("ledger_index IS NULL"), postgresql_where=text("ledger_index IS NULL")),
)


def to_text(instant: datetime) -> str:
    """The column form of an instant; fractions of a second are cut off."""
    return instant.astimezone(UTC).strftime(INSTANT_FORMAT)


def from_text(value: str) -> datetime:
    """The instant behind a column."""
    return datetime.strptime(value, INSTANT_FORMAT).replace(tzinfo=UTC)
