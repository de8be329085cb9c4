"""Revocation, hold and release: recorded with evidence and noted for the ledger in one transaction, then on a CRL at once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from ca.instants import to_text
from ca.issuance import holders
from ca.names import role_of
from ca.record import serial_text
from ca.revocation.change import Change, Kind
from ca.revocation.crl import CrlPublisher
from ca.tables import State, acts, certificates, issuers, outbox
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.db import read, write
from sealcore.platform.storage import Storage
from sealcore.protocol.canonical import b64url, canonical_json
from sealcore.protocol.labels import ACT_V1

SALT_BYTES: Final = 16


@dataclass(frozen=True)
class Order:
    """On whose word a change is made.

    evidence   a JSON object that is kept; the ledger holds its hash
    token      the jti of the approval token, which then counts as used; empty where no token was needed
    form, people, policy  what the ledger commits to
    approved_since  NumericDate of the first approval of the token
    """

    evidence: Mapping[str, Any]
    token: str = ""
    form: str = ""
    people: str = ""
    policy: str = ""
    approved_since: int | None = None

    @property
    def encoded(self) -> str:
        """The evidence as it is kept and, behind ``vermilion-act-v1``, hashed."""
        return canonical_json(dict(self.evidence)).decode("utf-8")


def by_caller(uri: str, change: Change) -> Order:
    """The order of an authenticated caller who needs nobody else. Salted, because the ledger is public and callers are few."""
    salt = b64url(secrets.token_bytes(SALT_BYTES))
    return Order({"kind": "call", "caller": uri, "change": change.as_json(), "salt": salt})


def by_ceremony(change: Change) -> Order:
    """The order of whoever holds the root's token: the ceremony. Salted as ``by_caller``."""
    salt = b64url(secrets.token_bytes(SALT_BYTES))
    return Order({"kind": "ceremony", "change": change.as_json(), "salt": salt})


