"""Acts and keys in second spellings, tokens from before a restore, and acts that come between the gate and Commit."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sealcore.errors import Code, VermilionError
from sealcore.ids import operator_uri, uuid7
from sealcore.platform import db
from sealcore.protocol import decision as decisions
from sealcore.protocol import stop as stops
from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.ledger_entry import time_us
from sealcore.protocol.p256 import low_s
from sealcore.protocol.stop import StopStatement
from sealcore.protocol.token import parse
from signer.acts import stop as officers
from signer.acts.changes import CHANGES
from signer.acts.model import Act, carry_out, perform_act, replay, restore_act, stop_act
from signer.gate import admit_act, admit_token
from signer.register.model import Register
from signer.register.store import Recorded
from signer.uses.store import Intent, Wanted
from tests.attacks.codes import code_of
from tests.attacks.encodings import high_s, spellings, twin, twin_token
from tests.signer.desk import Desk, desk, office
from tests.signer.office import AUDIENCE, Approved, Office, Person, grant_request, person, spki

__all__ = ["desk", "office"]  # the fixtures

OPERATOR = operator_uri("test")
ENCODINGS = ("compressed", "hybrid", "explicit parameters", "explicit parameters, compressed", "trailing bytes", "BER length")
DOCUMENT = b"%PDF one"
TEMPLATE = hashlib.sha256(b"a base PDF").hexdigest()


def statement_of(desk: Desk, kind: str, subject: str) -> StopStatement:
    """An officer's stop of now."""
    return StopStatement(kind, subject, desk.office.dai.id, "drill", desk.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def perform(desk: Desk, token: str) -> Recorded:
    """Has the quorum's act recorded."""
    return desk.register.record(perform_act(token, time_us(desk.clock.now())), peer=OPERATOR)


def change(desk: Desk, name: str, **parameters: Any) -> Recorded:
    """Has a change of the register recorded."""
    return perform(desk, desk.office.act("register", {"change": name, **parameters}, sub=OPERATOR))


# --- a stop is its statement, not the bytes of its signature -------------------------------------------------------------------


def test_a_stop_does_not_come_back_after_a_resume_under_another_signature(desk: Desk) -> None:
    """The officer's old order, by who kept a copy: with the twin of its signature, and signed anew over the same statement."""
    office, seal = desk.office, desk.office.seals["contract"].id
    statement = statement_of(desk, "seal", seal)
    signature = stops.sign(statement, office.dai.sign)
    first = officers.stop(desk.register, desk.clock, statement, signature)
    perform(desk, office.act("resume", {}, sub=OPERATOR, seal="contract"))
    assert code_of(lambda: officers.stop(desk.register, desk.clock, statement, twin(signature))) is Code.DECISION_INVALID
    for again in (signature, *(stops.sign(statement, office.dai.sign) for _ in range(3))):
        assert officers.stop(desk.register, desk.clock, statement, again).ledger_index == first.ledger_index
    forged = stops.sign(statement, office.bo.sign)
    assert code_of(lambda: officers.stop(desk.register, desk.clock, statement, forged)) is Code.DECISION_INVALID
    register = desk.register.current()
    assert (register.seal(seal).state, register.epoch("seal", seal), register.version) == ("active", 2, 3)


def test_a_stop_with_a_high_s_is_no_stop(desk: Desk) -> None:
    statement = statement_of(desk, "seal", desk.office.seals["contract"].id)
    signature = high_s(stops.sign(statement, desk.office.dai.sign))
    assert code_of(lambda: officers.stop(desk.register, desk.clock, statement, signature)) is Code.DECISION_INVALID
    act = stop_act(statement, signature, time_us(desk.clock.now()))
    assert code_of(lambda: desk.register.record(act)) is Code.DECISION_INVALID
    assert desk.register.current().version == 1


def test_a_token_of_an_act_counts_once_whatever_its_signature(desk: Desk) -> None:
    office = desk.office
    token = office.act("register", {"change": "register_quorum", "least_persons": 3}, sub=OPERATOR)
    assert code_of(lambda: perform(desk, twin_token(token))) is Code.DECISION_INVALID
    first = perform(desk, token)
    assert perform(desk, twin_token(token)).ledger_index == first.ledger_index
    assert desk.register.current().version == 2


def test_a_decision_with_a_high_s_does_not_carry_an_act(desk: Desk) -> None:
    office = desk.office
    claims = office.claims(ActCovers({"change": "register_quorum", "least_persons": 1}), seal=None, action="register", sub=OPERATOR)
    claims = office.decided(claims, office.bo, office.chen)
    last = replace(claims.decisions[-1], signature=high_s(claims.decisions[-1].signature))
    token = office.encode(replace(claims, decisions=(*claims.decisions[:-1], last)))
    assert code_of(lambda: perform(desk, token)) is Code.DECISION_INVALID


def test_what_people_and_issuers_sign_has_low_s_whatever_their_token_makes(office: Office) -> None:
    claims = office.claims(ActCovers({}), seal=None, action="register", sub=OPERATOR)

    def sign(data: bytes) -> bytes:
        return high_s(office.bo.sign(data))

    decided = decisions.sign(claims.context, office.bo.id, "approve", claims.iat, sign)
    assert decided.signature == low_s(decided.signature)
    decisions.verify(decided, claims.context, office.bo.key.public_key())
    statement = StopStatement("seal", office.seals["contract"].id, office.dai.id, "drill", "2026-01-01T00:00:00Z")
    signature = stops.sign(statement, lambda data: high_s(office.dai.sign(data)))
    assert signature == low_s(signature)
    stops.verify(statement, signature, office.dai.key.public_key())
    token = parse(office.encode(claims))
    assert token.der_signature == low_s(token.der_signature)


# --- one key is one person -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_key_in_another_encoding_is_not_registered(desk: Desk, encoding: str) -> None:
    """Neither for a new person, nor as the second name of one who is registered, nor as an issuer."""
    new, known = person("approver"), desk.office.bo
    for holder in (new, known):
        encoded = b64url(spellings(holder.key.public_key())[encoding])
        assert code_of(partial(change, desk, "person_add", id=uuid7(), roles=["approver"], public_key=encoded)) is Code.INVALID_ARGUMENT
        assert code_of(partial(change, desk, "issuer_add", public_key=encoded)) is Code.INVALID_ARGUMENT


def test_a_key_has_one_holder_among_people_and_issuers(desk: Desk) -> None:
    office, new = desk.office, person("approver")
    issuer, approver = spki(office.issuer.public_key()), spki(office.bo.key.public_key())
    assert code_of(lambda: change(desk, "person_add", id=uuid7(), roles=["approver"], public_key=b64url(approver))) is Code.CONFLICT
    assert code_of(lambda: change(desk, "person_add", id=uuid7(), roles=["approver"], public_key=b64url(issuer))) is Code.CONFLICT
    assert code_of(lambda: change(desk, "issuer_add", public_key=b64url(approver))) is Code.CONFLICT
    change(desk, "person_add", **new.as_seed())
    change(desk, "person_remove", id=new.id)
    assert code_of(lambda: change(desk, "person_add", **{**new.as_seed(), "id": uuid7()})) is Code.CONFLICT


@pytest.mark.parametrize(("encoding", "code"), [("canonical", Code.CONFLICT), *((one, Code.INVALID_ARGUMENT) for one in ENCODINGS)])
def test_a_seed_does_not_hold_one_key_under_two_names(office: Office, encoding: str, code: Code) -> None:
    seed = office.seed()
    other = {**office.bo.as_seed(), "id": uuid7(), "public_key": b64url(spellings(office.bo.key.public_key())[encoding])}
    act = Act({**seed, "people": [*seed["people"], other], "kind": "seed"}, 0).accepted()
    assert code_of(lambda: carry_out(Register(), act, audience=AUDIENCE)) is code


def named_thrice(office: Office) -> tuple[Register, list[Person]]:
    """A register of an earlier release in which one key stands under three names, and the three."""
    key = office.bo.key
    names = [office.bo, *(Person(uuid7(), ("approver",), key) for _ in range(2))]
    seed = office.seed()
    for name, encoding in zip(names[1:], ("compressed", "hybrid"), strict=True):
        seed["people"].append({**name.as_seed(), "public_key": b64url(spellings(key.public_key())[encoding])})
    return replay([Act({**seed, "kind": "seed"}, 0)], audience=AUDIENCE), names


def test_a_register_that_holds_one_key_under_three_names_counts_one_person(office: Office) -> None:
    """It was made before the rule: it still stands, but three names are no quorum any more, nor an applicant and an approver."""
    register, names = named_thrice(office)
    now = datetime.datetime.now(datetime.UTC)

    def refused(approved: Approved) -> Code:
        return code_of(lambda: admit_token(approved.token, peer=office.client, register=register, now=now, audience=AUDIENCE))

    assert refused(office.approve([DOCUMENT], by=names)) is Code.QUORUM_NOT_MET
    own = office.claims(office.approve([DOCUMENT], seal="official").claims.covers, seal="official")
    own = office.decided(own, names[1], applicant=names[0])
    assert refused(Approved(office.encode(own), own, (), ())) is Code.QUORUM_NOT_MET
    token = office.act("register", {"change": "register_quorum", "least_persons": 1}, sub=OPERATOR, by=names)
    assert code_of(lambda: admit_act(token, peer=OPERATOR, register=register, now=now, audience=AUDIENCE)) is Code.QUORUM_NOT_MET


# --- registers of earlier releases ----------------------------------------------------------------------------------------------


def test_a_register_with_acts_of_an_earlier_release_starts_and_goes_on(
    database_url: str, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its acts say nothing of rules: a stop with high s and its twin, an issuer removed without an epoch, one key under two names."""
    with monkeypatch.context() as earlier:
        earlier.setattr(Act, "accepted", lambda self: self)
        desk = Desk(database_url, office)
        statement = statement_of(desk, "seal", office.seals["contract"].id)
        signature = high_s(stops.sign(statement, office.dai.sign))
        stopped = desk.register.record(stop_act(statement, signature, time_us(desk.clock.now())))
        second = ec.generate_private_key(ec.SECP256R1())
        added = office.act("register", {"change": "issuer_add", "public_key": b64url(spki(second.public_key()))}, sub=OPERATOR)
        issuer = perform(desk, added).register.issuers
        kid = next(kid for kid in issuer if issuer[kid].public_key == spki(second.public_key()))
        change(desk, "issuer_remove", kid=kid)
        compressed = b64url(spellings(office.bo.key.public_key())["compressed"])
        change(desk, "person_add", id=uuid7(), roles=["approver"], public_key=compressed)
        assert desk.register.current().epoch("issuer", kid) == 0
    register = desk.register.load()
    assert (register.version, register.rules) == (5, 1)
    perform(desk, office.act("resume", {}, sub=OPERATOR, seal="contract"))
    again = officers.stop(desk.register, desk.clock, statement, low_s(signature))  # what was ordered then is not ordered anew
    assert again.ledger_index == stopped.ledger_index
    assert perform(desk, added).ledger_index == perform(desk, twin_token(added)).ledger_index
    register = desk.register.load()
    assert (register.version, register.rules, register.seal(office.seals["contract"].id).state) == (6, 2, "active")
    with monkeypatch.context() as earlier:  # nobody goes back to the rules of then
        earlier.setattr(Act, "accepted", lambda self: self)
        other = statement_of(desk, "grant", uuid7())
        signed = high_s(stops.sign(other, office.dai.sign))
        assert code_of(lambda: desk.register.record(stop_act(other, signed, 0))) is Code.REGISTER_INCONSISTENT
    desk.engine.dispose()


def test_two_spellings_of_one_stop_in_the_history_of_an_earlier_release_hold(office: Office) -> None:
    statement = StopStatement("seal", office.seals["contract"].id, office.dai.id, "drill", "2026-01-01T00:00:00Z")
    signature = stops.sign(statement, office.dai.sign)
    history = [Act({**office.seed(), "kind": "seed"}, 0), stop_act(statement, signature, 1), stop_act(statement, twin(signature), 2)]
    assert replay(history, audience=AUDIENCE).epoch("seal", statement.subject) == 2
    assert code_of(lambda: replay([*history[:2], history[2].accepted()], audience=AUDIENCE)) is Code.REGISTER_INCONSISTENT


def test_an_act_does_not_choose_its_rules(desk: Desk) -> None:
    act = Act({"kind": "restore", "at": 1, "rules": 1}, time_us(desk.clock.now()))
    assert code_of(lambda: desk.register.record(act)) is Code.INVALID_ARGUMENT


# --- after a restore ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", ["iat", "nbf", "a decision", "the applicant's decision"])
@pytest.mark.parametrize("act", [False, True], ids=["sealing", "act"])
def test_after_a_restore_a_token_with_anything_older_is_refused(desk: Desk, early: str, act: bool) -> None:
    """Whoever holds the issuer's key dates ``iat`` anew; what people signed stays as old as it is."""
    office, now = desk.office, int(desk.clock.now().timestamp())
    desk.register.record(restore_act(now - 5, time_us(desk.clock.now())))
    before, after = now - 6, now - 5
    covers = ActCovers({"change": "register_quorum", "least_persons": 1}) if act else office.approve([DOCUMENT]).claims.covers
    about: dict[str, Any] = {"seal": None, "action": "register", "sub": OPERATOR} if act else {}
    times = {"iat": before if early == "iat" else after, "nbf": before if early == "nbf" else after}

    def token(early_decision: str, **dates: Any) -> str:
        claims = office.claims(covers, **about, **dates)
        decided = [
            decisions.sign(claims.context, one.id, verdict, before if name == early_decision else after, one.sign)
            for one, verdict, name in (
                (office.ada, "apply", "the applicant's decision"),
                (office.bo, "approve", "a decision"),
                (office.chen, "approve", "another decision"),
            )
        ]
        return office.encode(replace(claims, decisions=tuple(decided)))

    def admit(jws: str) -> object:
        register = desk.register.current()
        if act:
            return admit_act(jws, peer=OPERATOR, register=register, now=desk.clock.now(), audience=AUDIENCE)
        return admit_token(jws, peer=office.client, register=register, now=desk.clock.now(), audience=AUDIENCE)

    assert code_of(lambda: admit(token(early, **times))) is Code.TOKEN_BEFORE_RESTORE
    admit(token("", iat=after, nbf=after))


# --- between the gate and Commit ------------------------------------------------------------------------------------------------


def contract(desk: Desk) -> str:
    """The seal in question; two must approve, two may have it resumed."""
    return desk.office.seals["contract"].id


def record_restore(desk: Desk) -> Recorded:
    """Records a restore of this second."""
    return desk.register.record(restore_act(int(desk.clock.now().timestamp()), time_us(desk.clock.now())))


def remove_issuer(desk: Desk) -> Recorded:
    """Removes the issuer of this office's tokens; one must be left, so another comes first."""
    (kid,) = desk.register.current().issuers
    change(desk, "issuer_add", public_key=b64url(spki(ec.generate_private_key(ec.SECP256R1()).public_key())))
    return change(desk, "issuer_remove", kid=kid)


NARROWING: dict[str, Callable[[Desk], object]] = {
    "issuer_remove": remove_issuer,
    "seal_quorum raised": lambda desk: change(desk, "seal_quorum", id=contract(desk), quorum=["seal:3", "resume:2"]),
    "seal_quorum raised for another action": lambda desk: change(desk, "seal_quorum", id=contract(desk), quorum=["seal:2", "resume:3"]),
    "seal_quorum without sealing": lambda desk: change(desk, "seal_quorum", id=contract(desk), quorum=["resume:2"]),
    "seal_quorum with a higher tier": lambda desk: change(
        desk, "seal_quorum", id=contract(desk), quorum=["seal:2", "resume:2", "grant-untemplated:3"]
    ),
    "seal_content": lambda desk: change(desk, "seal_content", id=contract(desk), content_policy="strict"),
    "seal_certification": lambda desk: change(desk, "seal_certification", id=contract(desk), certification="final"),
    "seal_retire": lambda desk: change(desk, "seal_retire", id=contract(desk)),
    "person_remove": lambda desk: change(desk, "person_remove", id=desk.office.bo.id),
    "client_stop": lambda desk: change(desk, "client_stop", client=desk.office.client),
    "restore": record_restore,
    "stop of the seal": lambda desk: desk.stop("seal", contract(desk)),
}
"""Each act that takes something away from what a token of the contract seal rests on."""


WIDENING = {"person_add", "issuer_add", "seal_add", "seal_picture_add", "client_allow"}
ELSEWHERE = {
    "template_add",
    "register_quorum",
    "seal_certificate",
}  # its own test below; of acts alone; another certificate for the same key


def test_every_change_of_the_register_is_known_here_as_one_that_narrows_or_does_not() -> None:
    assert {name.split()[0] for name in NARROWING} - {"restore", "stop"} == CHANGES.keys() - WIDENING - ELSEWHERE


@pytest.mark.parametrize("name", NARROWING)
def test_what_was_gated_before_a_narrowing_act_does_not_commit_after_it(desk: Desk, name: str) -> None:
    approved, waiting = desk.office.approve([DOCUMENT]), desk.office.approve([DOCUMENT])
    intent, wanted = desk.intent(approved), desk.wanted(waiting)
    NARROWING[name](desk)
    (ended,) = desk.commit(intent)
    assert isinstance(ended, VermilionError) and ended.code is Code.USE_VOIDED
    (refused,) = desk.uses.intend(wanted)  # gated too, but not yet begun: nothing is begun under it
    assert isinstance(refused, VermilionError)
    assert desk.entries() == ["void"]


def test_a_grant_whose_template_loses_a_field_ends_what_was_gated_under_it(desk: Desk) -> None:
    fields = {"template": TEMPLATE, "pdf": TEMPLATE}
    change(desk, "template_add", **fields, fields=["name", "sum"])
    grant = desk.office.grant(5, template=TEMPLATE)

    def intent(index: int) -> Intent:
        (intended,) = desk.uses.intend([Wanted(desk.item(grant, grant_request(index, DOCUMENT)), desk.proposal())])
        assert isinstance(intended, Intent)
        return intended

    first = intent(0)
    change(desk, "template_add", **fields, fields=["name", "sum", "date"])
    second = intent(1)
    change(desk, "template_add", **fields, fields=["name"])
    ended = [one.code if isinstance(one, VermilionError) else None for one in desk.commit(first, second)]
    assert ended == [Code.USE_VOIDED, Code.USE_VOIDED]


def test_what_only_widens_ends_nothing(desk: Desk) -> None:
    office = desk.office
    approved = office.approve([DOCUMENT])
    intent, seal = desk.intent(approved), approved.claims.seal
    change(desk, "seal_quorum", id=seal, quorum=["seal:1", "resume:2", "revoke:2"])
    change(desk, "seal_picture_add", id=seal, picture=TEMPLATE)
    change(desk, "person_add", **person("approver").as_seed())
    change(desk, "issuer_add", public_key=b64url(spki(ec.generate_private_key(ec.SECP256R1()).public_key())))
    change(desk, "client_stop", client="https://vermilion.internal/client/another")
    change(desk, "person_remove", id=office.ada.id)  # who applied decides nothing
    (ended,) = desk.commit(intent)
    assert not isinstance(ended, VermilionError)


def test_an_issuer_that_comes_back_does_not_revive_what_was_gated_before(desk: Desk) -> None:
    approved = desk.office.approve([DOCUMENT])
    intent = desk.intent(approved)
    (kid,) = desk.register.current().issuers
    second = ec.generate_private_key(ec.SECP256R1())
    change(desk, "issuer_add", public_key=b64url(spki(second.public_key())))
    change(desk, "issuer_remove", kid=kid)
    claims = desk.office.claims(
        ActCovers({"change": "issuer_add", "public_key": b64url(spki(desk.office.issuer.public_key()))}),
        seal=None, action="register", sub=OPERATOR, iat=(now := int(desk.clock.now().timestamp())), nbf=now,
    )  # fmt: skip
    perform(desk, desk.office.encode(desk.office.decided(claims, desk.office.bo, desk.office.chen), issuer=second))
    (ended,) = desk.commit(intent)
    assert isinstance(ended, VermilionError) and ended.code is Code.USE_VOIDED
    with db.read(desk.engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM suffixes").scalar_one() == 0
