"""The workflow's own database. Nothing in it can approve: tokens need people's signatures and the issuer's key (docs/security.md, "After a break-in")."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

_ID = String(36)
_UNIT = String(16)
_NUMBER = String(40)
_URI = String(300)
_JSON = Text  # RFC 8785 text: compared and hashed as it is, so no database's own JSON type

units = Table(
    "units",
    metadata,
    Column("code", _UNIT, primary_key=True),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),  # one that has ended takes nothing new
)

people = Table(
    "people",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", _UNIT, ForeignKey("units.code"), nullable=False),
    Column("roles", Text, nullable=False),  # names joined by spaces
    Column("public_key", LargeBinary, nullable=False, unique=True),  # one key, one person
    Column("active", Boolean, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("uri", _URI, nullable=False, unique=True),
    Column("unit", _UNIT, ForeignKey("units.code"), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("approved", Boolean, nullable=False, server_default=false()),  # people let it in; an operator alone does not
)

client_units = Table(  # the units that a client may apply for
    "client_units",
    metadata,
    Column("client", _ID, ForeignKey("clients.id"), primary_key=True),
    Column("unit", _UNIT, ForeignKey("units.code"), primary_key=True),
)

policies = Table(
    "policies",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("quorum", Integer, nullable=False),
    Column("seal", _ID),
    Column("action", String(32)),
)

counters = Table(
    "counters",
    metadata,
    Column("unit", _UNIT, ForeignKey("units.code"), primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)

forms = Table(
    "forms",
    metadata,
    Column("number", _NUMBER, primary_key=True),
    Column("jti", _ID, nullable=False, unique=True),
    Column("unit", _UNIT, ForeignKey("units.code"), nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("submitted_by", _URI, nullable=False),
    Column("applicant", _ID, ForeignKey("people.id")),
    Column("context", _JSON, nullable=False),  # what decisions are signed over
    Column("created", BigInteger, nullable=False),
    Column("settled", BigInteger),
    Column("reason", Text, nullable=False),
    Column("token", Text),
    Column("expires", BigInteger),  # of the context, where it is looked for: when an open form lapses
    Index("ix_forms_submitted_by_jti", "submitted_by", "jti"),
    Index("ix_forms_state_jti", "state", "jti"),
    Index("ix_forms_state_expires", "state", "expires"),
)

documents = Table(
    "form_documents",
    metadata,
    Column("number", _NUMBER, ForeignKey("forms.number"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("placement", _JSON, nullable=False),
)

attachments = Table(  # files that an act names, on their way to the signer
    "form_attachments",
    metadata,
    Column("number", _NUMBER, ForeignKey("forms.number"), primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("number", _NUMBER, ForeignKey("forms.number"), primary_key=True),
    Column("person", _ID, ForeignKey("people.id"), primary_key=True),  # each person once
    Column("verdict", String(16), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),  # in which order they came; several may come within a second
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),  # append, perform
    Column("key", String(64), nullable=False),  # idempotency key of an append, jti of a performance
    Column("number", _NUMBER),
    Column("event", String(64), nullable=False),
    Column("body", _JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # pending, done, refused
    Column("ledger_index", BigInteger),
    Column("code", String(64)),
    Column("reason", Text),
    Column("closed", BigInteger),  # when a person closed a refused event, who, and why
    Column("closed_by", _ID),
    Column("closed_reason", Text),
    UniqueConstraint("kind", "key"),
    Index("ix_outbox_state_id", "state", "id"),
    Index("ix_outbox_number_id", "number", "id"),
)
