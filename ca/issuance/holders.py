"""Who holds a SAN URI (docs/protocol.md, "Keys and trust": one holder a URI).

A holder's certificates succeed one another: each is issued on the word of the ceremony or of an act, or renews one before it that is in
force. They are put on hold and revoked together, so that a stolen key does not outlive its revocation by having renewed itself.

Earlier releases issued any URI on an operator's word, and did not record what renewed what: of several certificates of a URI that are in
force nobody can tell which are the right holder's. Each of those begins a lineage of its own. While a URI has several, it is contested, and
none of them renews.
All of it is read and written under one lock, the storing of a signed certificate too: the rows of the infrastructure CA's generations
in ``issuers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, or_, select, update

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


@dataclass(frozen=True)
class Line:
    """Where a certificate belongs: whose it is, and the certificate that its renewals began with (serial numbers)."""

    holder: str | None
    lineage: str | None


NOBODYS: Final = Line(None, None)
"""Of what names no URI."""


def claimed(connection: Connection, uri: str, claim: Claim, *, serial: str, now: datetime) -> Line:
    """Where a certificate for ``uri`` is recorded; CONFLICT, CERTIFICATE_REVOKED. Behind ``lock``."""
    if isinstance(claim, Renewal):
        return _renewed(connection, claim, now)
    # In lower case: services compare URIs, and two that differ in case alone would be two
    # holders of one name.
    same = certificates.c.uri == uri.lower()
    # On hold counts as held: whoever can have a certificate put on hold must not so free its
    # name.
    present = connection.execute(_in_force(now).where(same)).first()
    if isinstance(claim, Ceremony):
        return Line(present.holder, present.lineage) if present is not None else Line(serial, serial)
    if present is not None:
        raise VermilionError(Code.CONFLICT, f"{uri} has a holder: the certificate {present.serial} is in force", rule=_RULE)
    if claim.since is not None:
        _require_unchanged(connection, same, claim.since)
    # What another act has begun for this URI and not finished loses its row (``ca.record.store``): one of the two is stored.
    begun = update(certificates).where(same, certificates.c.state == State.RECORDED)
    connection.execute(begun.values(state=State.ABANDONED))
    return Line(serial, serial)


def _require_unchanged(connection: Connection, same: ColumnElement[bool], since: int) -> None:
    """CONFLICT when a certificate of this URI was issued, held or revoked after the act was approved."""
    at, columns = to_text(datetime.fromtimestamp(since, UTC)), (certificates.c.issued_at, certificates.c.held_at, certificates.c.revoked_at)
    later = select(certificates.c.serial).where(same, or_(*(column > at for column in columns)))
    if (serial := connection.execute(later).scalars().first()) is not None:
        reason = f"the certificate {serial} of this URI was issued, held or revoked after the act was approved: look again, and apply anew"
        raise VermilionError(Code.CONFLICT, reason, rule=_RULE)


def _renewed(connection: Connection, claim: Renewal, now: datetime) -> Line:
    query = select(certificates).where(certificates.c.serial == claim.serial, certificates.c.state == State.ISSUED)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate {claim.serial} is not in force: it renews nothing")
    serials = contested(connection, now).get(row.uri)
    if serials is not None:
        reason = (
            f"{row.uri} is contested: which of the certificates {', '.join(serials[:5])} is its holder's, nobody knows (docs/upgrading.md)"
        )
        raise VermilionError(Code.CONFLICT, reason, rule=_RULE)
    return Line(row.holder, row.lineage)


def _in_force(now: datetime) -> Select[Any]:
    """Oldest first."""
    found = select(certificates).where(certificates.c.state.in_(_IN_FORCE), certificates.c.not_after > to_text(now))
    return found.order_by(certificates.c.issued_at, certificates.c.serial)


def contested(connection: Connection, now: datetime) -> Mapping[str, Sequence[str]]:
    """URIs with certificates of several lineages in force, and their serial numbers, oldest first."""
    held: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(_in_force(now).where(certificates.c.uri.is_not(None))):
        held.setdefault(row.uri, []).append(row)
    return {uri: [row.serial for row in rows] for uri, rows in held.items() if len({row.lineage for row in rows}) > 1}


def others(connection: Connection, row: Row[Any], now: datetime) -> Sequence[Row[Any]]:
    """The other certificates of this one's holder that are in force. Behind ``lock``.

    Those that were recorded and not signed yet are abandoned: they leave no more.
    """
    if row.holder is None:
        return ()
    same = (certificates.c.holder == row.holder) & (certificates.c.serial != row.serial)
    connection.execute(update(certificates).where(same, certificates.c.state == State.RECORDED).values(state=State.ABANDONED))
    return connection.execute(_in_force(now).where(same)).all()
