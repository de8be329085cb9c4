"""Versions of the protocol's structures: labels keep purposes apart, and a later version stands beside the first without touching it."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.protocol import decision, labels, token
from sealcore.protocol.canonical import b64url, b64url_decode, canonical_json
from sealcore.protocol.decision import DecisionContext
from tests.vectors.load import vectors

PUBLISHED: str = vectors("token")["valid"][0]["jws"]
LABELS = {name: value for name, value in vars(labels).items() if isinstance(value, bytes)}
LATER = "vermilion-approval-later+jws"


def test_no_label_is_the_beginning_of_another() -> None:
    assert len(LABELS) > 5
    for one, other in itertools.permutations(LABELS.values(), 2):
        assert not other.startswith(one)


@dataclass(frozen=True)
class LaterClaims(token.Claims):
    token_type: ClassVar[str] = LATER


@dataclass(frozen=True)
class LaterContext(DecisionContext):
    """A context of another version: a label of its own and one field more."""

    signed_as: ClassVar[bytes] = b"vermilion-decision-later"

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "revision": 1}


def _relabelled(jws: str, typ: Any) -> str:
    header, payload, signature = jws.split(".")
    fields = json.loads(b64url_decode(header, Code.TOKEN_MALFORMED)) | {"typ": typ}
    return f"{b64url(canonical_json(fields))}.{payload}.{signature}"


@pytest.mark.parametrize("typ", [LATER, "", "JWT", ["vermilion-approval+jws"], {}, None, 1, "Vermilion-Approval+jws"])
def test_a_type_that_is_not_read_is_refused(typ: Any) -> None:
    with pytest.raises(VermilionError) as refusal:
        token.parse(_relabelled(PUBLISHED, typ))
    assert refusal.value.code is Code.TOKEN_MALFORMED


def test_a_later_token_is_read_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first = token.VERSIONS[labels.TOKEN_TYPE_V1]

    def claims_of(value: Any) -> token.Claims:
        return LaterClaims(**vars(first.claims_of(value)))

    monkeypatch.setattr(token, "VERSIONS", {**token.VERSIONS, LATER: token.TokenVersion(claims_of, first.json_of)})
    assert type(token.parse(PUBLISHED).claims) is token.Claims
    later = token.parse(_relabelled(PUBLISHED, LATER))
    assert type(later.claims) is LaterClaims
    again = token.encode(later.claims, kid=later.kid, sign=lambda _: later.der_signature)
    assert again.rsplit(".", 1)[0] == _relabelled(PUBLISHED, LATER).rsplit(".", 1)[0]


def test_a_decision_of_one_version_is_none_of_another() -> None:
    claims = token.parse(PUBLISHED).claims
    given, context = claims.decisions[0], claims.context
    later = LaterContext(**vars(context))
    assert decision.statement(context, given.person, given.verdict, given.time).startswith(labels.DECISION_V1)
    assert decision.statement(later, given.person, given.verdict, given.time) == later.signed_as + canonical_json(
        {**later.as_json(), "person": given.person, "verdict": given.verdict, "time": given.time}
    )
    assert replace(later) != context
