"""Acts are judged by whoever will carry them out, before anybody approves; and one that nobody takes holds nobody up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.db import write
from sealcore.platform.rpc.errors import UnreachableError
from sealcore.protocol.decision import MOST_PERSONS
from sealcore.protocol.token import parse
from tests.workflow.conftest import Desk
from tests.workflow.deciding import REVOKE, Ca, decide, refusal, states, with_ca
from tests.workflow.signer_side import Human
from workflow import tables
from workflow.delivery.outbox import Outbox
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import MOST_ACT_BYTES, ActRequest
from workflow.policies import use_cases as policies
from workflow.policies.model import Policy

ACT = ActRequest({"change": "register_quorum", "least_persons": 1})


def test_what_the_ca_would_refuse_is_neither_filed_nor_approved(desk: Desk) -> None:
    desk, ca = with_ca(desk)
    for action in ("revoke", "create"):
        ca.refuses_checks = VermilionError(Code.CONFLICT, "the seal is active at the signer", rule="The signer's state changes first.")
        asked = ActRequest(REVOKE)
        with pytest.raises(VermilionError) as refused:
            desk.submit("", asked=asked, action=action, caller=desk.operator)
        assert (refused.value.code, refused.value.rule) == (Code.CONFLICT, "The signer's state changes first.")
        ca.refuses_checks = None
        form = desk.submit("", asked=asked, action=action, caller=desk.operator)
        ca.refuses_checks = VermilionError(Code.CONFLICT, "revoked meanwhile")
        assert refusal(lambda form=form: decide(desk, form, desk.human("approver"))) is Code.CONFLICT  # type: ignore[misc]
        assert forms.show(desk.office, desk.operator, form.number).form.decisions == ()
    assert {(action, seal, str(parameters["serial"])) for action, seal, parameters, _ in ca.checked} == {
        ("revoke", "", "abc"),
        ("create", "", "abc"),
    }


def test_later_approvers_are_asked_whether_what_the_first_one_saw_still_stands(desk: Desk) -> None:
    """Whoever carries the act out is told when the first approval was given, the signer and the CA alike."""
    desk, ca = with_ca(desk)
    for asked, action in ((ACT, "register"), (ActRequest(REVOKE), "revoke")):
        form = desk.submit("", asked=asked, action=action, caller=desk.operator)
        began = desk.now()
        decide(desk, form, desk.human("approver"))
        desk.clock.advance(60)
        decide(desk, form, desk.human("approver"))
        told = [one[3] for one in ca.checked] if action == "revoke" else [one.approved_since or None for one in desk.signer.state.checked]
        assert told == [None, None, began]


def test_no_policy_asks_for_more_people_than_there_are(desk: Desk) -> None:
    """One could never be lowered again: that takes approvals, under this very policy."""
    people = [desk.human("approver") for _ in range(3)]
    desk.human("approver", registered=False)
    many = Policy("many", 1, 4, action="register")
    assert refusal(lambda: policies.add(desk.office, "desk", many)) is Code.QUORUM_UNMEETABLE
    policies.add(desk.office, "desk", replace(many, quorum=3))
    remove = ActRequest({"change": "person_remove", "id": people[0].id})
    assert refusal(lambda: desk.submit("", asked=remove, action="register", caller=desk.operator)) is Code.QUORUM_UNMEETABLE
    desk.human("approver")
    desk.submit("", asked=remove, action="register", caller=desk.operator)


@pytest.mark.parametrize(
    "narrower", [{"seal": uuid7()}, {"action": "seal"}, {"seal": uuid7(), "action": "resume"}], ids=["seal", "action", "both"]
)
def test_an_approved_policy_changes_nothing_of_which_it_does_not_speak(desk: Desk, narrower: dict[str, str]) -> None:
    """Version 2 asks for nine with one seal, which is what approvers read; that all others go down to nothing stands nowhere."""
    for _ in range(9):
        desk.human("approver")
    policies.add(desk.office, "desk", Policy("four-eyes", 1, 3))
    if "seal" in narrower:
        desk.signer.state.add_seal(narrower["seal"], seal=1)
    asked = ActRequest({"change": "policy_add", "id": "four-eyes", "version": 2, "quorum": 9, "seal": "", "action": "", **narrower})
    assert refusal(lambda: desk.submit("", asked=asked, action="register", caller=desk.operator)) is Code.CONFLICT


def test_an_act_whose_token_nobody_would_read_is_not_filed(desk: Desk) -> None:
    """It was approved, and refused by the signer as malformed: a token has a largest size."""
    fields = ["f" * 500] * (MOST_ACT_BYTES // 503 - 1)
    largest, larger = (ActRequest({"change": "template_add", "fields": names}) for names in (fields, [*fields, "f" * 500, "f" * 500]))
    assert refusal(lambda: desk.submit("", asked=larger, action="register", caller=desk.operator)) is Code.INVALID_ARGUMENT
    context = desk.submit("", asked=largest, action="register", caller=desk.operator).context
    people = [Human("approver") for _ in range(MOST_PERSONS)]
    token = desk.office.issuer.issue(context, [one.decide(context, "approve", desk.now()) for one in people], desk.now())
    assert parse(token).claims.context == context


def test_no_act_is_approved_by_the_workflow_alone(desk: Desk) -> None:
    desk, _ = with_ca(desk)
    seal = desk.signer.state.add_seal(seal=0, resume=0, revoke=0)
    for asked, action in ((ActRequest({}), "resume"), (ActRequest(REVOKE), "revoke")):
        form = desk.submit(seal, asked=asked, action=action)
        assert (form.state, form.context.policy.quorum) == ("applied", 1)


class Hanging(Ca):
    """A CA that gives no answer over the acts of some forms; ``asked`` keeps over which it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.over: set[str] = set()
        self.asked: list[str] = []

    def perform(self, token: str) -> None:
        self.asked.append(parse(token).claims.form)
        if self.asked[-1] in self.over:
            raise UnreachableError(Code.DEADLINE_EXCEEDED, "the service did not answer in time")
        super().perform(token)


