"""Acts that approval tokens order: judged, counted once, carried out, and answered the same way when they come again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from sqlalchemy import Engine, select

from ca.gate import Presented, admit, admit_enrolment, admit_seal, order_of, require_no_seal, require_seal, wanted_of
from ca.issuance.enrolment import Enrolment
from ca.issuance.holders import Approved
from ca.issuance.issue import Issuance
from ca.issuance.issue import Order as Wanted
from ca.issuance.profiles import BY_ACT
from ca.record import Act, serial_text
from ca.register_link import Register
from ca.restore import restored_at
from ca.revocation.change import Change
from ca.revocation.revoke import Order, Revocation, is_same_token
from ca.tables import State, acts, certificates
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read
from sealcore.protocol import token_checks
from sealcore.protocol.actions import CREATE
from sealcore.protocol.covers import ActCovers


@dataclass(frozen=True)
class Carried:
    """What was done: a change, with the published CRL that shows it, or a certificate issued. Neither for a token that was carried out before."""

    crl_number: int | None = None
    change: Change | None = None
    issued: x509.Certificate | None = None
    profile: str = ""


class Acts:
    """Carries out tokens. Safe to use from several threads and processes: a token's jti is recorded with what it changes."""

    def __init__(self, engine: Engine, revocation: Revocation, issuance: Issuance, register: Register, *, clock: Clock) -> None:
        self._engine = engine
        self._revocation = revocation
        self._issuance = issuance
        self._register = register
        self._clock = clock

    def perform(self, jws: str, peer: str) -> Carried:
        """Raises what the gate, the change or the profile refuses, and SERVICE_UNAVAILABLE when the signer's register cannot be asked."""
        order, claims = order_of(jws)
        # Before the gate: a token that was carried out is answered the same way again, also when it
        # has expired since or an approver has left.
        if claims.action == CREATE:
            if self._certified(order):
                return Carried()
        elif (number := self._revocation.performed(order)) is not None:
            return Carried(number)
        register = self._register.view()
        wanted = admit(Presented(jws, peer, self._clock.now(), register, restored_at(self._engine)))
        if isinstance(wanted, Enrolment):
            admit_enrolment(claims, register)
            return self._enrol(wanted, order)
        admit_seal(claims, wanted, self._spki_sha256(wanted), register)
        return Carried(self._revocation.perform(wanted, order), wanted)

    def check(self, action: str, seal: str, parameters: Mapping[str, Any], approved_since: int | None, earliest: int | None = None) -> None:
        """Raises what ``perform`` would refuse this act for, were it approved now, and CONFLICT for what stands already. Changes nothing.

        approved_since  NumericDate of the first approval that was given so far
        earliest        NumericDate of the earliest of its form's start and the decisions so far; None before there is a form
        """
        if earliest is not None and (restored := restored_at(self._engine)) is not None:
            token_checks.require_later(
                {"its start or a decision": earliest}, restored.timestamp(), "the form of this act", "the CA's database"
            )
        wanted = wanted_of(action, ActCovers(parameters).parameters)
        register = self._register.view()
        if isinstance(wanted, Enrolment):
            require_no_seal(seal)
            self._require_by_act(wanted.profile)
            self._issuance.check(Wanted(wanted.profile, wanted.request, claim=Approved(approved_since)))
            return
        require_seal(seal, wanted, self._spki_sha256(wanted), register)
        self._revocation.check(wanted, approved_since)

    def _require_by_act(self, profile: str) -> None:
        if BY_ACT not in self._issuance.profile(profile).callers:
            raise VermilionError(Code.PERMISSION_DENIED, f"no act gives a certificate of the profile {profile}")

    def _enrol(self, wanted: Enrolment, order: Order) -> Carried:
        self._require_by_act(wanted.profile)
        act = Act(order.token, order.encoded, order.form, order.people, order.policy)
        try:
            issued = self._issuance.issue(Wanted(wanted.profile, wanted.request, claim=Approved(order.approved_since), act=act))
        except VermilionError as fault:
            if fault.code is not Code.CONFLICT:
                raise
            # In this order: what is no longer under way has been stored by then, and is found. The other way round it could be stored
            # between the two looks, and a token that was carried out would be refused for good.
            if self._is_under_way(wanted):
                raise VermilionError(Code.SERVICE_UNAVAILABLE, "another process is issuing this very certificate; ask again") from None
            if self._certified(order):
                return Carried()  # another process carried out the same token meanwhile
            raise
        return Carried(issued=issued, profile=wanted.profile)

    def _is_under_way(self, wanted: Enrolment) -> bool:
        """Whether a row of this key waits for its signature."""
        of_key = certificates.c.spki_sha256 == hashlib.sha256(wanted.request.spki_der).digest()
        with read(self._engine) as connection:
            begun = select(certificates.c.serial).where(of_key, certificates.c.state == State.RECORDED)
            return connection.execute(begun).first() is not None

    def _certified(self, order: Order) -> bool:
        """Whether this very token has had its certificate."""
        with read(self._engine) as connection:
            evidence = connection.execute(select(acts.c.evidence).where(acts.c.id == order.token)).scalar_one_or_none()
        if evidence is not None and not is_same_token(evidence, order):
            raise VermilionError(Code.CONFLICT, f"another token {order.token} was carried out")
        return evidence is not None

    def _spki_sha256(self, change: Change) -> bytes:
        serial = serial_text(change.serial)
        wanted = select(certificates.c.spki_sha256).where(certificates.c.serial == serial, certificates.c.issuer == change.issuer)
        with read(self._engine) as connection:
            found = connection.execute(wanted).scalar_one_or_none()
        if found is None:
            raise VermilionError(Code.NOT_FOUND, f"the CA {change.issuer} has issued no certificate {serial}")
        return bytes(found)
