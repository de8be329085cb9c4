"""Approved acts that somebody on the way keeps back and hands over when things have changed, and acts that nobody approved.

Whoever carries the outbox chooses when an act arrives. It is not carried out in another state than the one its approvers were shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sealcore.errors import Code
from sealcore.ids import operator_uri, uuid7
from sealcore.protocol import stop as stops
from sealcore.protocol.actions import ACTIONS
from sealcore.protocol.canonical import b64url, b64url_decode
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.ledger_entry import time_us
from sealcore.protocol.stop import StopStatement
from sealcore.protocol.token import key_id
from signer.acts.changes import seeded
from signer.acts.model import Act, carry_out, perform_act, stop_act
from signer.register.meetable import require_meetable
from signer.register.model import Register
from tests.attacks.codes import code_of
from tests.signer.desk import Desk, desk, office
from tests.signer.office import AUDIENCE, person, spki

__all__ = ["desk", "office"]  # the fixtures

OPERATOR = operator_uri("test")
TEMPLATE = hashlib.sha256(b"a base PDF").hexdigest()
CLIENT = "https://vermilion.internal/client/erp"
KEY = b64url(spki(ec.generate_private_key(ec.SECP256R1()).public_key()))


def approved(desk: Desk, action: str, parameters: dict[str, Any], *, seal: str | None = None, by: int = 2) -> str:
    """The token of an act that was approved now."""
    now, office = int(desk.clock.now().timestamp()), desk.office
    claims = office.claims(ActCovers(parameters), seal=seal, action=action, sub=OPERATOR, iat=now, nbf=now)
    return office.encode(office.decided(claims, *(office.bo, office.chen)[:by]))


def arrives(desk: Desk, token: str) -> None:
    """The act is handed to the signer now."""
    desk.register.record(perform_act(token, time_us(desk.clock.now())), peer=OPERATOR)


def change(desk: Desk, name: str, **parameters: Any) -> None:
    """An act of the register that is approved and carried out now, a while after what was before."""
    desk.clock.advance(5)
    arrives(desk, approved(desk, "register", {"change": name, **parameters}))


def stop(desk: Desk, kind: str, subject: str) -> None:
    """An officer's stop, a while later."""
    desk.clock.advance(5)
    time = desk.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    statement = StopStatement(kind, subject, desk.office.dai.id, "drill", time)
    desk.register.record(stop_act(statement, stops.sign(statement, desk.office.dai.sign), time_us(desk.clock.now())))


def contract(desk: Desk) -> str:
    return desk.office.seals["contract"].id


def resumed_and_stopped_again(desk: Desk) -> None:
    desk.clock.advance(5)
    arrives(desk, approved(desk, "resume", {}, seal="contract"))
    stop(desk, "seal", contract(desk))


def issuer_removed_for_good(desk: Desk) -> None:
    change(desk, "issuer_add", public_key=KEY)
    change(desk, "issuer_remove", kid=key_id(b64url_decode(KEY, Code.INTERNAL)))


def let_in_and_shut_out_again(desk: Desk) -> None:
    change(desk, "client_allow", client=CLIENT)
    change(desk, "client_stop", client=CLIENT)


Scene = tuple[Callable[[Desk], None], str, dict[str, Any], str | None, Callable[[Desk], None]]
"""What is so at first; the act that is approved then (action, parameters, seal); and what comes about while it is kept back."""

