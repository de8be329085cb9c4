"""Revocation: recorded and noted for the ledger in one transaction, then on a CRL at once."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography import x509
from sqlalchemy import Engine, insert, select, update

from ca.crl import CrlPublisher
from ca.profiles import IssuerName
from ca.record import serial_text
from ca.tables import State, certificates, issuers, outbox, to_text
from sealcore.clock import Clock
from sealcore.db import write
from sealcore.errors import Code, VermilionError

REASONS: Final = tuple(
    flag.value
    for flag in x509.ReasonFlags
    # a hold would need a release, and removeFromCRL belongs to delta CRLs (RFC 5280 §5.3.1): a revocation here is final
    if flag not in (x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl)
)


class Revocation:
    """Revokes certificates of the CAs whose CRLs ``publisher`` makes."""

    def __init__(self, engine: Engine, publisher: CrlPublisher, *, clock: Clock) -> None:
        self._engine = engine
        self._publisher = publisher
        self._clock = clock

    def revoke(self, issuer: IssuerName, serial: int, reason: str) -> int:
        """Revokes, and returns the number of a published CRL that says so.

        The same again changes nothing and makes sure of the CRL. Raises INVALID_ARGUMENT (reason), NOT_FOUND, CONFLICT
        (revoked for another reason), HSM_* (revoked for good, but the CRL waits for the HSM; it is tried again by itself).
        """
        if reason not in REASONS:
            raise VermilionError(Code.INVALID_ARGUMENT, f"{reason} is not a reason; there are {', '.join(sorted(REASONS))}")
        with write(self._engine) as connection:
            row = connection.execute(
                select(certificates)
                .where(
                    certificates.c.serial == serial_text(serial), certificates.c.issuer == issuer, certificates.c.certificate.is_not(None)
                )
                .with_for_update()
            ).one_or_none()
            if row is None:
                raise VermilionError(Code.NOT_FOUND, f"the CA {issuer} has issued no certificate {serial_text(serial)}")
            if row.state == State.REVOKED and row.reason != reason:
                raise VermilionError(Code.CONFLICT, f"the certificate is revoked already, for {row.reason}")
            if row.state == State.ISSUED:
                connection.execute(
                    update(certificates)
                    .where(certificates.c.serial == row.serial)
                    .values(state=State.REVOKED, revoked_at=to_text(self._clock.now()), reason=reason)
                )
                connection.execute(update(issuers).where(issuers.c.name == issuer).values(crl_due=True))
                note = {
                    "idempotency_key": f"revocation:{row.serial}",
                    "kind": "revocation",
                    "subject_sha256": hashlib.sha256(row.certificate).digest(),
                }
                connection.execute(insert(outbox).values(note))
        return self._publisher.publish(issuer, only_if_due=True)
