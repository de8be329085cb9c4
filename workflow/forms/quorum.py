"""How many distinct people must approve, and who of those that decided counts. The signer's register rules; policies only add."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealcore.errors import Code, VermilionError
from sealcore.protocol import actions
from sealcore.protocol import decision as decisions
from sealcore.protocol.covers import Covers, GrantCovers
from sealcore.protocol.decision import DecisionContext
from sealcore.protocol.p256 import canonical_spki, p256_key
from workflow.delivery.signer_link import Register, RegisteredPerson, RegisteredSeal
from workflow.forms.model import Form, Received, Standing

UNTEMPLATED = "grant-untemplated"  # the register's higher tier for grants without a template


def least_persons(register: Register, seal: str, action: str, covers: Covers) -> int:
    """The register's rule for a request; SEAL_UNKNOWN, SEAL_SUSPENDED, SEAL_RETIRED or ACTION_MISMATCH when it can never be granted."""
    if not seal:
        return register.own_quorum()
    registered = register.seal(seal)
    if action == actions.REVOKE:
        return max(1, _rule(registered, action))  # a seal in whatever state: it is suspended before its certificate is revoked
    if registered.state == "retired":
        raise VermilionError(Code.SEAL_RETIRED, f"the seal {seal} is retired")
    if registered.state != "active" and action != actions.RESUME:
        raise VermilionError(Code.SEAL_SUSPENDED, f"the seal {seal} is {registered.state}")
    least = _rule(registered, action) if action == actions.SEAL else max(1, _rule(registered, action))  # no act without a person
    if isinstance(covers, GrantCovers) and covers.template is None:
        return max(least, registered.quorum.get(UNTEMPLATED, 0))
    return least


def _rule(seal: RegisteredSeal, action: str) -> int:
    if action not in seal.quorum:
        raise VermilionError(Code.ACTION_MISMATCH, f"no quorum is registered for {action!r} with this seal; nobody may do it")
    return seal.quorum[action]


def check_signature(received: Received, context: DecisionContext, public_key: bytes) -> None:
    """DECISION_INVALID unless the holder of ``public_key`` (SPKI, DER) signed exactly this decision on exactly this form."""
    decisions.verify(received.decision, context, load_der_public_key(public_key))


def approver(people: Mapping[str, RegisteredPerson], person: str) -> RegisteredPerson:
    """The registered approver; APPROVER_UNKNOWN, since the signer would not count anyone else."""
    registered = people.get(person)
    if registered is None or not registered.active or "approver" not in registered.roles:
        raise VermilionError(Code.APPROVER_UNKNOWN, f"{person} is not an active approver in the signer's register")
    return registered


def approvers(people: Mapping[str, RegisteredPerson]) -> frozenset[str]:
    """The ids of those who may approve now."""
    return frozenset(person.id for person in people.values() if person.active and "approver" in person.roles)


def standing(form: Form, people: Mapping[str, RegisteredPerson], least: int) -> Standing:
    """Counts afresh, against the register's keys and not our own: who can write our database cannot approve.

    least   the register's rule of this moment; the form's own quorum may be higher, never lower
    """
    approvers: dict[bytes, str] = {}  # by key: whoever is registered twice counts once
    for received in form.decisions:
        given = received.decision
        if given.verdict != "approve" or given.person == form.applicant:
            continue
        try:
            public_key = approver(people, given.person).public_key
            check_signature(received, form.context, public_key)
        except VermilionError:
            continue
        approvers[canonical_spki(p256_key(public_key))] = given.person
    if form.applicant is not None and form.applicant in people:
        # By key as well: an applicant who is registered under a second id must not approve the own
        # request.
        approvers.pop(canonical_spki(p256_key(people[form.applicant].public_key)), None)
    signed = form.applicant is None or any(
        received.decision.verdict == "apply" and received.decision.person == form.applicant for received in form.decisions
    )
    return Standing(frozenset(approvers.values()), max(least, form.context.policy.quorum), signed)
