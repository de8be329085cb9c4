"""What a form may do and may not, on SQLite and PostgreSQL, each refusal with its code."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, update

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, service_uri, uuid7
from sealcore.platform.db import read, write
from sealcore.protocol.covers import ActCovers, GrantCovers
from sealcore.protocol.decision import Decision
from tests.attacks.encodings import high_s, spellings
from tests.workflow.conftest import Desk
from tests.workflow.deciding import REVOKE, claims, decide, performance_of, refusal, with_ca
from tests.workflow.signer_side import Human
from workflow import tables
from workflow.delivery import events
from workflow.directory import store as directory_store
from workflow.directory import use_cases as directory
from workflow.directory.model import Client, Person, Role
from workflow.forms import decisions, kinds
from workflow.forms import store as form_store
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import ActRequest
from workflow.forms.kinds.grant import GrantKind, GrantRequest
from workflow.forms.model import FormState
from workflow.policies import use_cases as policies
from workflow.policies.model import Policy
from workflow.principal import principal_of
from workflow.seals import stops


def test_a_form_is_approved_by_the_quorum_of_the_signers_register(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=2)
    applicant, first, second = desk.human("applicant"), desk.human("approver"), desk.human("approver")
    form = desk.submit(seal, asked=desk.documents(3), applicant=applicant.id)
    assert form.number == "OFFICE-2026-000001"
    assert (form.context.sub, form.context.aud, form.context.policy.quorum) == (client_uri("erp"), service_uri("signer"), 2)
    decide(desk, form, applicant, "apply")
    assert decide(desk, form, first).form.state is FormState.APPLIED
    assert refusal(lambda: forms.fetch_token(desk.office, desk.client, form.number)) is Code.FORM_STATE
    outcome = decide(desk, form, second)
    assert outcome.form.state is FormState.APPROVED
    token = claims(desk, form.number)
    assert token.context == form.context
    assert {one.person: one.verdict for one in token.decisions} == {applicant.id: "apply", first.id: "approve", second.id: "approve"}
    assert forms.fetch_token(desk.office, desk.client, form.number) == forms.fetch_token(desk.office, desk.client, form.number)


def test_jti_and_term_are_frozen_at_submission(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form, approver = desk.submit(seal, valid_s=3600), desk.human("approver")
    desk.clock.advance(600)
    decide(desk, form, approver)
    token = claims(desk, form.number)
    assert (token.jti, token.nbf, token.exp, token.iat) == (form.context.jti, form.created, form.created + 3600, form.created + 600)


def test_the_applicant_never_approves(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    applicant = desk.human("applicant", "approver")
    form = desk.submit(seal, applicant=applicant.id)
    assert refusal(lambda: decide(desk, form, applicant)) is Code.OWN_REQUEST
    assert refusal(lambda: decide(desk, form, applicant, "reject", "no")) is Code.OWN_REQUEST


def test_no_token_before_the_named_applicant_has_signed(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    applicant, approver = desk.human("applicant", registered=False), desk.human("approver")
    form = desk.submit(seal, applicant=applicant.id)
    outcome = decide(desk, form, approver)
    assert (outcome.form.state, outcome.standing.applicant_signed) == (FormState.APPLIED, False)
    assert decide(desk, form, applicant, "apply").form.state is FormState.APPROVED


def test_only_the_named_applicant_signs_an_application(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form = desk.submit(seal)
    assert refusal(lambda: decide(desk, form, desk.human("applicant"), "apply")) is Code.PERMISSION_DENIED


def test_a_person_decides_once(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=2)
    form, approver = desk.submit(seal), desk.human("approver")
    decide(desk, form, approver)
    assert refusal(lambda: decide(desk, form, approver)) is Code.CONFLICT
    assert forms.show(desk.office, desk.client, form.number).form.state is FormState.APPLIED


def test_an_approver_unknown_to_the_signer_is_refused(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form, approver = desk.submit(seal), desk.human("approver", registered=False)
    assert refusal(lambda: decide(desk, form, approver)) is Code.APPROVER_UNKNOWN


def test_who_is_no_approver_decides_nothing(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form = desk.submit(seal)
    assert refusal(lambda: decide(desk, form, desk.human("operator"))) is Code.PERMISSION_DENIED
    assert refusal(lambda: decide(desk, form, Human("approver"))) is Code.NOT_FOUND


def test_a_decision_counts_for_its_form_alone(desk: Desk) -> None:
    seal, approver = desk.signer.state.add_seal(seal=1), desk.human("approver")
    one, other = desk.submit(seal), desk.submit(seal)
    taken = approver.decide(one.context, "approve", desk.now())
    assert refusal(lambda: decisions.decide(desk.office, desk.client, other.number, taken, "")) is Code.DECISION_INVALID


@pytest.mark.parametrize("change", [{"verdict": "reject"}, {"time": 1}, {"signature": bytes(70)}])
def test_a_changed_decision_is_refused(desk: Desk, change: dict[str, Any]) -> None:
    seal, approver = desk.signer.state.add_seal(seal=1), desk.human("approver")
    form = desk.submit(seal)
    changed = replace(approver.decide(form.context, "approve", desk.now()), **change)
    assert refusal(lambda: decisions.decide(desk.office, desk.client, form.number, changed, "because")) is Code.DECISION_INVALID


def test_a_decision_from_the_future_or_from_before_the_form_is_refused(desk: Desk) -> None:
    seal, approver = desk.signer.state.add_seal(seal=1), desk.human("approver")
    form = desk.submit(seal)
    for time in (desk.now() + 3600, form.created - 3600):
        given = approver.decide(form.context, "approve", time)
        assert refusal(partial(decisions.decide, desk.office, desk.client, form.number, given, "")) is Code.DECISION_INVALID


def test_a_rejection_needs_a_reason_and_is_final(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form, approver = desk.submit(seal), desk.human("approver")
    assert refusal(lambda: decide(desk, form, approver, "reject", "  ")) is Code.INVALID_ARGUMENT
    decide(desk, form, approver, "reject", "page 3 is blank")
    assert forms.show(desk.office, desk.client, form.number).form.reason == "page 3 is blank"
    assert refusal(lambda: decide(desk, form, desk.human("approver"))) is Code.FORM_STATE
    assert refusal(lambda: forms.fetch_token(desk.office, desk.client, form.number)) is Code.FORM_REJECTED


def test_a_form_can_be_rejected_while_the_signer_is_away(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form, approver = desk.submit(seal), desk.human("approver")
    desk.signer.stop()
    assert decide(desk, form, approver, "reject", "no").form.state is FormState.REJECTED


def test_without_the_signer_nothing_is_applied_for_or_approved(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form, approver = desk.submit(seal), desk.human("approver")
    desk.signer.stop()
    assert refusal(lambda: decide(desk, form, approver)) is Code.SERVICE_UNAVAILABLE
    assert refusal(lambda: desk.submit(seal)) is Code.SERVICE_UNAVAILABLE
    assert forms.show(desk.office, desk.client, form.number).form.decisions == ()


def test_a_past_term_ends_decisions_and_tokens(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    late, done, approver = desk.submit(seal, valid_s=60), desk.submit(seal, valid_s=60), desk.human("approver")
    decide(desk, done, approver)
    desk.clock.advance(60)
    assert refusal(lambda: decide(desk, late, approver)) is Code.TOKEN_EXPIRED
    assert refusal(lambda: forms.fetch_token(desk.office, desk.client, done.number)) is Code.TOKEN_EXPIRED


def test_a_withdrawn_form_keeps_its_number_and_takes_no_decision(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form = desk.submit(seal)
    assert forms.withdraw(desk.office, desk.client, form.number).state is FormState.WITHDRAWN
    assert refusal(lambda: decide(desk, form, desk.human("approver"))) is Code.FORM_STATE
    assert refusal(lambda: forms.withdraw(desk.office, desk.client, form.number)) is Code.FORM_STATE
    assert desk.submit(seal).number == "OFFICE-2026-000002"


def test_only_who_submitted_a_form_sees_it_withdraws_it_and_gets_its_token(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form, stranger = desk.submit(seal), principal_of(client_uri("crm"))
    with write(desk.office.engine) as connection:
        directory_store.add_client(connection, Client(uuid7(), "CRM", stranger.uri, "OFFICE"))
    decide(desk, form, desk.human("approver"))
    for act in (forms.show, forms.withdraw, forms.fetch_token):
        assert refusal(partial(act, desk.office, stranger, form.number)) is Code.NOT_FOUND
    assert forms.listing(desk.office, stranger, state=None, before=None, limit=10) == []
    assert forms.show(desk.office, desk.operator, form.number).form.number == form.number
    assert refusal(lambda: forms.fetch_token(desk.office, desk.operator, form.number)) is Code.SUBJECT_MISMATCH
    assert refusal(lambda: forms.withdraw(desk.office, desk.operator, form.number)) is Code.PERMISSION_DENIED


def test_an_operator_uses_no_seal(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    assert refusal(lambda: desk.submit(seal, caller=desk.operator)) is Code.PERMISSION_DENIED


def test_a_client_that_the_office_does_not_know_applies_for_nothing(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    assert refusal(lambda: desk.submit(seal, caller=principal_of(client_uri("nobody")))) is Code.PERMISSION_DENIED


def test_a_root_that_its_documents_do_not_give_is_refused(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    asked = replace(desk.documents(4), root=bytes(32))
    assert refusal(lambda: desk.submit(seal, asked=asked)) is Code.PROOF_INVALID


def test_seals_that_cannot_be_used_are_refused_at_once(desk: Desk) -> None:
    state = desk.signer.state
    assert refusal(lambda: desk.submit(uuid7())) is Code.SEAL_UNKNOWN
    assert refusal(lambda: desk.submit(state.add_seal(state="suspended", seal=1))) is Code.SEAL_SUSPENDED
    assert refusal(lambda: desk.submit(state.add_seal(state="retired", seal=1))) is Code.SEAL_RETIRED
    assert refusal(lambda: desk.submit(state.add_seal(resume=1))) is Code.ACTION_MISMATCH


def test_units_and_applicants_must_exist(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    assert refusal(lambda: desk.submit(seal, unit="NOWHERE")) is Code.UNIT_NOT_ALLOWED
    assert refusal(lambda: desk.submit(seal, applicant=uuid7())) is Code.APPLICANT_NOT_ALLOWED
    assert refusal(lambda: desk.submit(seal, applicant=desk.human("auditor").id)) is Code.APPLICANT_NOT_ALLOWED


def test_a_refused_submission_leaves_no_gap(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    assert refusal(lambda: desk.submit(seal, applicant=uuid7())) is Code.APPLICANT_NOT_ALLOWED
    assert desk.submit(seal).number == "OFFICE-2026-000001"


def test_a_quorum_of_zero_is_approved_by_the_workflow_alone(desk: Desk) -> None:
    form = desk.submit(desk.signer.state.add_seal(seal=0))
    assert form.state is FormState.APPROVED
    token = claims(desk, form.number)
    assert (token.decisions, token.policy.quorum) == ((), 0)


def test_a_policy_raises_the_quorum_and_never_lowers_it(desk: Desk) -> None:
    seal, (first, second, _) = desk.signer.state.add_seal(seal=2), [desk.human("approver") for _ in range(3)]
    policies.add(desk.office, "desk", Policy("lax", 1, 1))
    assert desk.submit(seal).context.policy.quorum == 2
    policies.add(desk.office, "desk", Policy("strict", 1, 3, seal=seal, action="seal"))
    form = desk.submit(seal)
    assert (form.context.policy.id, form.context.policy.version, form.context.policy.quorum) == ("strict", 1, 3)
    refusal_of = refusal(lambda: policies.add(desk.office, "desk", Policy("strict", 2, 1, seal=seal, action="seal")))
    assert refusal_of is Code.PERMISSION_DENIED
    assert desk.submit(seal).context.policy.quorum == 3
    for approver in (first, second):
        assert decide(desk, form, approver).form.state is FormState.APPLIED


def test_one_key_under_two_names_in_the_register_is_one_approver(desk: Desk) -> None:
    """The signer would count it once; a token that it refuses is not issued."""
    first, second = desk.human("approver"), desk.human("approver")
    compressed = spellings(first.key.public_key())["compressed"]
    desk.signer.state.people[second.id] = signer_pb2.PersonRecord(id=second.id, roles=["approver"], public_key=compressed, active=True)
    second.key = first.key
    form = desk.submit(desk.signer.state.add_seal(seal=2))
    decide(desk, form, first)
    assert decide(desk, form, second).form.state is FormState.APPLIED


def test_a_token_carries_decisions_with_low_s_whatever_people_sign_with(desk: Desk) -> None:
    approver = desk.human("approver")
    form = desk.submit(desk.signer.state.add_seal(seal=1))
    given = approver.decide(form.context, "approve", desk.now())
    decisions.decide(desk.office, desk.client, form.number, replace(given, signature=high_s(given.signature)), "")
    (carried,) = claims(desk, form.number).decisions
    assert carried == given


def test_a_quorum_raised_in_the_register_counts_for_open_forms(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form = desk.submit(seal)
    desk.signer.state.seals[seal].quorum[0].least_persons = 2
    first = decide(desk, form, desk.human("approver"))
    assert (first.form.state, len(first.standing.approvers), first.standing.needed) == (FormState.APPLIED, 1, 2), "and it is told"
    assert decide(desk, form, desk.human("approver")).form.state is FormState.APPROVED


def test_an_approver_who_left_the_register_counts_no_more(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=2)
    form, leaver = desk.submit(seal), desk.human("approver")
    decide(desk, form, leaver)
    desk.signer.state.people[leaver.id].active = False
    assert decide(desk, form, desk.human("approver")).form.state is FormState.APPLIED
    assert decide(desk, form, desk.human("approver")).form.state is FormState.APPROVED


def test_a_grant_covers_uses_until_a_time_and_needs_the_higher_tier_without_a_template(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1, grant_untemplated=2)
    until = desk.now() + 30 * 86_400
    free = desk.submit(seal, asked=GrantRequest(500, until, None))
    bound = desk.submit(seal, asked=GrantRequest(500, until, "ab" * 32))
    assert (free.context.policy.quorum, bound.context.policy.quorum) == (2, 1)
    assert free.context.covers == GrantCovers(500, until, None)
    assert free.context.exp == until
    decide(desk, bound, desk.human("approver"))
    assert claims(desk, bound.number).covers == GrantCovers(500, until, "ab" * 32)
    for wrong in (desk.now(), desk.now() + 10 * 366 * 86_400):
        assert refusal(partial(lambda until: desk.submit(seal, asked=GrantRequest(1, until, None)), wrong)) is Code.INVALID_ARGUMENT


def test_an_approved_act_is_carried_out_by_the_workflow(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(state="suspended", seal=1, resume=2)
    form = desk.submit(seal, asked=ActRequest({"seal": seal}), action="resume", caller=desk.operator)
    assert (form.context.sub, form.context.covers) == (service_uri("workflow"), ActCovers({"seal": seal}))
    decide(desk, form, desk.human("approver"))
    decide(desk, form, desk.human("approver"))
    assert performance_of(desk, form).state == "pending"
    assert desk.outbox.deliver()
    assert [done.jti for done in desk.signer.state.performed] == [form.context.jti]
    performance = performance_of(desk, form)
    assert (performance.state, performance.ledger_index) == ("done", 71)
    assert refusal(lambda: forms.fetch_token(desk.office, desk.operator, form.number)) is Code.SUBJECT_MISMATCH


def test_a_change_of_the_register_takes_the_registers_own_quorum(desk: Desk) -> None:
    desk.signer.state.register_quorum = 3
    form = desk.submit("", asked=ActRequest({"change": "person_remove", "id": uuid7()}), action="register", caller=desk.operator)
    assert (form.context.policy.quorum, form.context.seal) == (3, "")


def test_acts_and_uses_do_not_mix(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1, resume=1)
    act = ActRequest({})
    assert refusal(lambda: desk.submit(seal, asked=act, action="seal")) is Code.ACTION_MISMATCH
    assert refusal(lambda: desk.submit(seal, asked=act, action="destroy")) is Code.ACTION_MISMATCH
    assert refusal(lambda: desk.submit(seal, asked=act, action="register")) is Code.INVALID_ARGUMENT
    assert refusal(lambda: desk.submit("", asked=act, action="resume")) is Code.INVALID_ARGUMENT
    assert refusal(lambda: desk.submit(seal, action="resume")) is Code.ACTION_MISMATCH


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_an_approved_revocation_goes_to_the_ca_and_not_to_the_signer(desk: Desk, state: str) -> None:
    desk, ca = with_ca(desk)
    seal = desk.signer.state.add_seal(state=state, seal=1, revoke=2)
    form = desk.submit(seal, asked=ActRequest(REVOKE), action="revoke", caller=desk.operator)
    assert (form.context.aud, form.context.sub, form.context.policy.quorum) == (service_uri("ca"), service_uri("workflow"), 2)
    for _person in range(2):
        decide(desk, form, desk.human("approver"))
    ca.refuses = VermilionError(Code.SERVICE_UNAVAILABLE, "the CA is away")
    assert not desk.outbox.deliver()
    assert performance_of(desk, form).state == "pending"
    assert len(desk.signer.state.appended) > 0  # the signer gets its events meanwhile
    ca.refuses = None
    assert desk.outbox.deliver()
    assert [(done.jti, done.action, done.covers) for done in ca.performed] == [(form.context.jti, "revoke", ActCovers(REVOKE))]
    assert desk.signer.state.performed == []
    assert performance_of(desk, form).state == "done"


def test_a_revocation_that_the_ca_refuses_keeps_its_code(desk: Desk) -> None:
    desk, ca = with_ca(desk)
    ca.refuses = VermilionError(Code.CONFLICT, "the seal is active at the signer")
    form = desk.submit(desk.signer.state.add_seal(revoke=1), asked=ActRequest(REVOKE), action="revoke")
    decide(desk, form, desk.human("approver"))
    assert desk.outbox.deliver()
    performance = performance_of(desk, form)
    assert (performance.state, performance.code) == ("refused", "CONFLICT")


def test_a_revocation_needs_a_ca_and_its_own_quorum(desk: Desk) -> None:
    act = ActRequest(REVOKE)
    assert refusal(lambda: desk.submit(desk.signer.state.add_seal(revoke=1), asked=act, action="revoke")) is Code.ACTION_MISMATCH
    desk, _ = with_ca(desk)
    assert refusal(lambda: desk.submit(desk.signer.state.add_seal(resume=1), asked=act, action="revoke")) is Code.ACTION_MISMATCH
    desk.signer.state.register_quorum = 3  # of a certificate that is no seal's: the register's own
    assert desk.submit("", asked=act, action="revoke", caller=desk.operator).context.policy.quorum == 3


def test_an_act_that_the_signer_refuses_keeps_its_code(desk: Desk) -> None:
    desk.signer.state.refuse_performs = VermilionError(Code.CONFLICT, "the seal is not suspended")
    seal = desk.signer.state.add_seal(seal=1, resume=1)
    form = desk.submit(seal, asked=ActRequest({}), action="resume")
    decide(desk, form, desk.human("approver"))
    desk.outbox.deliver()
    performance = performance_of(desk, form)
    assert (performance.state, performance.code) == ("refused", "CONFLICT")


def test_a_stop_goes_to_the_signer_with_the_officers_own_signature(desk: Desk) -> None:
    from vermilion.client import people

    officer, seal = desk.human("officer"), desk.signer.state.add_seal(seal=1)
    statement, signature = people.stop("seal", seal, officer.id, "lost", key=officer, now=desk.clock.now())
    assert stops.stop(desk.office, "desk", statement, signature).epoch == 1
    assert desk.signer.state.stopped[0].subject == seal
    assert refusal(lambda: stops.stop(desk.office, "desk", replace(statement, reason="found"), signature)) is Code.DECISION_INVALID
    stranger = Human("officer")
    statement, signature = people.stop("grant", uuid7(), stranger.id, "lost", key=stranger, now=desk.clock.now())
    assert refusal(lambda: stops.stop(desk.office, "desk", statement, signature)) is Code.APPROVER_UNKNOWN
    desk.signer.stop()
    assert refusal(lambda: stops.stop(desk.office, "desk", statement, signature)) is Code.SERVICE_UNAVAILABLE


def test_whoever_writes_the_workflows_database_cannot_approve(desk: Desk) -> None:
    """Break-in table, line "workflow database": a flipped state, a forged decision, a swapped client give no token."""
    seal = desk.signer.state.add_seal(seal=1)
    flipped, forged, swapped = desk.submit(seal), desk.submit(seal), desk.submit(seal)
    intruder = Human("approver")
    now = desk.now()
    with write(desk.office.engine) as connection:
        here = tables.forms.c.number
        connection.execute(update(tables.forms).where(here == flipped.number).values(state="approved", settled=now))
        directory_store.add_person(connection, Person(intruder.id, "X", "OFFICE", frozenset({Role.APPROVER}), intruder.spki))
        given = intruder.decide(forged.context, "approve", now)
        row = {"number": forged.number, "person": intruder.id, "verdict": "approve", "time": now, "signature": given.signature}
        connection.execute(insert(tables.decisions).values(**row, reason="", received=now, position=0))
    assert refusal(lambda: forms.fetch_token(desk.office, desk.client, flipped.number)) is Code.FORM_STATE
    approver = desk.human("approver")
    desk.signer.state.seals[seal].quorum[0].least_persons = 2
    assert decide(desk, forged, approver).form.state is FormState.APPLIED
    desk.signer.state.seals[seal].quorum[0].least_persons = 1
    decide(desk, swapped, desk.human("approver"))
    with write(desk.office.engine) as connection:
        foreign = form_store.token(connection, swapped.number)
        connection.execute(update(tables.forms).where(here == flipped.number).values(token=foreign))
    assert refusal(lambda: forms.fetch_token(desk.office, desk.client, flipped.number)) is Code.TOKEN_MALFORMED


def test_roles_keep_using_operating_and_auditing_apart(desk: Desk) -> None:
    key = Human().spki
    for roles in ({Role.OPERATOR, Role.APPROVER}, {Role.AUDITOR, Role.APPLICANT}):
        assert refusal(partial(Person, uuid7(), "X", "OFFICE", frozenset(roles), key)) is Code.CONFLICT


def test_one_key_is_one_person(desk: Desk) -> None:
    human = desk.human("approver")
    twin = Person(uuid7(), "Twin", "OFFICE", frozenset({Role.APPROVER}), human.spki)
    assert refusal(lambda: directory.add_person(desk.office, "desk", twin)) is Code.CONFLICT
    assert refusal(lambda: directory.add_person(desk.office, "desk", replace(twin, public_key=b"no key"))) is Code.INVALID_ARGUMENT
    for encoding, spki in spellings(human.key.public_key()).items():
        code = Code.CONFLICT if encoding == "canonical" else Code.INVALID_ARGUMENT
        assert refusal(partial(directory.add_person, desk.office, "desk", replace(twin, public_key=spki))) is code, encoding
    assert refusal(lambda: directory.add_person(desk.office, "desk", replace(twin, unit="NONE", public_key=Human().spki))) is Code.NOT_FOUND


def test_every_event_has_its_place_in_the_outbox_of_its_own_transaction(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    form = desk.submit(seal)
    decide(desk, form, desk.human("approver"))
    with read(desk.office.engine) as connection:
        told = events.of_form(connection, form.number)
    assert [event.event for event in told] == ["form.applied", "form.endorsed", "form.approved"]
    assert desk.outbox.deliver()
    assert {event.ledger_index for event in forms.show(desk.office, desk.client, form.number).events} <= set(range(10))
    assert {request.form for request in desk.signer.state.appended.values()} == {form.number}


def test_a_decision_needs_a_verdict_of_the_protocol(desk: Desk) -> None:
    assert refusal(lambda: Decision(uuid7(), "maybe", desk.now(), bytes(70))) is Code.INVALID_ARGUMENT


def test_kinds_that_cannot_be_told_apart_are_refused() -> None:
    class NarrowerCovers(GrantCovers):
        """What a look for the covers of a grant would find, too."""

    class Own:
        """A request of another kind."""

    own = {"tag": "own", "request": Own, "covers": Own}
    kinds.require_distinct([*kinds.KINDS, type("OwnKind", (GrantKind,), own)()])
    for shared in ({"tag": GrantKind.tag}, {"request": GrantRequest}, {"covers": GrantCovers}, {"covers": NarrowerCovers}):
        with pytest.raises(ValueError, match="SharedKind"):
            kinds.require_distinct([*kinds.KINDS, type("SharedKind", (GrantKind,), own | shared)()])