KEPT_BACK: dict[str, Callable[[Desk], Scene]] = {
    "a resume, over a new stop": lambda desk: (
        lambda d: stop(d, "seal", contract(d)), "resume", {}, "contract", resumed_and_stopped_again,
    ),
    "a resume, over a second stop of what is stopped": lambda desk: (
        lambda d: stop(d, "seal", contract(d)), "resume", {}, "contract", lambda d: stop(d, "seal", contract(d)),
    ),
    "an issuer, over its removal": lambda desk: (
        lambda d: None, "register", {"change": "issuer_add", "public_key": KEY}, None, issuer_removed_for_good,
    ),
    "a client, over its second stop": lambda desk: (
        lambda d: change(d, "client_stop", client=CLIENT), "register", {"change": "client_allow", "client": CLIENT}, None,
        let_in_and_shut_out_again,
    ),
    "a seal's rules, over newer ones": lambda desk: (
        lambda d: None, "register", {"change": "seal_quorum", "id": contract(desk), "quorum": ["seal:2", "resume:1"]}, None,
        lambda d: change(d, "seal_quorum", id=contract(d), quorum=["seal:3", "resume:2"]),
    ),
    "what a seal lets pass, over a stricter word": lambda desk: (
        lambda d: change(d, "seal_content", id=contract(d), content_policy="strict"),
        "register", {"change": "seal_content", "id": contract(desk), "content_policy": "report"}, None,
        lambda d: stop(d, "seal", contract(d)),
    ),
    "the register's own rule, over a newer one": lambda desk: (
        lambda d: None, "register", {"change": "register_quorum", "least_persons": 1}, None,
        lambda d: change(d, "register_quorum", least_persons=3),
    ),
    "a template, over a narrower one": lambda desk: (
        lambda d: None, "register", {"change": "template_add", "template": TEMPLATE, "pdf": TEMPLATE, "fields": ["name", "sum"]}, None,
        lambda d: change(d, "template_add", template=TEMPLATE, pdf=TEMPLATE, fields=["name"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT_BACK)
def test_an_approved_act_that_is_kept_back_undoes_nothing_that_came_later(desk: Desk, name: str) -> None:
    first, action, parameters, seal, later = KEPT_BACK[name](desk)
    first(desk)
    desk.clock.advance(5)
    by = (desk.office.bo, desk.office.chen, desk.office.ada)
    now = int(desk.clock.now().timestamp())
    claims = desk.office.claims(ActCovers(parameters), seal=seal, action=action, sub=OPERATOR, iat=now, nbf=now)
    token = desk.office.encode(desk.office.decided(claims, *by))
    later(desk)
    before = desk.register.current()
    desk.clock.advance(5)
    assert code_of(lambda: arrives(desk, token)) is Code.CONFLICT
    assert desk.register.current().records() == before.records()


@pytest.mark.parametrize("name", KEPT_BACK)
def test_the_same_act_that_comes_in_time_is_carried_out(desk: Desk, name: str) -> None:
    first, action, parameters, seal, _ = KEPT_BACK[name](desk)
    first(desk)
    desk.clock.advance(5)
    token = approved(desk, action, parameters, seal=seal)
    desk.clock.advance(1800)
    before = desk.register.current().version
    arrives(desk, token)
    assert desk.register.current().version == before + 1


def test_one_approval_from_before_a_change_spoils_an_act(desk: Desk) -> None:
    """The first approver was shown another state than the second."""
    stop(desk, "seal", contract(desk))
    office, early = desk.office, int(desk.clock.now().timestamp())
    claims = office.claims(ActCovers({}), seal="contract", action="resume", sub=OPERATOR, iat=early, nbf=early)
    first = office.decided(claims, office.bo).decisions
    stop(desk, "seal", contract(desk))
    later = replace(claims, iat=early + 6)
    second = office.decided(later, office.chen).decisions
    token = office.encode(replace(later, decisions=(*first, *second)))
    desk.clock.advance(5)
    assert code_of(lambda: arrives(desk, token)) is Code.CONFLICT


def test_acts_about_other_things_do_not_get_in_each_others_way(desk: Desk) -> None:
    waiting = approved(desk, "register", {"change": "issuer_add", "public_key": KEY})
    change(desk, "seal_quorum", id=contract(desk), quorum=["seal:3", "resume:2"])
    stop(desk, "seal", desk.office.seals["invoice"].id)
    arrives(desk, waiting)


def test_approvals_of_somebody_who_has_left_since_carry_no_act(desk: Desk) -> None:
    token = approved(desk, "register", {"change": "issuer_add", "public_key": KEY})
    change(desk, "person_add", **person("approver").as_seed())
    change(desk, "person_remove", id=desk.office.bo.id)
    desk.clock.advance(5)
    assert code_of(lambda: arrives(desk, token)) is Code.APPROVER_UNKNOWN


# --- a second seal over one key


@pytest.mark.parametrize("first", ["active", "suspended", "retired"])
def test_no_second_seal_stands_on_the_key_of_another(desk: Desk, first: str) -> None:
    """With rules of its own it would pass by the first one's people, its stop and its end."""
    if first == "suspended":
        stop(desk, "seal", contract(desk))
    if first == "retired":
        change(desk, "seal_retire", id=contract(desk))
    record = {**desk.office.seal_record(desk.office.seals["contract"]), "id": uuid7(), "quorum": ["seal:0"], "name": "Another"}
    token = approved(desk, "register", {"change": "seal_add", **record})
    assert code_of(lambda: arrives(desk, token)) is Code.CONFLICT
    assert code_of(lambda: require_meetable(Register(), twice(desk))) is Code.CONFLICT, "nor in a seed"


def twice(desk: Desk) -> Register:
    seed = desk.office.seed()
    again = {**seed["seals"][0], "id": uuid7()}
    return carry_out(Register(), Act({**seed, "kind": "seed", "seals": [*seed["seals"], again]}, 0).accepted(), audience=AUDIENCE).register


# --- acts that nobody approved


def test_no_rule_lets_the_workflow_alone_have_an_act_carried_out(desk: Desk) -> None:
    for rules in (["seal:0", "resume:0"], ["resume:2", "revoke:0"], ["seal:2", "destroy:0"]):
        token = approved(desk, "register", {"change": "seal_quorum", "id": contract(desk), "quorum": rules})
        assert code_of(lambda token=token: arrives(desk, token)) is Code.INVALID_ARGUMENT  # type: ignore[misc]
    change(desk, "seal_quorum", id=contract(desk), quorum=["seal:0", "grant-untemplated:0", "resume:1"])


def test_no_rule_is_approved_for_what_nobody_does_with_a_seal(desk: Desk) -> None:
    """By an approved token as well, so that no workflow has people sign a safeguard that is none; a seed with one is refused, too."""
    seed = desk.office.seed()
    for action in sorted(ACTIONS - {"seal", "resume", "revoke"}):
        rules = ["seal:2", "resume:1", f"{action}:2"]
        token = approved(desk, "register", {"change": "seal_quorum", "id": contract(desk), "quorum": rules})
        assert code_of(lambda token=token: arrives(desk, token)) is Code.ACTION_UNKNOWN, action  # type: ignore[misc]
        seeds = seeded({**seed, "kind": "seed", "seals": [{**seed["seals"][0], "quorum": rules}]})
        assert code_of(lambda seeds=seeds: require_meetable(Register(), seeds)) is Code.ACTION_UNKNOWN, action  # type: ignore[misc]


def test_an_older_register_with_such_a_rule_is_still_explained_and_can_drop_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("signer.register.store.require_meetable", lambda before, after: None)
        change(desk, "seal_quorum", id=contract(desk), quorum=["seal:2", "resume:1", "destroy:2"])
    desk.register.load()  # replays the acts
    change(desk, "seal_quorum", id=contract(desk), quorum=["seal:3", "resume:1", "destroy:2"])
    raised = approved(desk, "register", {"change": "seal_quorum", "id": contract(desk), "quorum": ["seal:3", "resume:1", "destroy:3"]})
    assert code_of(lambda: arrives(desk, raised)) is Code.ACTION_UNKNOWN
    change(desk, "seal_quorum", id=contract(desk), quorum=["seal:3", "resume:1"])
    assert dict(desk.register.current().seal(contract(desk)).quorum) == {"seal": 3, "resume": 1}


def test_an_older_register_with_such_a_rule_takes_no_act_without_a_person(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on, and can be mended; a client or a taken-over workflow lifts no officer's stop by it."""
    with monkeypatch.context() as earlier:
        earlier.setattr("signer.register.store.require_meetable", lambda before, after: None)
        change(desk, "seal_quorum", id=contract(desk), quorum=["seal:2", "resume:0"])
    stop(desk, "seal", contract(desk))
    desk.clock.advance(5)
    assert code_of(lambda: arrives(desk, approved(desk, "resume", {}, seal="contract", by=0))) is Code.QUORUM_NOT_MET
    change(desk, "seal_content", id=contract(desk), content_policy="strict")
    arrives(desk, approved(desk, "resume", {}, seal="contract", by=1))
    assert desk.register.current().seal(contract(desk)).state == "active"
