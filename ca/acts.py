"""Acts that approval tokens order: judged, counted once, carried out, and answered the same way when they come again."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select

from ca.change import Change
from ca.gate import Presented, admit, admit_seal, order_of
from ca.record import serial_text
from ca.register import Register
from ca.restore import restored_at
from ca.revoke import Revocation
from ca.tables import certificates
from sealcore.clock import Clock
from sealcore.db import read
from sealcore.errors import Code, VermilionError


@dataclass(frozen=True)
class Carried:
    """What was done, and the published CRL that shows it. ``change`` is None for a token that was carried out before."""

    crl_number: int
    change: Change | None = None


class Acts:
    """Carries out tokens. Safe to use from several threads and processes: a token's jti is recorded with what it changes."""

    def __init__(self, engine: Engine, revocation: Revocation, register: Register, *, clock: Clock) -> None:
        self._engine = engine
        self._revocation = revocation
        self._register = register
        self._clock = clock

    def perform(self, jws: str, peer: str) -> Carried:
        """Raises what the gate or the change refuses, and SERVICE_UNAVAILABLE when the signer's register cannot be asked."""
        order, claims = order_of(jws)
        if (number := self._revocation.performed(order)) is not None:
            return Carried(number)
        register = self._register.view()
        change = admit(Presented(jws, peer, self._clock.now(), register, restored_at(self._engine)))
        admit_seal(claims, change, self._spki_sha256(change), register)
        return Carried(self._revocation.perform(change, order), change)

    def _spki_sha256(self, change: Change) -> bytes:
        serial = serial_text(change.serial)
        wanted = select(certificates.c.spki_sha256).where(certificates.c.serial == serial, certificates.c.issuer == change.issuer)
        with read(self._engine) as connection:
            found = connection.execute(wanted).scalar_one_or_none()
        if found is None:
            raise VermilionError(Code.NOT_FOUND, f"the CA {change.issuer} has issued no certificate {serial}")
        return bytes(found)
