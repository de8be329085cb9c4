"""The approval token: the published ones are taken, every departure from the form is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as jose
from joserfc.jwk import ECKey

from sealcore.errors import Code, VermilionError
from sealcore.protocol import decision, token
from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import ActCovers, from_json, to_json
from tests.vectors.load import vectors

PUBLISHED = vectors("token")


def _issuer() -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(bytes.fromhex(PUBLISHED["issuer_public_key"]))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


ISSUER = _issuer()
PEOPLE = {one["person"]: one["public_key"] for case in vectors("decision")["cases"] for one in case["decisions"]}


def _refused(jws: str) -> Code:
    with pytest.raises(VermilionError) as refusal:
        token.parse(jws)
    return refusal.value.code


@pytest.mark.parametrize("one", PUBLISHED["valid"], ids=["manifest", "grant", "template", "act"])
def test_published_tokens_are_taken_with_their_decisions(one: dict[str, Any]) -> None:
    parsed = token.parse(one["jws"])
    token.verify_signature(parsed, ISSUER)
    for name, value in one["claims"].items():
        if name not in ("covers", "policy", "decisions"):
            assert getattr(parsed.claims, name) == value
    assert to_json(parsed.claims.covers) == one["claims"]["covers"]
    assert parsed.claims.policy.as_json() == one["claims"]["policy"]
    assert len(parsed.claims.decisions) == len(one["claims"]["decisions"])
    for decided in parsed.claims.decisions:
        decision.verify(decided, parsed.claims.context, load_der_public_key(bytes.fromhex(PEOPLE[decided.person])))


@pytest.mark.parametrize("name", sorted(PUBLISHED["refused"]))
def test_a_token_of_any_other_form_is_refused(name: str) -> None:
    assert _refused(PUBLISHED["refused"][name]) is (Code.TOKEN_MISSING if name == "empty" else Code.TOKEN_MALFORMED)


def test_a_token_by_another_service_is_refused() -> None:
    assert _refused(PUBLISHED["other_issuer"]) is Code.ISSUER_NOT_PINNED


def test_a_signature_over_other_claims_is_refused() -> None:
    with pytest.raises(VermilionError) as refusal:
        token.verify_signature(token.parse(PUBLISHED["wrongly_signed"]), ISSUER)
    assert refusal.value.code is Code.TOKEN_SIGNATURE_INVALID


def test_a_key_that_the_token_does_not_name_is_refused() -> None:
    with pytest.raises(VermilionError) as refusal:
        token.verify_signature(token.parse(PUBLISHED["valid"][0]["jws"]), ec.generate_private_key(ec.SECP256R1()).public_key())
    assert refusal.value.code is Code.ISSUER_NOT_PINNED


def test_what_we_encode_another_jose_library_verifies() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    kid = token.key_id(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    claims = token.parse(PUBLISHED["valid"][0]["jws"]).claims
    ours = token.encode(claims, kid=kid, sign=lambda data: key.sign(data, ec.ECDSA(SHA256())))
    assert token.parse(ours).claims == claims
    token.verify_signature(token.parse(ours), key.public_key())
    registry = jose.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    public = ECKey.import_key(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    verified = jose.deserialize_compact(ours, public, registry=registry)
    assert json.loads(verified.payload) == PUBLISHED["valid"][0]["claims"]
    assert verified.headers() == {"alg": "ES256", "kid": kid, "typ": "vermilion-approval+jws"}


@given(st.data())
def test_one_character_changed_anywhere_never_passes(data: st.DataObject) -> None:
    jws = PUBLISHED["valid"][0]["jws"]
    at = data.draw(st.integers(0, len(jws) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != jws[at]))
    with pytest.raises(VermilionError) as refusal:
        token.verify_signature(token.parse(jws[:at] + other + jws[at + 1 :]), ISSUER)
    assert refusal.value.code in (Code.TOKEN_MALFORMED, Code.TOKEN_SIGNATURE_INVALID, Code.ISSUER_NOT_PINNED)


@given(st.text())
def test_any_text_gets_a_typed_refusal(text: str) -> None:
    assert _refused(text) in (Code.TOKEN_MALFORMED, Code.TOKEN_MISSING)


def test_a_deeply_nested_payload_gets_a_typed_refusal() -> None:
    header, _, signature = PUBLISHED["valid"][0]["jws"].split(".")
    nested = b64url(b"[" * 50_000 + b"]" * 50_000)
    assert _refused(f"{header}.{nested}.{signature}") is Code.TOKEN_MALFORMED


def test_an_acts_parameters_are_texts_numbers_and_lists() -> None:
    whole = ActCovers({"reason": "改名", "persons": ["a", "b"], "count": 3, "empty": ""})
    assert from_json(to_json(whole)) == whole
    wrongs: tuple[Any, ...] = ({"a": 1.5}, {"a": True}, {"a": None}, {"a": {"b": "c"}}, {"a": [["b"]]}, {"A": "b"}, {"": "b"}, {"a": 2**53})
    for wrong in wrongs:
        with pytest.raises(VermilionError) as refusal:
            ActCovers(wrong)
        assert refusal.value.code is Code.INVALID_ARGUMENT


def test_a_person_who_decided_twice_makes_no_claims() -> None:
    claims = token.parse(PUBLISHED["valid"][0]["jws"]).claims
    with pytest.raises(VermilionError):
        replace(claims, decisions=(claims.decisions[0], claims.decisions[0]))