def approved_revocations(desk: Desk, count: int) -> list[str]:
    desk.signer.state.register_quorum = 1
    approver, numbers = desk.human("approver"), []
    for at in range(count):
        form = desk.submit("", asked=ActRequest({**REVOKE, "serial": f"{at + 1:x}"}), action="revoke", caller=desk.operator)
        decide(desk, form, approver)
        numbers.append(form.number)
    return numbers


def hanging(desk: Desk) -> tuple[Desk, Hanging]:
    desk, _ = with_ca(desk)
    ca = Hanging()
    office = replace(desk.office, authority=ca)
    return replace(desk, office=office, outbox=Outbox(office.engine, office.register, ca)), ca


def test_a_receiver_that_gives_no_answer_is_asked_once_in_a_pass(desk: Desk) -> None:
    """Each question takes as long as a call may: a hundred acts would keep the signer's events back for half an hour."""
    desk, ca = hanging(desk)
    numbers = approved_revocations(desk, 5)
    ca.over = set(numbers)
    assert not desk.outbox.deliver()
    assert len(ca.asked) == 1
    assert states(desk).count("pending") == 5, "the signer has its events"
    ca.over = set()
    assert desk.outbox.deliver() and sorted(ca.asked[1:]) == numbers


def test_an_act_over_which_its_receiver_hangs_comes_last(desk: Desk) -> None:
    desk, ca = hanging(desk)
    first, *others = approved_revocations(desk, 3)
    ca.over = {first}
    assert not desk.outbox.deliver() and ca.asked == [first]
    assert not desk.outbox.deliver()
    assert ca.asked == [first, *others, first]
    assert [one.form for one in ca.performed] == others


def test_a_row_that_nobody_can_read_holds_nobody_up(desk: Desk) -> None:
    with write(desk.office.engine) as connection:
        row: dict[str, Any] = {"kind": "append", "event": "form.applied", "created": 1, "state": "pending", "key": uuid7()}
        connection.execute(insert(tables.outbox).values({**row, "body": "no JSON"}))
    desk.submit(desk.signer.state.add_seal(seal=0))
    assert not desk.outbox.deliver()
    assert states(desk) == ["pending", "done", "done"]
