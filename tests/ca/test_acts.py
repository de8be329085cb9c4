"""Approval tokens at the CA: every step of its gate refuses by its own code, a token counts once, and no register means no act."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select

from ca.acts import Acts
from ca.revocation.change import Change, Kind
from ca.revocation.revoke import by_caller
from ca.tables import acts, outbox
from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri, uuid7
from sealcore.platform.db import read
from sealcore.protocol import decision as decisions
from sealcore.protocol.covers import ActCovers, GrantCovers
from sealcore.protocol.token import Claims, Policy, parse
from tests.attacks.encodings import high_s, twin_token
from tests.ca.office import Desk
from tests.ca.people import WORKFLOW, Case, new_case, new_key, signs

pytestmark = pytest.mark.xdist_group("ca acts")  # what they share is slow to make


@pytest.fixture(name="desk")
def _desk(own_desk: Desk) -> Desk:
    return own_desk


@pytest.fixture
def case(desk: Desk) -> Case:
    return new_case(desk)


def test_quorum_revokes_a_seal_and_the_ledger_is_told_with_form_people_and_policy(case: Case) -> None:
    token = case.token()
    number = case.perform(token)
    assert case.is_listed
    with read(case.desk.engine) as connection:
        act = connection.execute(select(acts).where(acts.c.serial == f"{case.certificate.serial_number:x}")).one()
        note = connection.execute(select(outbox).where(outbox.c.idempotency_key == f"act:{act.id}")).one()
    assert (act.crl_number, token in act.evidence) == (number, True)
    assert (note.kind, note.form, note.policy) == ("revocation", "TEST-2026-000001", "default/1")
    assert note.people == ",".join(sorted(case.people.approvers))


def test_token_counts_once_and_a_repeat_gets_the_same_answer_also_when_it_has_expired_and_the_signer_is_away(case: Case) -> None:
    token = case.token()
    number = case.perform(token)
    case.desk.publisher.publish("seals")
    case.desk.clock.advance(7200)
    case.people.away = True
    assert case.perform(token) == number
    with read(case.desk.engine) as connection:
        count = select(func.count()).where(acts.c.serial == f"{case.certificate.serial_number:x}")
        assert connection.execute(count).scalar_one() == 1


def test_token_of_a_release_that_came_before_a_new_hold_does_not_release_again(case: Case) -> None:
    case.desk.hold("seals", case.certificate.serial_number)
    token = case.token(case.change(Kind.RELEASE))
    number = case.perform(token)
    assert not case.is_listed
    case.desk.hold("seals", case.certificate.serial_number)
    assert case.perform(token) == number and case.is_listed


def test_release_that_is_kept_back_lifts_no_later_hold(case: Case) -> None:
    """Two releases are approved of one hold; one is handed over, the other when the certificate is on hold anew."""
    case.desk.hold("seals", case.certificate.serial_number)
    kept_back, token = (case.token(case.change(Kind.RELEASE)) for _ in range(2))
    case.desk.clock.advance(60)
    case.perform(token)
    case.desk.clock.advance(60)
    case.desk.hold("seals", case.certificate.serial_number)
    with pytest.raises(VermilionError) as refused:
        case.perform(kept_back)
    assert refused.value.code is Code.CONFLICT and case.is_listed
    case.perform(case.token(case.change(Kind.RELEASE)))
    assert not case.is_listed


def test_act_is_judged_before_it_is_approved_as_it_is_carried_out_and_nothing_changes(case: Case) -> None:
    """Each is said of the act as it stands, and to the second approver what has changed since the first one's approval."""

    def judged(change: Change, seal: str | None = None, since: int | None = None) -> Code | None:
        try:
            case.acts.check("revoke", case.seal if seal is None else seal, change.as_json(), since)
        except VermilionError as fault:
            return fault.code
        return None

    began = int(case.desk.clock.now().timestamp())
    assert judged(case.change()) is None and not case.is_listed
    assert judged(case.change(), seal="") is Code.SEAL_UNKNOWN
    assert judged(case.change(Kind.RELEASE)) is Code.CONFLICT
    case.at_signer("active", revoke=2)
    assert judged(case.change()) is Code.CONFLICT
    assert judged(case.change(Kind.HOLD)) is None
    case.at_signer("suspended", resume=2)
    assert judged(case.change()) is Code.ACTION_MISMATCH
    case.at_signer("suspended", revoke=2)
    case.desk.clock.advance(60)
    case.desk.hold("seals", case.certificate.serial_number)
    assert judged(case.change(Kind.HOLD)) is Code.CONFLICT
    assert judged(case.change(Kind.RELEASE)) is None
    assert judged(case.change(Kind.RELEASE), since=began) is Code.CONFLICT
    case.perform(case.token())
    assert judged(case.change()) is Code.CONFLICT
    case.people.away = True
    assert judged(case.change()) is Code.SERVICE_UNAVAILABLE


