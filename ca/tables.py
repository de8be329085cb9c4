"""The CA's database: certificates, CRLs, acts, restores, OCSP answers, and what the ledger has still to be told. Migrations make the tables.

Instants are RFC 3339 text in UTC with whole seconds: the same in both databases, and in order when compared as text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

metadata = MetaData()

ONE_OF_ITS_OWN: Final = "state <> 'abandoned' AND profile NOT IN ('cross-root', 'cross-issuing')"


class State(StrEnum):
    """Where a certificate stands.

    RECORDED   built and linted; may have been signed, has not left
    ISSUED     signed and stored
    REVOKED    on the next CRL and all later ones
    HELD       on the CRL with the reason certificateHold, until it is released or revoked
    ABANDONED  a recorded one whose signing never ended; its serial number is never used again
    """

    RECORDED = "recorded"
    ISSUED = "issued"
    REVOKED = "revoked"
    HELD = "held"
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
    Column("invalidity_date", String(20)),  # since when the key is known or suspected not to be safe (RFC 5280 §5.3.2)
    Column("held_at", String(20)),  # of a certificate that is on hold, or that was when it was revoked
    Column("uri", String(300)),  # the SAN URI of an mTLS identity, in lower case: two that differ in case alone are one to a reader
    Column("lineage", String(40)),  # the serial number of the certificate that its renewals began with
    Column("holder", String(40)),  # of the URI: the serial number of the holder's first certificate (ca.holders)
    Column("renewal", Integer, nullable=False, server_default="0"),  # how many certificates its key had before; above 0 for "ocsp" alone
    # one key, one certificate: a second one, also under another CA, is refused by the database itself
    Index(
        "certificates_key",
        "spki_sha256",
        "renewal",
        unique=True,
        sqlite_where=text(ONE_OF_ITS_OWN),
        postgresql_where=text(ONE_OF_ITS_OWN),
    ),
    # an authority's key has cross certificates beside its own, one by each generation of the root at most
    Index(
        "certificates_key_issuer",
        "spki_sha256",
        "issuer",
        "renewal",
        unique=True,
        sqlite_where=text("state <> 'abandoned'"),
        postgresql_where=text("state <> 'abandoned'"),
    ),
    Index("certificates_issuer_state", "issuer", "state"),
    Index("certificates_uri", "uri"),
    Index("certificates_holder", "holder"),
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
    Column("crl_due", Boolean, nullable=False),  # a change is not on any CRL yet
    Column("due_since", String(20)),  # when the oldest such change was recorded
)

acts = Table(
    "acts",
    metadata,
    Column("id", String(36), primary_key=True),  # the approval token's jti, so that each token counts once; else a new UUIDv7
    Column("evidence", Text, nullable=False),  # RFC 8785 JSON: the token, or what was done and by whom; the ledger knows its hash
    Column("issuer", String(32), nullable=False),  # of the certificate that was changed; empty for a restore
    Column("serial", String(40), nullable=False),
    Column("performed_at", String(20), nullable=False),
    Column("crl_number", Integer),  # of the CRL that shows it, once there is one
)

restores = Table(
    "restores",
    metadata,
    Column("act", String(36), primary_key=True),  # its row in ``acts``
    Column("restored_at", String(20), nullable=False),  # approval tokens in which anything is dated before it do not count
)

ocsp_answers = Table(
    "ocsp_answers",
    metadata,
    Column("issuer", String(32), primary_key=True),
    Column("serial", String(40), primary_key=True),
    Column("this_update", String(20), nullable=False),
    Column("next_update", String(20), nullable=False),
    Column(
        "status", String(100), nullable=False
    ),  # what the answer says, as ca.ocsp.record puts it: an answer that says otherwise is stale
    Column("response_sha1", LargeBinary, nullable=False),  # OCSPResponse (RFC 6960 §4.2.1) about a CertID with SHA-1
    Column("response_sha256", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("idempotency_key", String(80), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("subject_sha256", LargeBinary(32), nullable=False),
    Column("form", String(40), nullable=False, server_default=""),  # form, people and policy: the ledger commits to them
    Column("people", String, nullable=False, server_default=""),
    Column("policy", String(80), nullable=False, server_default=""),
    Column("ledger_index", Integer),  # once the ledger has it
    Index("outbox_waiting", "position", sqlite_where=text("ledger_index IS NULL"), postgresql_where=text("ledger_index IS NULL")),
)