class Revocation:
    """Changes the standing of certificates of the CAs whose CRLs ``publisher`` makes. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, publisher: CrlPublisher, storage: Storage, *, clock: Clock) -> None:
        self._engine = engine
        self._publisher = publisher
        self._storage = storage
        self._clock = clock

    def performed(self, order: Order) -> int | None:
        """The CRL number with which a token was answered before; None when it was never carried out, CONFLICT for another of its jti."""
        with read(self._engine) as connection:
            row = connection.execute(select(acts).where(acts.c.id == order.token)).one_or_none()
        if row is None:
            return None
        if row.evidence != order.encoded and not is_same_token(row.evidence, order):
            raise VermilionError(Code.CONFLICT, f"another token {order.token} was carried out")
        return int(row.crl_number) if row.crl_number is not None else self._publish(row.id, row.issuer)

    def perform(self, change: Change, order: Order) -> int:
        """Makes the change, and returns the number of a published CRL that shows it.

        An mTLS identity's other certificates in force change with it (``ca.issuance.holders``). A revocation or a hold that stands already changes
        nothing and makes sure of the CRL. Raises INVALID_ARGUMENT (an invalidity date before the certificate or in the future), NOT_FOUND,
        CONFLICT (revoked for another reason; a release of what is not on hold), HSM_* (recorded for good, but the CRL waits for the HSM; it
        is tried again by itself). A revocation or a hold takes of the room that is kept back for it when the disk is full.
        """
        if change.kind is Kind.RELEASE:
            return self._perform(change, order)
        return self._storage.for_a_stop(partial(self._perform, change, order))

    def _perform(self, change: Change, order: Order) -> int:
        """What ``perform`` says; done again after a part of it failed, it goes on where that stood."""
        self._publisher.require_key(change.issuer)
        act_id = order.token or uuid7()
        try:
            with write(self._engine) as connection:
                # Behind this lock no CRL is in the making: what is recorded here is on the next one, whoever makes it.
                _lock(connection, change.issuer)
                now = self._clock.now()
                row = _issued(connection, change)
                changed = [(row, _values(row, change, now))]
                changed += [(other, _with_holder(other, change, now)) for other in holders.others(connection, row, now)]
                changed = [(one, values) for one, values in changed if values]
                if change.kind is Kind.RELEASE:
                    _require_held_before([one for one, _ in changed], order.approved_since)
                for one, values in changed:
                    _change(connection, one, values, now)
                    if change.kind is Kind.REVOKE:
                        _note(connection, order, f"revocation:{one.serial}", one.certificate)
                if changed or order.token:
                    kept = {"id": act_id, "evidence": order.encoded, "issuer": change.issuer, "serial": row.serial}
                    connection.execute(insert(acts).values(kept | {"performed_at": to_text(now)}))
                    _note(connection, order, f"act:{act_id}", ACT_V1 + order.encoded.encode("utf-8"))
        except IntegrityError:
            if (number := self.performed(order)) is None:
                raise
            return number  # another process carried out the same token meanwhile
        for issuer in sorted({one.issuer for one, _ in changed} - {change.issuer}):
            self._publisher.publish(issuer, only_if_due=True)
        return self._publish(act_id, change.issuer)

    def check(self, change: Change, approved_since: int | None) -> None:
        """Raises what ``perform`` would refuse this change for, and CONFLICT where it stands already; changes nothing."""
        self._publisher.require_key(change.issuer)
        with read(self._engine) as connection:
            row = connection.execute(_wanted(change)).one_or_none()
        if row is None:
            raise _unissued(change)
        if not _values(row, change, self._clock.now()):
            raise VermilionError(Code.CONFLICT, f"the certificate is {row.state} already, as the act asks; nothing would change")
        if change.kind is Kind.RELEASE:
            _require_held_before([row], approved_since)

    def _publish(self, act_id: str, issuer: str) -> int:
        number = self._publisher.publish(issuer, only_if_due=True)
        with write(self._engine) as connection:
            connection.execute(update(acts).where(acts.c.id == act_id, acts.c.crl_number.is_(None)).values(crl_number=number))
        return number


def is_same_token(evidence: str, order: Order) -> bool:
    """Whether both rest on one token. What was signed names it: a signature has a twin, (r, n - s), that anybody can compute."""
    signed = [str(each.get("token", "")).rpartition(".")[0] for each in (json.loads(evidence), order.evidence)]
    return bool(signed[0]) and signed[0] == signed[1]


def _lock(connection: Connection, issuer: str) -> None:
    """The CRLs on which the change may have to stand; under the infrastructure CA those of all generations, which share their holders."""
    if role_of(issuer) == holders.ROLE:
        holders.lock(connection)
    else:
        connection.execute(select(issuers.c.name).where(issuers.c.name == issuer).with_for_update())


def _change(connection: Connection, row: Row[Any], values: Mapping[str, str | None], now: datetime) -> None:
    connection.execute(update(certificates).where(certificates.c.serial == row.serial).values(dict(values)))
    due = update(issuers).where(issuers.c.name == row.issuer)
    connection.execute(due.values(crl_due=True))
    connection.execute(due.where(issuers.c.due_since.is_(None)).values(due_since=to_text(now)))


def _wanted(change: Change) -> Select[Any]:
    same = (certificates.c.serial == serial_text(change.serial)) & (certificates.c.issuer == change.issuer)
    return select(certificates).where(same, certificates.c.certificate.is_not(None))


def _issued(connection: Connection, change: Change) -> Row[Any]:
    row = connection.execute(_wanted(change).with_for_update()).one_or_none()
    if row is None:
        raise _unissued(change)
    return row


def _unissued(change: Change) -> VermilionError:
    return VermilionError(Code.NOT_FOUND, f"the CA {change.issuer} has issued no certificate {serial_text(change.serial)}")


def _values(row: Row[Any], change: Change, now: datetime) -> dict[str, str | None]:
    """The columns that the change sets; none when it stands already."""
    if change.kind is Kind.REVOKE:
        return _revoked(row, change, now)
    if row.state == State.REVOKED:
        raise VermilionError(Code.CONFLICT, f"the certificate is revoked for good, for {row.reason}")
    if change.kind is Kind.HOLD:
        return {} if row.state == State.HELD else {"state": State.HELD, "held_at": to_text(now)}
    if row.state != State.HELD:
        raise VermilionError(Code.CONFLICT, "the certificate is not on hold; there is nothing to release")
    return {"state": State.ISSUED, "held_at": None}


def _require_held_before(rows: Sequence[Row[Any]], approved_since: int | None) -> None:
    """CONFLICT for a hold that is younger than the first approval of its release: who approved lifted the one before."""
    for row in rows:
        if approved_since is not None and row.held_at > to_text(datetime.fromtimestamp(approved_since, UTC)):
            reason = f"the certificate {row.serial} was put on hold after its release was approved: look again, and apply anew"
            raise VermilionError(Code.CONFLICT, reason)


def _with_holder(row: Row[Any], change: Change, now: datetime) -> dict[str, str | None]:
    """The columns that change with those of another certificate of the same holder, which is in force."""
    if change.kind is Kind.HOLD:
        return {"state": State.HELD, "held_at": to_text(now)} if row.state == State.ISSUED else {}
    if change.kind is Kind.RELEASE:
        return {"state": State.ISSUED, "held_at": None} if row.state == State.HELD else {}
    invalid = max(to_text(change.invalidity_date), row.not_before) if change.invalidity_date is not None else None
    return {"state": State.REVOKED, "revoked_at": row.held_at or to_text(now), "reason": change.reason, "invalidity_date": invalid}


def _revoked(row: Row[Any], change: Change, now: datetime) -> dict[str, str | None]:
    invalid = None
    if change.invalidity_date is not None:
        invalid = to_text(change.invalidity_date)
        if not row.not_before <= invalid <= to_text(now):
            reason = f"the invalidity date lies between the certificate's notBefore, {row.not_before}, and now"
            raise VermilionError(Code.INVALID_ARGUMENT, reason, rule="RFC 5280 §5.3.2; nobody knows the future.")
    if row.state == State.REVOKED:
        if (row.reason, row.invalidity_date) != (change.reason, invalid):
            since = f" since {row.invalidity_date}" if row.invalidity_date else ""
            raise VermilionError(Code.CONFLICT, f"the certificate is revoked already, for {row.reason}{since}")
        return {}
    # A certificate on hold has not been good since the hold began, so that is when it was revoked.
    since = row.held_at or to_text(now)
    return {"state": State.REVOKED, "revoked_at": since, "reason": change.reason, "invalidity_date": invalid}


def _note(connection: Connection, order: Order, key: str, subject: bytes) -> None:
    note = {"idempotency_key": key, "kind": "revocation", "subject_sha256": hashlib.sha256(subject).digest()}
    connection.execute(insert(outbox).values(note | {"form": order.form, "people": order.people, "policy": order.policy}))