def test_two_replicas_carry_out_one_token_once(replicas: tuple[Desk, Desk]) -> None:
    case = new_case(replicas[0])
    both = [Acts(desk.engine, desk.revocation, desk.issuance, case.people, clock=desk.clock) for desk in replicas]
    token = case.token()
    with ThreadPoolExecutor(4) as pool:
        numbers = set(pool.map(lambda index: both[index % 2].perform(token, WORKFLOW).crl_number, range(8)))
    assert len(numbers) == 1 and case.is_listed
    with read(case.desk.engine) as connection:
        assert connection.execute(select(func.count()).select_from(acts)).scalar_one() == 1


def test_another_token_of_the_same_jti_is_a_conflict(case: Case) -> None:
    jti = uuid7()
    case.perform(case.token(jti=jti))
    with pytest.raises(VermilionError) as refused:
        case.perform(case.token(jti=jti, form="TEST-2026-000002"))
    assert refused.value.code is Code.CONFLICT


def test_token_with_the_twin_of_its_signature_is_the_same_token(case: Case) -> None:
    """(r, n - s) can be computed by anybody: it opens nothing anew, and nothing at all before the first."""
    token = case.token()
    assert case.refused(twin_token(token)) is Code.DECISION_INVALID
    number = case.perform(token)
    case.desk.publisher.publish("seals")
    assert case.perform(twin_token(token)) == number
    with read(case.desk.engine) as connection:
        count = select(func.count()).where(acts.c.serial == f"{case.certificate.serial_number:x}")
        assert connection.execute(count).scalar_one() == 1


def test_decision_with_a_high_s_does_not_carry_an_act(case: Case) -> None:
    claims = parse(case.token()).claims
    first = replace(claims.decisions[0], signature=high_s(claims.decisions[0].signature))
    assert case.refused(case.token(jti=claims.jti, decisions=(first, *claims.decisions[1:]))) is Code.DECISION_INVALID


def test_one_key_under_two_names_is_one_person(case: Case) -> None:
    """The signer's register refuses it; one that is older than this rule may still hold it."""
    first = next(iter(case.people.approvers.values()))
    case.people.approvers.update(dict.fromkeys(case.people.approvers, first))
    assert case.refused(case.token()) is Code.QUORUM_NOT_MET


def test_signer_that_cannot_be_asked_means_no_act(case: Case) -> None:
    case.people.away = True
    assert case.refused(case.token()) is Code.SERVICE_UNAVAILABLE
    case.people.away = False
    assert case.perform(case.token())


def test_no_rule_lets_the_workflow_alone_revoke(case: Case) -> None:
    case.at_signer("suspended", revoke=0)
    assert case.refused(case.token(by=0)) is Code.QUORUM_NOT_MET


