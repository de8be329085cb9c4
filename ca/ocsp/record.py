"""What the CA's record says of a serial number, and the pre-signed answers beside it.

An answer is kept with the status that it tells. A lookup reads both at once: an answer that tells something else than the record
is not handed out, however short a time ago the record changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import URL, ColumnElement, Engine, Row, and_, delete, func, insert, make_url, or_, select

from ca.instants import from_text, to_text
from ca.names import IssuerName
from ca.record import serial_text
from ca.tables import State, certificates, ocsp_answers
from sealcore.platform.db import connect, read, write

TOLD: Final = (State.ISSUED, State.REVOKED, State.HELD)
"""The states of certificates that have left the CA. All others are unknown to the world, and so to our answers."""

_STATUS_PARTS: Final = (
    certificates.c.state,
    certificates.c.revoked_at,
    certificates.c.reason,
    certificates.c.held_at,
    certificates.c.invalidity_date,
)
_STATUS: Final[ColumnElement[str]] = reduce(
    lambda text, column: text + "|" + func.coalesce(column, ""), _STATUS_PARTS[1:], _STATUS_PARTS[0].expression
)


@dataclass(frozen=True)
class Standing:
    """What an answer says of one certificate (RFC 6960 §2.2).

    text       the same in short, as it is kept beside an answer
    not_after  the certificate's end; None for an unknown serial number
    """

    serial: int
    kind: Literal["good", "revoked", "unknown"]
    since: datetime | None = None
    reason: str | None = None
    invalidity_date: datetime | None = None
    text: str = ""
    not_after: datetime | None = None


@dataclass(frozen=True)
class Kept:
    """A pre-signed answer about one certificate: an OCSPResponse for each hash of a CertID."""

    standing: Standing
    this_update: datetime
    next_update: datetime
    responses: tuple[bytes, bytes]  # in the order of PRESIGNED_HASHES


@dataclass(frozen=True)
class Freshness:
    """How the answers of one CA stand.

    waiting   certificates without a current answer: none, a lapsed one, or one that tells an old status
    lapses    when the first of the answers lapses; None when there is none
    """

    waiting: int
    lapses: datetime | None


def open_record(database_url: str, answers_file: Path) -> Engine:
    """The CA's record, only to be read, with the answers beside it; raises DATABASE_UNAVAILABLE.

    On SQLite the answers have a file of their own and the CA's is opened for reading alone: whoever takes the responder over changes
    nothing that the CA goes by. On PostgreSQL the account's rights say the same: it may change ``ocsp_answers``, and read ``certificates``.
    """
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return connect(database_url)
    assert url.database is not None, "a CA's database is a file"
    own_url = URL.create("sqlite", database=str(answers_file)).render_as_string()
    own = connect(own_url, pool_size=1)
    with write(own) as connection:  # they can be made anew at any time: no migrations
        ocsp_answers.create(connection, checkfirst=True)
    own.dispose()
    return connect(own_url, reads=Path(url.database).absolute())


class AnswerRecord:
    """What ``open_record`` opens, as the responder uses it. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def look_up(self, issuer: IssuerName, serial: int) -> tuple[Standing, Kept | None]:
        """How the certificate stands now, and the answer that says just that, if one is kept."""
        wanted = _joined(issuer).where(certificates.c.serial == serial_text(serial))
        with read(self._engine) as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            return Standing(serial, "unknown"), None
        standing = _standing(row)
        if row.response_sha1 is None or row.answered != row.standing:
            return standing, None
        kept = (bytes(row.response_sha1), bytes(row.response_sha256))
        return standing, Kept(standing, from_text(row.this_update), from_text(row.next_update), kept)

    def due(self, issuer: IssuerName, *, keeps_expired: bool, lapsing_before: datetime, now: datetime, most: int) -> Sequence[Standing]:
        """Certificates that need a new answer, changed ones first: none is kept, it tells an old status, or it lapses before then."""
        old = ocsp_answers.c.next_update < to_text(lapsing_before)
        changed = or_(ocsp_answers.c.serial.is_(None), ocsp_answers.c.status != _STATUS)
        wanted = _joined(issuer).where(or_(changed, old), *_answered_for(keeps_expired, now))
        wanted = wanted.order_by(changed.desc(), ocsp_answers.c.this_update).limit(most)
        with read(self._engine) as connection:
            return [_standing(row) for row in connection.execute(wanted)]

    def keep(self, issuer: IssuerName, answers: Sequence[Kept]) -> None:
        """Keeps these in the place of what was there about the same certificates."""
        rows = [
            {
                "issuer": issuer,
                "serial": serial_text(one.standing.serial),
                "status": one.standing.text,
                "this_update": to_text(one.this_update),
                "next_update": to_text(one.next_update),
                "response_sha1": one.responses[0],
                "response_sha256": one.responses[1],
            }
            for one in answers
        ]
        with write(self._engine) as connection:
            serials = [serial_text(one.standing.serial) for one in answers]
            connection.execute(delete(ocsp_answers).where(ocsp_answers.c.issuer == issuer, ocsp_answers.c.serial.in_(serials)))
            connection.execute(insert(ocsp_answers), rows)

    def freshness(self, issuer: IssuerName, *, keeps_expired: bool, now: datetime) -> Freshness:
        """How many certificates have no current answer, and when the first answer lapses."""
        bad = or_(ocsp_answers.c.serial.is_(None), ocsp_answers.c.status != _STATUS, ocsp_answers.c.next_update <= to_text(now))
        columns = (func.count().filter(bad), func.min(ocsp_answers.c.next_update))
        wanted = _joined(issuer, *columns).where(*_answered_for(keeps_expired, now))
        with read(self._engine) as connection:
            waiting, lapses = connection.execute(wanted).one()
        return Freshness(waiting, from_text(lapses) if lapses is not None else None)


def _joined(issuer: IssuerName, *columns: Any) -> Any:
    """The certificates of this CA that have left it, each with its answer, if any."""
    columns = columns or (
        certificates.c.serial,
        *_STATUS_PARTS,
        certificates.c.not_after,
        _STATUS.label("standing"),
        ocsp_answers.c.status.label("answered"),
        ocsp_answers.c.this_update,
        ocsp_answers.c.next_update,
        ocsp_answers.c.response_sha1,
        ocsp_answers.c.response_sha256,
    )
    same = and_(ocsp_answers.c.issuer == certificates.c.issuer, ocsp_answers.c.serial == certificates.c.serial)
    joined = certificates.outerjoin(ocsp_answers, same)
    return select(*columns).select_from(joined).where(certificates.c.issuer == issuer, certificates.c.state.in_(TOLD))


def _answered_for(keeps_expired: bool, now: datetime) -> list[ColumnElement[bool]]:
    return [] if keeps_expired else [certificates.c.not_after >= to_text(now)]


def _standing(row: Row[Any]) -> Standing:
    serial, not_after = int(row.serial, 16), from_text(row.not_after)
    if row.state == State.ISSUED:
        return Standing(serial, "good", text=row.standing, not_after=not_after)
    held = row.state == State.HELD
    return Standing(
        serial,
        "revoked",
        since=from_text(row.held_at if held else row.revoked_at),
        reason="certificateHold" if held else row.reason,
        invalidity_date=from_text(row.invalidity_date) if row.invalidity_date is not None else None,
        text=row.standing,
        not_after=not_after,
    )
