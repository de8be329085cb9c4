"""A decision counts for exactly the request it was signed on."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.protocol import decision as decisions
from sealcore.protocol import stop as stops
from sealcore.protocol.covers import ActCovers, GrantCovers, ManifestCovers
from sealcore.protocol.decision import Decision, DecisionContext, Policy
from sealcore.protocol.stop import StopStatement
from tests.protocol.build import context_of
from tests.vectors.load import vectors

CASES = [(case["context"], one) for case in vectors("decision")["cases"] for one in case["decisions"]]
ANOTHER_ID = "01981a2b-3c4d-7fff-8abc-0123456789ab"  # fixed: it stands in the names of tests
KEY = ec.generate_private_key(ec.SECP256R1())
PERSON = uuid7()
CONTEXT = DecisionContext(
    jti=uuid7(), form="DEMO-2026-000001", aud="https://vermilion.internal/service/signer", sub="https://vermilion.internal/client/a", seal=uuid7(), action="seal",
    covers=ManifestCovers(bytes(32), 3), policy=Policy("default", 1, 2), nbf=1000, exp=2000,
)  # fmt: skip

OTHER_CONTEXTS: dict[str, list[Any]] = {
    "jti": [ANOTHER_ID],
    "form": ["DEMO-2026-000002", "OTHER-2026-000001"],
    "aud": ["https://vermilion.internal/service/ca"],
    "sub": ["https://vermilion.internal/client/b"],
    "seal": [ANOTHER_ID],
    "action": ["resume", "destroy"],
    "covers": [ManifestCovers(b"\1" * 32, 3), ManifestCovers(bytes(32), 4), GrantCovers(3, 2000, None), ActCovers({})],
    "policy": [Policy("other", 1, 2), Policy("default", 2, 2), Policy("default", 1, 1)],
    "nbf": [999, 1001],
    "exp": [1999, 2001],
}
OTHER_DECISIONS: dict[str, list[Any]] = {"person": [ANOTHER_ID], "verdict": ["reject", "apply"], "time": [1499, 1501]}


def sign(data: bytes) -> bytes:
    return KEY.sign(data, ec.ECDSA(SHA256()))


@pytest.mark.parametrize(("context", "one"), CASES)
def test_statements_and_signatures_are_the_published_ones(context: dict[str, Any], one: dict[str, Any]) -> None:
    said = context_of(context)
    assert decisions.statement(said, one["person"], one["verdict"], one["time"]).hex() == one["statement"]
    decided = Decision(one["person"], one["verdict"], one["time"], bytes.fromhex(one["signature"]))
    decisions.verify(decided, said, load_der_public_key(bytes.fromhex(one["public_key"])))


def test_every_field_of_the_protocol_is_tried() -> None:
    assert OTHER_CONTEXTS.keys() == {field.name for field in fields(DecisionContext)}
    assert OTHER_DECISIONS.keys() == {field.name for field in fields(Decision)} - {"signature"}
    assert len(OTHER_CONTEXTS) + len(OTHER_DECISIONS) == 13


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OTHER_CONTEXTS.items() for value in values])
def test_a_decision_moved_to_another_request_is_refused(name: str, value: Any) -> None:
    decided = decisions.sign(CONTEXT, PERSON, "approve", 1500, sign)
    decisions.verify(decided, CONTEXT, KEY.public_key())
    with pytest.raises(VermilionError) as refusal:
        decisions.verify(decided, replace(CONTEXT, **{name: value}), KEY.public_key())
    assert refusal.value.code is Code.DECISION_INVALID


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OTHER_DECISIONS.items() for value in values])
def test_a_decision_said_to_be_another_is_refused(name: str, value: Any) -> None:
    decided = decisions.sign(CONTEXT, PERSON, "approve", 1500, sign)
    with pytest.raises(VermilionError) as refusal:
        decisions.verify(replace(decided, **{name: value}), CONTEXT, KEY.public_key())
    assert refusal.value.code is Code.DECISION_INVALID


def test_another_persons_key_and_other_kinds_of_key_are_refused() -> None:
    decided = decisions.sign(CONTEXT, PERSON, "approve", 1500, sign)
    others = [
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
        None,
    ]
    for key in others:
        with pytest.raises(VermilionError) as refusal:
            decisions.verify(decided, CONTEXT, key)
        assert refusal.value.code is Code.DECISION_INVALID


def test_a_signature_with_any_byte_changed_is_refused() -> None:
    decided = decisions.sign(CONTEXT, PERSON, "approve", 1500, sign)
    for at in range(len(decided.signature)):
        altered = bytearray(decided.signature)
        altered[at] ^= 1
        with pytest.raises(VermilionError) as refusal:
            decisions.verify(replace(decided, signature=bytes(altered)), CONTEXT, KEY.public_key())
        assert refusal.value.code is Code.DECISION_INVALID


@pytest.mark.parametrize("case", vectors("stop")["cases"], ids=["seal", "grant"])
def test_stops_are_the_published_ones_and_count_only_as_signed(case: dict[str, Any]) -> None:
    stop, key = StopStatement(**case["stop"]), load_der_public_key(bytes.fromhex(case["public_key"]))
    signature = bytes.fromhex(case["signature"])
    assert stops.statement(stop).hex() == case["statement"]
    stops.verify(stop, signature, key)
    other_kind = "grant" if stop.subject_kind == "seal" else "seal"
    others = {"subject_kind": other_kind, "subject": uuid7(), "officer": uuid7(), "reason": "another", "time": "2026-09-21T06:13:21Z"}
    for name, value in others.items():
        with pytest.raises(VermilionError) as refusal:
            stops.verify(replace(stop, **{name: value}), signature, key)
        assert refusal.value.code is Code.DECISION_INVALID


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject_kind": "person"},
        {"subject": "x"},
        {"officer": ""},
        {"reason": ""},
        {"time": "2026-09-21T06:13:20+08:00"},
        {"time": "today"},
    ],
)
def test_a_stop_that_says_too_little_cannot_be_made(wrong: dict[str, str]) -> None:
    whole = {"subject_kind": "seal", "subject": uuid7(), "officer": uuid7(), "reason": "r", "time": "2026-09-21T06:13:20Z"}
    StopStatement(**whole)
    with pytest.raises(VermilionError) as refusal:
        StopStatement(**{**whole, **wrong})
    assert refusal.value.code is Code.INVALID_ARGUMENT
