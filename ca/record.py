"""The CA's memory of certificates: each is recorded, durably, before it is signed.

``Recorded`` is made here alone, after the transaction that wrote the row has committed; signing takes nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Engine, Row, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ca.instants import to_text
from ca.issuance import holders
from ca.issuance.certificate import Draft, Linted
from ca.names import Role
from ca.tables import State, acts, certificates, outbox
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.protocol.labels import ACT_V1

RENEWED_BY_KEY: Final = "ocsp"
"""The one profile under which a key gets a certificate again."""


@dataclass(frozen=True)
class Act:
    """An approval token on whose word a certificate is issued.

    id                    its jti
    evidence              RFC 8785 JSON that is kept; the ledger holds its hash
    form, people, policy  what the ledger commits to
    """

    id: str
    evidence: str
    form: str
    people: str
    policy: str


@dataclass(frozen=True)
class Recorded:
    """A linted certificate whose row is durable."""

    linted: Linted


def serial_text(serial: int) -> str:
    """A serial number as the database, the ledger and people see it."""
    return f"{serial:x}"


def record(engine: Engine, linted: Linted, claim: holders.Claim, *, now: datetime) -> Recorded:
    """Writes the row; raises CONFLICT for a serial number or a key that a certificate has already, or a URI that has a holder.

    A row of the same key that was never finished is abandoned: what was signed for it, if anything, never left, and the
    process that may still be at it loses its update (``store``).

    One key has one certificate. The exception is the delegate of OCSP, whose certificate lives 30 days and has a successor for the
    same key and names: a new key in the HSM each month would prove nothing more, and the answers that it signed stay valid.
    """
    try:
        with write(engine) as connection:
            _write_row(connection, linted, claim, now)
    except IntegrityError:
        raise _conflict(engine, linted.draft) from None
    return Recorded(linted)


def require_recordable(engine: Engine, linted: Linted, claim: holders.Claim, *, now: datetime) -> None:
    """Raises what ``record`` would; what it writes is taken back."""
    try:
        with write(engine) as connection, connection.begin_nested() as tried:
            _write_row(connection, linted, claim, now)
            # Written and taken back, so that the judgement cannot differ from what ``record`` does.
            tried.rollback()
    except IntegrityError:
        raise _conflict(engine, linted.draft) from None


def _write_row(connection: Connection, linted: Linted, claim: holders.Claim, now: datetime) -> None:
    draft = linted.draft
    row: dict[str, Any] = {
        "serial": serial_text(draft.serial),
        "issuer": draft.issuer,
        "profile": draft.profile_name,
        "subject": draft.subject.rfc4514_string(),
        "names_sha256": draft.names_sha256,
        "spki_sha256": draft.spki_sha256,
        "uri": draft.uri.lower() if draft.uri is not None else None,
        "not_before": to_text(draft.not_before),
        "not_after": to_text(draft.not_after),
        "tbs": linted.tbs,
        "state": State.RECORDED,
        "recorded_at": to_text(now),
    }
    unfinished = (certificates.c.spki_sha256 == draft.spki_sha256) & (certificates.c.state == State.RECORDED)
    if is_cross(draft):
        unfinished &= certificates.c.issuer == draft.issuer
    line = holders.NOBODYS
    # The lock before the look: two requests for one URI would both find it free.
    if draft.uri is not None:
        holders.lock(connection)
        line = holders.claimed(connection, draft.uri, claim, serial=row["serial"], now=now)
    if is_cross(draft):
        _require_own_certificate(connection, draft)
    # Whoever is still signing for that row loses it in ``store``: of two certificates of one
    # key at most one leaves.
    connection.execute(update(certificates).where(unfinished).values(state=State.ABANDONED))
    renewal = _renewals(connection, draft) if draft.profile_name == RENEWED_BY_KEY else 0
    connection.execute(insert(certificates).values({**row, "renewal": renewal, "holder": line.holder, "lineage": line.lineage}))


def _renewals(connection: Connection, draft: Draft) -> int:
    """How many certificates this key has had, all of this profile and for these names; CONFLICT when one was another."""
    of_key = (certificates.c.spki_sha256 == draft.spki_sha256) & (certificates.c.state != State.ABANDONED)
    columns = (certificates.c.profile, certificates.c.names_sha256, certificates.c.renewal)
    rows = connection.execute(select(*columns).where(of_key)).all()
    if any((row.profile, bytes(row.names_sha256)) != (draft.profile_name, draft.names_sha256) for row in rows):
        rule = "A key that answers for OCSP has certificates of this profile and for one name only."
        raise VermilionError(Code.CONFLICT, "the key has a certificate for something else", rule=rule)
    return max((row.renewal for row in rows), default=-1) + 1


def is_cross(draft: Draft) -> bool:
    """Whether this is a second certificate for the key of an authority, by another generation of the root."""
    return draft.profile.authority is not None and draft.profile.authority.certified_as is not None


def _require_own_certificate(connection: Connection, draft: Draft) -> None:
    """A cross certificate repeats key and name of an authority that has its own certificate, which is in force."""
    assert draft.profile.authority is not None, "is_cross"
    own = select(certificates.c.serial).where(
        certificates.c.spki_sha256 == draft.spki_sha256,
        certificates.c.profile == draft.profile.authority.certified_as,
        certificates.c.names_sha256 == draft.names_sha256,
        certificates.c.state == State.ISSUED,
        certificates.c.not_after >= to_text(draft.not_after),
    )
    if connection.execute(own).first() is None:
        rule = "A cross certificate repeats key and subject of an authority in force and ends no later than its own certificate."
        raise VermilionError(Code.CONFLICT, f"{draft.subject.rfc4514_string()} is no such authority", rule=rule)


def _conflict(engine: Engine, draft: Draft) -> VermilionError:
    with read(engine) as connection:
        taken = connection.execute(select(certificates.c.serial).where(certificates.c.serial == serial_text(draft.serial))).first()
    if taken:
        rule = "A serial number is given once (RFC 5280 §4.1.2.2)."
        return VermilionError(Code.CONFLICT, "the serial number is taken; nothing was signed", rule=rule)
    rule = "A key has one certificate, and an authority's one more by each other root: a new certificate takes a new key."
    return VermilionError(Code.CONFLICT, "the key has a certificate already, or had one", rule=rule)


def store(engine: Engine, recorded: Recorded, certificate: x509.Certificate, act: Act | None, *, now: datetime) -> None:
    """Keeps the signed certificate, the act that ordered it and the notes for the ledger, in one transaction; only then may it leave.

    Raises CONFLICT when the row was abandoned meanwhile, or the act was carried out: the certificate must be thrown away.
    """
    serial = serial_text(recorded.linted.draft.serial)
    der = certificate.public_bytes(Encoding.DER)
    with write(engine) as connection:
        if recorded.linted.draft.uri is not None:
            holders.lock(connection)  # whoever abandons the row must see it as it is, not as it was a moment ago
        # The condition on the state is the fence: a row that was abandoned meanwhile is not brought
        # back by a late signature.
        changed = connection.execute(
            update(certificates)
            .where(certificates.c.serial == serial, certificates.c.state == State.RECORDED)
            .values(state=State.ISSUED, certificate=der, issued_at=to_text(now))
        )
        if changed.rowcount != 1:
            raise VermilionError(Code.CONFLICT, "another request for the same key overtook this one; its certificate counts")
        # In the same transaction as the certificate: there is none that the ledger will not hear
        # of.
        note = {"idempotency_key": f"certificate:{serial}", "kind": "certificate", "subject_sha256": hashlib.sha256(der).digest()}
        connection.execute(insert(outbox).values(note))
        if act is not None:
            _keep(connection, act, recorded.linted.draft.issuer, serial, now)


def _keep(connection: Connection, act: Act, issuer: str, serial: str, now: datetime) -> None:
    """The act counts as carried out from here on: its id is unique."""
    kept = {"id": act.id, "evidence": act.evidence, "issuer": issuer, "serial": serial, "performed_at": to_text(now)}
    try:
        with connection.begin_nested():
            connection.execute(insert(acts).values(kept))
    except IntegrityError:
        raise VermilionError(Code.CONFLICT, f"the act {act.id} was carried out already; its certificate counts") from None
    subject = hashlib.sha256(ACT_V1 + act.evidence.encode("utf-8")).digest()
    note = {"idempotency_key": f"act:{act.id}", "kind": "certificate", "subject_sha256": subject}
    connection.execute(insert(outbox).values(note | {"form": act.form, "people": act.people, "policy": act.policy}))


def find_same(engine: Engine, draft: Draft, *, now: datetime) -> x509.Certificate | None:
    """The certificate that answers a repeated request: same key, profile, issuer and names, issued and still valid."""
    wanted = select(certificates.c.certificate).where(
        certificates.c.spki_sha256 == draft.spki_sha256,
        certificates.c.profile == draft.profile_name,
        certificates.c.issuer == draft.issuer,
        certificates.c.names_sha256 == draft.names_sha256,
        certificates.c.state == State.ISSUED,
        certificates.c.not_after > to_text(now),
    )
    with read(engine) as connection:
        found = connection.execute(wanted.order_by(certificates.c.renewal.desc()).limit(1)).scalar_one_or_none()
    return x509.load_der_x509_certificate(found) if found else None


def list_certificates(engine: Engine, profile: str | None = None) -> list[Row[tuple[object, ...]]]:
    """Rows of all certificates that were not abandoned, or of those of one profile, oldest first."""
    wanted = select(certificates).where(certificates.c.state != State.ABANDONED).order_by(certificates.c.recorded_at, certificates.c.serial)
    if profile:
        wanted = wanted.where(certificates.c.profile == profile)
    with read(engine) as connection:
        return list(connection.execute(wanted).all())


def is_revoked(engine: Engine, role: Role, serial: int) -> bool:
    """Whether a certificate is revoked, from the CA's own record; one it never issued counts as revoked.

    ``role`` names the CA, whichever of its generations issued: a serial number is given once in all of them.
    """
    by_role = or_(certificates.c.issuer == role, certificates.c.issuer.like(f"{role}.%"))
    good = select(func.count()).where(certificates.c.serial == serial_text(serial), by_role, certificates.c.state == State.ISSUED)
    with read(engine) as connection:
        # Counted as "not good": an unknown serial under our CA's name was issued by somebody who
        # has its key.
        return connection.execute(good).scalar_one() == 0


def is_on_hold(engine: Engine, role: Role, serial: int) -> bool:
    """Whether a certificate of this CA, in whichever generation, is on hold."""
    by_role = or_(certificates.c.issuer == role, certificates.c.issuer.like(f"{role}.%"))
    held = select(func.count()).where(certificates.c.serial == serial_text(serial), by_role, certificates.c.state == State.HELD)
    with read(engine) as connection:
        return connection.execute(held).scalar_one() > 0


def has_revoked(engine: Engine, spki_sha256: bytes) -> bool:
    """Whether a certificate of this key is revoked for good."""
    bad = select(func.count()).where(certificates.c.spki_sha256 == spki_sha256, certificates.c.state == State.REVOKED)
    with read(engine) as connection:
        return connection.execute(bad).scalar_one() > 0
