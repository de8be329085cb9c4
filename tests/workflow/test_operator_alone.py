"""What an operator alone cannot do at the workflow: ask less than is asked, or make a client that nobody but the workflow approves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from sealcore.errors import Code
from sealcore.ids import client_uri, service_uri, uuid7
from sealcore.platform.db import read, write
from tests.workflow.conftest import Desk
from tests.workflow.deciding import decide, performance_of, refusal, with_ca
from workflow import tables
from workflow.directory import store as directory_store
from workflow.directory import use_cases as directory
from workflow.directory.model import Client
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import ActRequest
from workflow.forms.kinds.grant import GrantRequest
from workflow.forms.model import FormState
from workflow.policies import use_cases as policies
from workflow.policies.model import Policy
from workflow.principal import Principal, principal_of

SEAL, OTHER = uuid7(), uuid7()
IN_FORCE = (Policy("four-eyes", 1, 2), Policy("contract", 3, 3, seal=SEAL, action="seal"))


def with_policies(desk: Desk) -> None:
    for _approver in range(5):  # as many as any policy here asks for
        desk.human("approver")
    for seal in (SEAL, OTHER):
        desk.signer.state.add_seal(seal, seal=1)
    for rule in IN_FORCE:
        policies.add(desk.office, "desk", rule)


LESS = (
    Policy("four-eyes", 2, 1),  # less
    Policy("four-eyes", 2, 0),
    Policy("four-eyes", 9, 2, seal=SEAL),  # as much, but for one seal alone: the others lose it
    Policy("four-eyes", 2, 5, action="seal"),  # more, but for one action alone
    Policy("four-eyes", 2, 2, seal=OTHER),
    Policy("contract", 4, 2, seal=SEAL, action="seal"),
    Policy("contract", 4, 3, seal=SEAL, action="resume"),  # moved away
    Policy("contract", 4, 3, seal=OTHER, action="seal"),
    Policy("contract", 2**31 - 1, 0),
)


def test_operator_adds_no_policy_that_asks_less_than_those_in_force(desk: Desk) -> None:
    with_policies(desk)
    for rule in LESS:
        assert refusal(lambda rule=rule: policies.add(desk.office, "desk", rule)) is Code.PERMISSION_DENIED, rule  # type: ignore[misc]
    assert set(policies.listing(desk.office)) == set(IN_FORCE)


@pytest.mark.parametrize(
    "rule",
    [
        Policy("four-eyes", 2, 2),
        Policy("four-eyes", 2, 4),
        Policy("contract", 4, 3, seal=SEAL),  # wider
        Policy("contract", 4, 3),
        Policy("another", 1, 0),  # beside the others: the strictest counts
        Policy("contract", 2, 0, seal=SEAL, action="seal"),  # older than the newest: of no effect
    ],
)
def test_operator_adds_what_asks_as_much_or_more(desk: Desk, rule: Policy) -> None:
    with_policies(desk)
    policies.add(desk.office, "desk", rule)
    assert rule in policies.listing(desk.office)


def policy_act(**changed: str | int) -> ActRequest:
    return ActRequest({"change": "policy_add", "id": "four-eyes", "version": 2, "quorum": 1, "seal": "", "action": "", **changed})


def test_people_lower_a_policy_by_an_approved_act_that_goes_to_nobody_else(desk: Desk) -> None:
    with_policies(desk)
    form = desk.submit("", asked=policy_act(), action="register", caller=desk.operator)
    assert (form.context.aud, form.context.policy.quorum) == (service_uri("workflow"), 2)
    assert decide(desk, form, desk.human("approver")).form.state is FormState.APPLIED
    assert Policy("four-eyes", 2, 1) not in policies.listing(desk.office)
    assert decide(desk, form, desk.human("approver")).form.state is FormState.APPROVED
    assert Policy("four-eyes", 2, 1) in policies.listing(desk.office)
    assert performance_of(desk, form).state == "done"
    assert desk.outbox.deliver() and desk.signer.state.performed == []


def test_policy_that_another_overtook_is_refused_and_says_so(desk: Desk) -> None:
    with_policies(desk)
    form = desk.submit("", asked=policy_act(), action="register", caller=desk.operator)
    policies.add(desk.office, "desk", Policy("four-eyes", 5, 2))
    assert refusal(lambda: decide(desk, form, desk.human("approver"))) is Code.CONFLICT
    assert refusal(lambda: desk.submit("", asked=policy_act(), action="register", caller=desk.operator)) is Code.CONFLICT


def test_no_policy_is_added_under_which_no_form_could_come(desk: Desk) -> None:
    """It would be read as a safeguard, by the operator who adds it and by people who approve it."""
    with_policies(desk)
    retired = desk.signer.state.add_seal(seal=1, state="retired")
    never = [(uuid7(), "", Code.SEAL_UNKNOWN), (retired, "seal", Code.SEAL_RETIRED), (retired, "resume", Code.SEAL_RETIRED)]
    for seal, action, code in (*never, (SEAL, "register", Code.ACTION_UNKNOWN), (SEAL, "create", Code.ACTION_UNKNOWN)):
        policy = Policy("safe", 1, 2, seal=seal, action=action or None)
        assert refusal(lambda policy=policy: policies.add(desk.office, "desk", policy)) is code  # type: ignore[misc]
        act = policy_act(id="safe", version=1, quorum=2, seal=seal, action=action)
        assert refusal(lambda act=act: desk.submit("", asked=act, action="register", caller=desk.operator)) is code  # type: ignore[misc]
    policies.add(desk.office, "desk", Policy("safe", 1, 2, seal=retired, action="revoke"))
    same = policy_act(quorum=2)
    assert refusal(lambda: desk.submit("", asked=same, action="register", caller=desk.operator)) is Code.CONFLICT


WRONG: tuple[dict[str, str | int], ...] = (
    {"id": "Four Eyes"},
    {"version": 0},
    {"version": "2"},
    {"quorum": -1},
    {"quorum": "1"},
    {"seal": "contract"},
    {"action": "unlock"},
    {"more": "x"},
)


def test_policy_that_cannot_be_is_refused_before_anybody_is_asked(desk: Desk) -> None:
    for wrong in WRONG:
        act = policy_act(**wrong)
        code = refusal(lambda act=act: desk.submit("", asked=act, action="register", caller=desk.operator))  # type: ignore[misc]
        assert code is (Code.ACTION_UNKNOWN if "action" in wrong else Code.INVALID_ARGUMENT), wrong


def newcomer(desk: Desk) -> tuple[Client, Principal]:
    """A client that an operator has added."""
    identifier = uuid7()
    client = directory.add_client(desk.office, "desk", Client(identifier, f"New {identifier}", client_uri(identifier), "OFFICE"))
    return client, principal_of(client.uri)


def test_client_that_an_operator_alone_added_has_nothing_approved_by_the_workflow_alone(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=0, grant_untemplated=0)
    client, caller = newcomer(desk)
    assert not client.approved
    grant = GrantRequest(10, desk.now() + 3600, None)
    for asked in (desk.documents(), grant):
        form = desk.submit(seal, asked=asked, caller=caller)
        assert (form.state, form.context.policy.quorum) == (FormState.APPLIED, 1)
        assert refusal(lambda form=form: forms.fetch_token(desk.office, caller, form.number)) is Code.FORM_STATE  # type: ignore[misc]
    assert decide(desk, form, desk.human("approver")).form.state is FormState.APPROVED
    assert desk.submit(seal).state is FormState.APPROVED, "one that people let in"


def test_operator_cannot_say_that_people_approved_a_client(desk: Desk) -> None:
    uri = client_uri(uuid7())
    directory.add_client(desk.office, "desk", Client(uuid7(), "New", uri, "OFFICE", approved=True))
    with read(desk.office.engine) as connection:
        found = directory_store.client_by_uri(connection, uri)
    assert found is not None and not found.approved


def test_client_is_let_in_by_the_approved_act_for_its_own_uri_alone(desk: Desk) -> None:
    desk, ca = with_ca(desk)
    seal = desk.signer.state.add_seal(seal=0)
    client, caller = newcomer(desk)
    other, other_caller = newcomer(desk)
    act = {"change": "certificate", "profile": "client", "uri": client.uri, "common_name": "New", "spki_sha256": "00", "request": "AA"}
    operators = desk.submit("", asked=ActRequest(act | {"profile": "operator", "uri": other.uri}), action="create", caller=desk.operator)
    form = desk.submit("", asked=ActRequest(act), action="create", caller=desk.operator)
    assert (form.context.aud, form.context.seal, form.context.policy.quorum) == (service_uri("ca"), "", 2)
    for one in (form, operators):
        for _ in range(2):
            decide(desk, one, desk.human("approver"))
    assert desk.submit(seal, caller=caller).state is FormState.APPROVED
    assert desk.submit(seal, caller=other_caller).state is FormState.APPLIED
    assert desk.outbox.deliver()
    assert {done.jti for done in ca.performed} == {form.context.jti, operators.context.jti} and desk.signer.state.performed == []


def test_identity_names_no_seal_and_takes_the_registers_quorum_even_where_it_is_small(desk: Desk) -> None:
    desk, _ca = with_ca(desk)
    act = ActRequest({"change": "certificate"})
    named = desk.signer.state.add_seal(seal=0)
    assert refusal(lambda: desk.submit(named, asked=act, action="create", caller=desk.operator)) is Code.INVALID_ARGUMENT
    desk.signer.state.register_quorum = 0
    form = desk.submit("", asked=act, action="create", caller=desk.operator)
    assert (form.state, form.context.policy.quorum) == (FormState.APPLIED, 1)


def test_clients_from_before_count_as_let_in_and_seeded_ones_too(desk: Desk) -> None:
    """A row of an older office, which the migration marks, and one that the ceremony puts in."""
    client = Client(uuid7(), "Old", client_uri(uuid7()), "OFFICE")
    with write(desk.office.engine) as connection:
        directory_store.add_client(connection, client)
        row: dict[str, Any] = {"id": uuid7(), "name": "Bare", "uri": client_uri(uuid7()), "unit": "OFFICE", "active": True}
        connection.execute(insert(tables.clients).values(row))
        bare = directory_store.client_by_uri(connection, row["uri"])
    assert client.approved and bare is not None and not bare.approved, "what says nothing is not approved"
    assert replace(client, approved=False).least_persons == 1
