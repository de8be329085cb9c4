"""Who holds a SAN URI (PROTOCOL "Keys and trust": one holder a URI).

A holder's certificates succeed one another: each is issued on the word of the ceremony or of an act, or renews one before it that is in
force. They are put on hold and revoked together, so that a stolen key does not outlive its revocation by having renewed itself.
All of it is read and written under one lock, the storing of a signed certificate too: the rows of the infrastructure CA's generations
in ``issuers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from ca.instants import to_text
from ca.tables import State, certificates, issuers
from sealcore.errors import Code, VermilionError

ROLE: Final = "infrastructure"
_RULE: Final = "A URI has one holder: a second one needs the first one's end, by revocation or expiry."
_IN_FORCE: Final = (State.ISSUED, State.HELD)


@dataclass(frozen=True)
class Ceremony:
    """Issued by whoever holds the CA's token on the office's own machine. A URI that has a holder keeps it."""


@dataclass(frozen=True)
class Approved:
    """Issued on an approved act: a new holder.

    since  NumericDate of the act's first approval: whoever gave it knows nothing of holders who came or went later
    """

    since: int | None = None


@dataclass(frozen=True)
class Renewal:
    """Issued to whoever shows the certificate of this serial number (lower hex), which must be in force when the row is written."""

    serial: str


Claim = Ceremony | Approved | Renewal
CEREMONY: Final = Ceremony()


def lock(connection: Connection) -> None:
    """From here to the transaction's end nobody else gives, renews or ends a holder."""
    named = or_(issuers.c.name == ROLE, issuers.c.name.like(f"{ROLE}.%"))
    connection.execute(select(issuers.c.name).where(named).order_by(issuers.c.name).with_for_update())


def claimed(connection: Connection, uri: str, claim: Claim, *, serial: str, now: datetime) -> str:
    """The holder under whom a certificate for ``uri`` is recorded; CONFLICT, CERTIFICATE_REVOKED. Behind ``lock``."""
    if isinstance(claim, Renewal):
        return _renewed(connection, claim)
    same = certificates.c.uri == uri.lower()
    query = select(certificates.c.holder, certificates.c.serial).where(
        same, certificates.c.state.in_(_IN_FORCE), certificates.c.not_after > to_text(now)
    )
    present = connection.execute(query.order_by(certificates.c.issued_at.desc())).first()
    if isinstance(claim, Ceremony):
        return present.holder if present is not None else serial
    if present is not None:
        raise VermilionError(Code.CONFLICT, f"{uri} has a holder: the certificate {present.serial} is in force", rule=_RULE)
    if claim.since is not None:
        _require_unchanged(connection, same, claim.since)
    # What another act has begun for this URI and not finished loses its row (``ca.record.store``): one of the two is stored.
    begun = update(certificates).where(same, certificates.c.state == State.RECORDED)
    connection.execute(begun.values(state=State.ABANDONED))
    return serial


def _require_unchanged(connection: Connection, same: ColumnElement[bool], since: int) -> None:
    """CONFLICT when a certificate of this URI was issued, held or revoked after the act was approved."""
    at, columns = to_text(datetime.fromtimestamp(since, UTC)), (certificates.c.issued_at, certificates.c.held_at, certificates.c.revoked_at)
    later = select(certificates.c.serial).where(same, or_(*(column > at for column in columns)))
    if (serial := connection.execute(later).scalars().first()) is not None:
        reason = f"the certificate {serial} of this URI was issued, held or revoked after the act was approved: look again, and apply anew"
        raise VermilionError(Code.CONFLICT, reason, rule=_RULE)


def _renewed(connection: Connection, claim: Renewal) -> str:
    query = select(certificates.c.holder).where(certificates.c.serial == claim.serial, certificates.c.state == State.ISSUED)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate {claim.serial} is not in force: it renews nothing")
    return str(row.holder)


def others(connection: Connection, row: Row[Any], now: datetime) -> Sequence[Row[Any]]:
    """The other certificates of this one's holder that are in force. Behind ``lock``.

    Those that were recorded and not signed yet are abandoned: they leave no more.
    """
    if row.holder is None:
        return ()
    same = (certificates.c.holder == row.holder) & (certificates.c.serial != row.serial)
    connection.execute(update(certificates).where(same, certificates.c.state == State.RECORDED).values(state=State.ABANDONED))
    wanted = select(certificates).where(same, certificates.c.state.in_(_IN_FORCE), certificates.c.not_after > to_text(now))
    return connection.execute(wanted.order_by(certificates.c.serial)).all()