def test_each_step_refuses_by_its_own_code(case: Case) -> None:
    now = int(case.desk.clock.now().timestamp())
    stranger = uuid7()
    approver, other = case.people.approvers.items()
    assert case.refused("") is Code.TOKEN_MISSING
    assert case.refused("a.b.c") is Code.TOKEN_MALFORMED
    assert case.refused(case.token(issuer=new_key())) is Code.ISSUER_NOT_PINNED
    head, body, _signature = case.token().split(".")
    assert case.refused(f"{head}.{body}.{case.token().split('.')[2]}") is Code.TOKEN_SIGNATURE_INVALID
    assert case.refused(case.token(aud=service_uri("signer"))) is Code.AUDIENCE_MISMATCH
    assert case.refused(case.token(), peer=service_uri("signer")) is Code.SUBJECT_MISMATCH
    assert case.refused(case.token(nbf=now + 31)) is Code.TOKEN_NOT_YET_VALID
    assert case.refused(case.token(nbf=now - 3600, exp=now)) is Code.TOKEN_EXPIRED
    assert case.refused(case.token(action="resume")) is Code.ACTION_MISMATCH
    assert case.refused(case.token(covers=GrantCovers(1, now + 60, None))) is Code.ACTION_MISMATCH
    assert case.refused(case.token(covers=ActCovers({"change": "revoke", "serial": "1"}))) is Code.INVALID_ARGUMENT
    assert case.refused(case.token(Change(Kind.REVOKE, "seals", 4711, "superseded"))) is Code.NOT_FOUND
    assert case.refused(case.token(seal="")) is Code.SEAL_UNKNOWN
    assert case.refused(case.token(seal=uuid7())) is Code.SEAL_UNKNOWN
    assert case.refused(case.token(by=1)) is Code.QUORUM_NOT_MET
    assert case.refused(case.token(policy=Policy("strict", 1, 3))) is Code.QUORUM_NOT_MET

    def decided(*given: tuple[str, str, ec.EllipticCurvePrivateKey], **about: Any) -> str:
        fixed = {"jti": uuid7(), **about}
        context = _claims_of(case.token(**fixed)).context
        signed = tuple(decisions.sign(context, person, verdict, now, signs(key)) for person, verdict, key in given)
        return case.token(**fixed, decisions=signed)

    yes, no = (*approver[:1], "approve", approver[1]), (*other[:1], "reject", other[1])
    assert case.refused(decided(yes, no)) is Code.DECISION_INVALID
    assert case.refused(decided(yes, (other[0], "approve", new_key()))) is Code.DECISION_INVALID
    assert case.refused(decided(yes, (other[0], "apply", other[1]), (other[0], "approve", other[1]))) is Code.OWN_REQUEST
    assert case.refused(decided(yes, (stranger, "approve", new_key()))) is Code.APPROVER_UNKNOWN
    assert case.refused(decided(yes, (case.people.officer, "approve", case.people.officer_key))) is Code.APPROVER_UNKNOWN
    assert case.perform(decided(yes, (other[0], "approve", other[1])))  # the helper itself is sound


def test_decision_on_another_certificate_or_reason_does_not_count_here(case: Case) -> None:
    jti = uuid7()
    elsewhere = _claims_of(case.token(case.change(reason="superseded"), jti=jti)).decisions
    assert case.refused(case.token(jti=jti, decisions=elsewhere)) is Code.DECISION_INVALID


def test_seal_without_a_quorum_for_it_is_revoked_by_nobody(case: Case) -> None:
    case.at_signer("suspended", resume=1)
    assert case.refused(case.token()) is Code.ACTION_MISMATCH


def test_seal_in_use_is_not_revoked_before_the_signer_has_stopped_it(case: Case) -> None:
    case.at_signer("active", revoke=2)
    with pytest.raises(VermilionError) as refused:
        case.perform(case.token())
    assert refused.value.code is Code.CONFLICT and refused.value.rule == "The signer's state changes first, the revocation follows."
    assert not case.is_listed
    for state in ("suspended", "retired"):
        one = new_case(case.desk, case.people)
        one.at_signer(state, revoke=2)
        assert one.perform(one.token()) and one.is_listed


def test_certificate_of_no_registered_seal_takes_the_registers_own_quorum(case: Case) -> None:
    case.people.seals.clear()
    assert case.refused(case.token()) is Code.SEAL_UNKNOWN
    assert case.refused(case.token(seal="", by=1)) is Code.QUORUM_NOT_MET
    assert case.perform(case.token(seal=""))


def test_root_is_not_reached_without_its_own_token(case: Case) -> None:
    change = Change(Kind.REVOKE, "root", case.desk.authorities["seals"].serial_number, "cACompromise")
    with pytest.raises(VermilionError) as refused:
        case.desk.revocation.perform(change, by_caller("https://vermilion.internal/operator/test", change))
    assert refused.value.code is Code.INVALID_ARGUMENT and "is not here" in refused.value.reason


def _claims_of(token: str) -> Claims:
    return parse(token).claims
