"""Nobody is asked to approve what its receiver can never count: a form from before a restore, or of a client that is shut out."""

from __future__ import annotations

from typing import Any

import pytest

from sealcore.errors import Code, VermilionError
from tests.workflow.conftest import Desk
from tests.workflow.deciding import REVOKE, decide, refusal, with_ca
from workflow.forms import decisions
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import ActRequest
from workflow.forms.kinds.grant import GrantRequest

ACT = ActRequest({"change": "register_quorum", "least_persons": 1})


def filed(desk: Desk, kind: str) -> Any:
    """A form of this kind that asks for two approvers."""
    if kind == "act":
        return desk.submit("", asked=ACT, action="register", caller=desk.operator)
    seal = desk.signer.state.add_seal(seal=2, grant_untemplated=2)
    asked = GrantRequest(3, desk.now() + 3600, None) if kind == "grant" else None
    return desk.submit(seal, asked=asked)


@pytest.mark.parametrize("kind", ["documents", "grant", "act"])
def test_a_form_from_before_the_signers_restore_is_not_approved(desk: Desk, kind: str) -> None:
    form, approver = filed(desk, kind), desk.human("approver")
    desk.clock.advance(60)
    desk.signer.state.restored_at = desk.now()
    desk.clock.advance(60)
    assert refusal(lambda: decide(desk, form, approver)) is Code.TOKEN_BEFORE_RESTORE
    assert forms.show(desk.office, desk.operator, form.number).form.decisions == ()
    decide(desk, filed(desk, kind), approver)  # a new form is the way out


@pytest.mark.parametrize("kind", ["documents", "grant", "act"])
def test_an_approval_from_before_the_signers_restore_is_not_added_to(desk: Desk, kind: str) -> None:
    form, first, second = filed(desk, kind), desk.human("approver"), desk.human("approver")
    decide(desk, form, first)
    desk.clock.advance(60)
    desk.signer.state.restored_at = desk.now()
    desk.clock.advance(60)
    assert refusal(lambda: decide(desk, form, second)) is Code.TOKEN_BEFORE_RESTORE
    assert desk.outbox.deliver() and desk.signer.state.performed == []
    rejected = decisions.decide(
        desk.office, desk.operator, form.number, second.decide(form.context, "reject", desk.now()), "from before the restore"
    )
    assert rejected.form.state == "rejected", "saying no counts at once"


def test_a_decision_dated_before_the_restore_is_refused_itself(desk: Desk) -> None:
    """Its form is younger than the restore; the decision's own time, within the tolerance of clocks, is not."""
    approver = desk.human("approver")
    desk.signer.state.restored_at = desk.now()
    form = filed(desk, "documents")
    early = approver.decide(form.context, "approve", desk.now() - 1)
    assert refusal(lambda: decisions.decide(desk.office, desk.client, form.number, early, "")) is Code.TOKEN_BEFORE_RESTORE
    decide(desk, form, approver)


def test_the_ca_is_told_of_the_earliest_that_is_in_a_form(desk: Desk) -> None:
    """Its own restore is judged by it: of the form's start and all decisions, the one under way included."""
    desk, ca = with_ca(desk)
    began = desk.now()
    form = desk.submit("", asked=ActRequest(REVOKE), action="revoke", caller=desk.operator)
    first = desk.human("approver")
    early = first.decide(form.context, "approve", began - 1)
    decisions.decide(desk.office, desk.operator, form.number, early, "")
    desk.clock.advance(60)
    decide(desk, form, desk.human("approver"))
    assert ca.earliest == [began, began - 1, began - 1]


def test_acts_of_the_ca_do_not_ask_for_the_signers_restore(desk: Desk) -> None:
    desk, _ = with_ca(desk)
    form = desk.submit("", asked=ActRequest(REVOKE), action="revoke", caller=desk.operator)
    desk.clock.advance(60)
    desk.signer.state.restored_at = desk.now()
    decide(desk, form, desk.human("approver"))


@pytest.mark.parametrize("kind", ["documents", "grant"])
def test_nothing_is_filed_or_approved_for_a_client_that_is_shut_out(desk: Desk, kind: str) -> None:
    form, first, second = filed(desk, kind), desk.human("approver"), desk.human("approver")
    decide(desk, form, first)
    desk.signer.state.shut_out = [desk.client.uri]
    with pytest.raises(VermilionError) as refused:
        decide(desk, form, second)
    assert refused.value.code is Code.PERMISSION_DENIED
    assert desk.client.uri in refused.value.reason and "vermilion clients allow" in refused.value.rule
    assert refusal(lambda: filed(desk, kind)) is Code.PERMISSION_DENIED
    decide(desk, filed(desk, "act"), first)  # who lets it in again is not held up
    desk.signer.state.shut_out = []
    assert decide(desk, form, second).form.state == "approved"
