"""Use case: a person decides on a form."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from sealcore.clock import SKEW
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.protocol.decision import Decision
from workflow.access import may_see, no_form
from workflow.delivery import events
from workflow.directory import store as directory_store
from workflow.directory.model import Person
from workflow.forms import kinds
from workflow.forms import store as form_store
from workflow.forms.countable import require_countable
from workflow.forms.kinds.kind import Judged
from workflow.forms.model import Form, Received, Standing
from workflow.forms.quorum import approver, check_signature, least_persons, standing
from workflow.forms.use_cases import announce_approval
from workflow.office import Office
from workflow.principal import Principal


@dataclass(frozen=True)
class Outcome:
    """The form after a decision, and how far it is."""

    form: Form
    standing: Standing


def decide(office: Office, caller: Principal, number: str, decision: Decision, reason: str) -> Outcome:
    """Takes a decision in: verified on receipt, recorded, and the token issued once the register's quorum is met.

    Any caller may carry a decision, since it proves itself by its signature; but to a caller who may not see the form, it exists only
    together with a valid signature. So the signature is judged before anything that would tell the form's state.

    Raises NOT_FOUND, DECISION_INVALID, OWN_REQUEST, APPROVER_UNKNOWN, CONFLICT (the person has decided before), FORM_STATE,
    TOKEN_EXPIRED, what the signer would refuse an act for, and SERVICE_UNAVAILABLE when the signer's register cannot be asked: then
    nothing is recorded.
    """
    now = office.now()
    received = Received(decision, reason, now)
    form, person = _presented(office, caller, received, number)
    if decision.verdict == "reject":
        check_signature(received, form.context, person.public_key)
        return _reject(office, received, number)
    people = office.register.people()  # asked before the transaction: no lock is held while another service answers
    # An applicant need not be registered; who is must sign with the registered key, as the signer will check.
    check_signature(received, form.context, people[person.id].public_key if person.id in people else person.public_key)
    form.check_open(now)
    form.check_may_decide(person, decision.verdict)
    if decision.verdict == "approve":
        approver(people, person.id)
        _require_possible(office, form, decision)
    least = least_persons(office.register, form.context.seal, form.context.action, form.context.covers)
    with write(office.engine) as connection:
        form = _opened(connection, received, number)
        decided = _recorded(connection, form, received)
        reached = standing(decided, people, least)
        # The form's row is locked since `_opened`: of two last approvals at once, the second one
        # waits and finds the form settled.
        if reached.complete:
            decided = decided.approved(now)
            token = office.issuer.issue(decided.context, (one.decision for one in decided.decisions), now)
            form_store.settle(connection, decided, token)
            announce_approval(office, connection, decided, token, now)
    return Outcome(decided, reached)


def _presented(office: Office, caller: Principal, received: Received, number: str) -> tuple[Form, Person]:
    """The form and who decides, to a caller who may see the form or carries that person's signature over it."""
    with read(office.engine) as connection:
        form = form_store.form(connection, number)
        person = directory_store.find_person(connection, received.decision.person)
    if not may_see(caller, form):
        try:
            if person is None:
                raise no_form(number)
            check_signature(received, form.context, person.public_key)
        except VermilionError:
            raise no_form(number) from None
    if person is None:
        raise VermilionError(Code.NOT_FOUND, f"there is no person {received.decision.person}")
    return form, person


def _require_possible(office: Office, form: Form, decision: Decision) -> None:
    """What has become impossible since the form was submitted is not approved any more."""
    with read(office.engine) as connection:
        files = form_store.attachments(connection, form.number)
    context, given = form.context, [one.decision for one in form.decisions]
    earliest = min(context.nbf, decision.time, *(one.time for one in given))
    since = min((one.time for one in given if one.verdict == "approve"), default=None)
    judged = Judged(context.seal, context.action, context.covers, files, earliest=earliest, approved_since=since)
    kinds.of_covers(context.covers).judge(office, judged)
    require_countable(office, context.aud, context.sub, earliest)


def _reject(office: Office, received: Received, number: str) -> Outcome:
    """Final, and possible while the signer is away: saying no needs nobody's register."""
    with write(office.engine) as connection:
        form = _opened(connection, received, number)
        decided = _recorded(connection, form, received).rejected(received.reason, received.received)
        form_store.end(connection, decided)
    return Outcome(decided, Standing(frozenset(), form.context.policy.quorum, applicant_signed=False))


def _opened(connection: Connection, received: Received, number: str) -> Form:
    """The form, locked, when the person may decide so on it now."""
    decision, now = received.decision, received.received
    form = form_store.form(connection, number, lock=True)
    form.check_open(now)
    form.check_may_decide(directory_store.person(connection, decision.person), decision.verdict)
    if not form.created - SKEW.seconds <= decision.time <= now + SKEW.seconds:
        raise VermilionError(Code.DECISION_INVALID, "the decision's time is not between the form's submission and now")
    return form


def _recorded(connection: Connection, form: Form, received: Received) -> Form:
    decision = received.decision
    form_store.add_decision(connection, form, received)
    events.record_form(connection, f"form.{_PAST[decision.verdict]}", form, received.received, person=decision.person)
    return replace(form, decisions=(*form.decisions, received))


_PAST = {"apply": "signed", "approve": "endorsed", "reject": "refused"}
