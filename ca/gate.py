"""The CA's gate for approval tokens (docs/protocol.md, "Approval token"): what must be true before a certificate's standing changes (action
``revoke``), or before an identity gets its certificate (``create``).

The steps have the signer's order. The signer's register is asked at this very moment whose word counts; no answer, no act.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ca.issuance.enrolment import Enrolment, enrolment_of
from ca.register_link import RegisteredSeal, RegisterView
from ca.revocation.change import Change, Kind, change_of
from ca.revocation.revoke import Order
from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri
from sealcore.protocol import token_checks
from sealcore.protocol.actions import CREATE, REVOKE
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.ledger_entry import people_value
from sealcore.protocol.token import Claims, parse, verify_signature

AUDIENCE: Final = service_uri("ca")
SIGNER_FIRST: Final = "The signer's state changes first, the revocation follows."


def order_of(jws: str) -> tuple[Order, Claims]:
    """What a token orders, before anything of it is believed; TOKEN_MISSING or TOKEN_MALFORMED."""
    claims = parse(jws).claims
    policy = f"{claims.policy.id}/{claims.policy.version}"
    people = people_value(token_checks.approvers(claims))
    evidence = {"kind": "perform", "token": jws}  # as the signer's register keeps its own acts
    return Order(
        evidence, token=claims.jti, form=claims.form, people=people, policy=policy, approved_since=token_checks.approved_since(claims)
    ), claims


@dataclass(frozen=True)
class Presented:
    """A token before the gate: who presents it, when, what the register says, and when the CA's database was last restored."""

    jws: str
    peer: str
    now: datetime
    register: RegisterView
    restored_at: datetime | None = None


def admit(presented: Presented) -> Change | Enrolment:
    """What a token orders, once issuer, addressee, time, restore, decisions and action are right; raises the refusing step's code.

    ``admit_seal`` and ``admit_enrolment`` judge the rest, for which that must be known.
    """
    parsed, register = parse(presented.jws), presented.register
    claims = parsed.claims
    if (issuer := register.issuers.get(parsed.kid)) is None:
        raise VermilionError(Code.ISSUER_NOT_PINNED, "the token's issuer is not in the signer's register")
    # Before any claim is used: until here the token is what somebody sent.
    verify_signature(parsed, issuer)
    token_checks.require_audience(claims, AUDIENCE)
    token_checks.require_subject(claims, presented.peer)
    token_checks.require_begun(claims, presented.now)
    token_checks.require_not_ended(claims, presented.now)
    token_checks.require_after_restore(claims, presented.restored_at.timestamp() if presented.restored_at else None, "the CA's database")
    # An act is kept as evidence: of each signature only one form may exist (see
    # ``signer.gate``).
    parsed.require_low_s()
    token_checks.require_decisions(claims, lambda person: _approver(register, person), register.people.get)
    if not isinstance(claims.covers, ActCovers):
        raise _not_ours(claims.action)
    return wanted_of(claims.action, claims.covers.parameters)


def wanted_of(action: str, parameters: Mapping[str, Any]) -> Change | Enrolment:
    """What an act asks of the CA; ACTION_MISMATCH for another's act, INVALID_ARGUMENT for parameters that are not in their one form."""
    if action not in _PARAMETERS:
        raise _not_ours(action)
    return _PARAMETERS[action](parameters)


def _not_ours(action: str) -> VermilionError:
    return VermilionError(Code.ACTION_MISMATCH, f"the CA does not carry out the action {action[:40]!r}")


_PARAMETERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Change | Enrolment]]] = {REVOKE: change_of, CREATE: enrolment_of}


def admit_seal(claims: Claims, change: Change, spki_sha256: bytes, register: RegisterView) -> None:
    """The token names the seal whose certificate this is, and enough persons approved; raises as ``require_seal``, and QUORUM_NOT_MET."""
    least = require_seal(claims.seal, change, spki_sha256, register)
    token_checks.require_quorum(claims, least, token_checks.distinct_approvers(claims, register.people.get))


def require_seal(named: str, change: Change, spki_sha256: bytes, register: RegisterView) -> int:
    """How many persons must approve a change of this certificate; raises SEAL_UNKNOWN, ACTION_MISMATCH, CONFLICT.

    A certificate that is no registered seal's goes under the register's own quorum, by an act that names no seal. A seal that is
    still in use is not revoked (CONFLICT): the signer would go on sealing until it heard of it.
    """
    seal = register.seals.get(spki_sha256)
    if named != (seal.id if seal is not None else ""):
        owner = f"the seal {seal.id}" if seal is not None else "no registered seal"
        raise VermilionError(Code.SEAL_UNKNOWN, f"the certificate is of {owner}, but the act names {named or 'none'}")
    least = _least(seal, register)
    # A hold needs no stop before it: it can be lifted, and stops what a stolen key could do
    # elsewhere.
    if seal is not None and seal.state == "active" and change.kind is Kind.REVOKE:
        reason = f"the seal {seal.id} is active at the signer; suspend it first: `vermilion seals suspend {seal.id}`"
        raise VermilionError(Code.CONFLICT, reason, rule=SIGNER_FIRST)
    return least


def admit_enrolment(claims: Claims, register: RegisterView) -> None:
    """Enough persons approved of a new identity, under the register's own quorum; raises SEAL_UNKNOWN, QUORUM_NOT_MET."""
    require_no_seal(claims.seal)
    token_checks.require_quorum(claims, register.own_quorum, token_checks.distinct_approvers(claims, register.people.get))


def require_no_seal(named: str) -> None:
    """SEAL_UNKNOWN when an act for an identity names a seal."""
    if named:
        raise VermilionError(Code.SEAL_UNKNOWN, f"an identity is no seal's, but the act names the seal {named}")


def _least(seal: RegisteredSeal | None, register: RegisterView) -> int:
    if seal is None:
        return register.own_quorum
    if REVOKE not in seal.quorum:
        raise VermilionError(Code.ACTION_MISMATCH, f"no quorum is registered for the action {REVOKE!r} of this seal; nobody may do it")
    # Whatever the register says: the workflow alone approves documents, never acts.
    return max(1, seal.quorum[REVOKE])


def _approver(register: RegisterView, person: str) -> Any:
    if person not in register.approvers:
        raise VermilionError(Code.APPROVER_UNKNOWN, f"the person {person} is no active approver in the signer's register")
    return register.approvers[person]
