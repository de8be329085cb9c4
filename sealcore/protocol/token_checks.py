"""What everyone to whom an approval token is addressed judges the same way: for whom, when, who decided, and whether that is enough.

Each step raises the code of its own refusal. Which keys and numbers count, the caller knows: they are the signer's register's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sealcore.clock import SKEW
from sealcore.errors import Code, VermilionError
from sealcore.protocol import decision as decisions
from sealcore.protocol.p256 import canonical_spki
from sealcore.protocol.token import Claims


def require_audience(claims: Claims, audience: str) -> None:
    """AUDIENCE_MISMATCH unless it is addressed to ``audience``."""
    if claims.aud != audience:
        raise VermilionError(Code.AUDIENCE_MISMATCH, f"the token is addressed to {claims.aud}")


def require_subject(claims: Claims, peer: str) -> None:
    """SUBJECT_MISMATCH unless it names the mTLS peer that presents it."""
    if claims.sub != peer:
        raise VermilionError(Code.SUBJECT_MISMATCH, f"the token is for {claims.sub}, not for {peer}")


def require_begun(claims: Claims, now: datetime) -> None:
    """TOKEN_NOT_YET_VALID before its start."""
    # The allowance is for the issuer's clock. The end below gets none: an approval must not
    # live longer than people signed.
    if (now + SKEW).timestamp() < claims.nbf:
        raise VermilionError(Code.TOKEN_NOT_YET_VALID, "the token is not valid yet")


def require_not_ended(claims: Claims, now: datetime) -> None:
    """TOKEN_EXPIRED from its end on."""
    if now.timestamp() >= claims.exp:
        raise VermilionError(Code.TOKEN_EXPIRED, "the token has expired")


def require_after_restore(claims: Claims, restored_at: float | None, database: str) -> None:
    """TOKEN_BEFORE_RESTORE unless everything in it is later than the restore: an older token may have been used up in what the backup
    does not know.

    Nobody but the issuer vouches for ``iat``; ``nbf`` and the decisions' times are what people signed.
    """
    times = {"iat": claims.iat, "nbf": claims.nbf} | {f"the decision of {one.person}": one.time for one in claims.decisions}
    require_later(times, restored_at, f"the token {claims.jti}", database)


def require_later(times: Mapping[str, int], restored_at: float | None, subject: str, database: str) -> None:
    """TOKEN_BEFORE_RESTORE unless each of these times, NumericDates by what they are of, is later than the restore."""
    for name, time in times.items():
        if restored_at is not None and time < restored_at:
            raise VermilionError(Code.TOKEN_BEFORE_RESTORE, f"{subject} is older than the restore of {database}: {name} lies before it")


def require_decisions(claims: Claims, approver_key: Callable[[str], Any], applicant_key: Callable[[str], Any | None]) -> None:
    """Every decision is over exactly this request; none rejects (DECISION_INVALID), and nobody approves their own (OWN_REQUEST).

    approver_key   the public key of a registered, active approver; raises APPROVER_UNKNOWN
    applicant_key  the public key of an applicant, who need not be registered and then counts for nothing
    """
    context = claims.context
    # Over all decisions first: the applicant may stand behind their own approval in the list.
    applicants = {one.person for one in claims.decisions if one.verdict == "apply"}
    for one in claims.decisions:
        if one.verdict == "reject":
            raise VermilionError(Code.DECISION_INVALID, f"the person {one.person} rejected this request")
        if one.verdict == "approve" and one.person in applicants:
            raise VermilionError(Code.OWN_REQUEST, f"the person {one.person} applied and may not approve")
        if one.verdict == "approve":
            decisions.verify(one, context, approver_key(one.person))
        elif (key := applicant_key(one.person)) is not None:
            decisions.verify(one, context, key)


def require_quorum(claims: Claims, least: int, given: int) -> None:
    """QUORUM_NOT_MET unless enough distinct persons approved: the register's number, which a policy may raise and never lower."""
    needed = max(least, claims.policy.quorum)
    if given < needed:
        raise VermilionError(Code.QUORUM_NOT_MET, f"{given} of {needed} distinct approvers have decided")


def distinct_approvers(claims: Claims, key_of: Callable[[str], Any | None]) -> int:
    """How many approved, counted by their keys and without the applicant's: one key under several names is one person."""

    def keys(verdict: str) -> set[bytes]:
        found = (key_of(one.person) for one in claims.decisions if one.verdict == verdict)
        return {canonical_spki(key) for key in found if key is not None}

    # A key that applied counts for nobody, under whatever name it approves.
    return len(keys("approve") - keys("apply"))


def approved_since(claims: Claims) -> int:
    """NumericDate of the first approval: whoever gave it knows nothing of what came about later. ``iat`` where nobody had to approve."""
    return min((one.time for one in claims.decisions if one.verdict == "approve"), default=claims.iat)


def approvers(claims: Claims) -> frozenset[str]:
    """Who approved; believed once ``require_decisions`` has passed."""
    return frozenset(one.person for one in claims.decisions if one.verdict == "approve")
