"""Whoever decides reads what is signed: each kind of act has words with old and new values, and a title changes none of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ca.issuance.enrolment import CHANGE
from ca.issuance.profiles import ATTRIBUTES
from ca.revocation.change import Kind
from sealcore.errors import Code, VermilionError
from sealcore.protocol import act_effects, effect
from sealcore.protocol.actions import ACTS
from sealcore.protocol.covers import ActCovers, GrantCovers
from sealcore.protocol.effect_model import Effect, Known
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle, SignatureTexts
from sealcore.protocol.manifest import DocumentEntry, Manifest
from signer.acts.changes import CHANGES
from tests.protocol.effects import CLIENT, DIGEST, EXAMPLES, KNOWN, SEAL, context, told
from workflow.policies.use_cases import POLICY_ADD

OPTIONAL = {"reason", "common_name"}


def of_act(kind: str, parameters: dict[str, Any], known: Known = KNOWN) -> Effect:
    action, _, change = kind.partition(".")
    covers = ActCovers(parameters | ({"change": change} if change else {}))
    return effect.of(context(covers, action=action, seal=SEAL if action == "resume" else ""), known)


def test_every_kind_of_act_has_words() -> None:
    """A change that the signer or the CA carries out and that has no words here is a failing test."""
    assert act_effects.REGISTER.keys() == CHANGES.keys() | {POLICY_ADD}
    assert act_effects.IDENTITIES.keys() == {CHANGE}
    assert set(act_effects.SUBJECT) == ATTRIBUTES.keys()
    assert act_effects.CERTIFICATES.keys() == set(Kind)
    kinds = {f"register.{name}" for name in act_effects.REGISTER} | {f"create.{CHANGE}"} | {f"revoke.{kind}" for kind in Kind} | {"resume"}
    assert EXAMPLES.keys() == kinds
    assert {kind.partition(".")[0] for kind in kinds} == ACTS


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_act_tells_its_whole_effect_with_old_and_new_values(kind: str) -> None:
    parameters, words = EXAMPLES[kind]
    one = of_act(kind, parameters)
    assert one.kind == kind
    for word in words:
        assert word in told(one)
    assert of_act(kind, parameters, Known()).facts  # a reader whom the signer does not answer sees the new values


@pytest.mark.parametrize("kind", EXAMPLES)
def test_nothing_rides_along_unseen(kind: str) -> None:
    """A parameter more, one less, or one of another type: there are no words, and so no approval."""
    parameters, _ = EXAMPLES[kind]
    odd: list[dict[str, Any]] = [parameters | {"also": "x"}]
    odd += [{name: value for name, value in parameters.items() if name != left} for left in parameters if left not in OPTIONAL]
    odd += [parameters | {name: [["x"]] if isinstance(value, list) else ["x"]} for name, value in parameters.items()]
    for one in odd:
        with pytest.raises(VermilionError) as refused:
            of_act(kind, one)
        assert refused.value.code in {Code.EFFECT_UNKNOWN, Code.INVALID_ARGUMENT}


def test_a_higher_tier_that_is_taken_away_is_told_as_what_counts_then() -> None:
    """Without its own rule a grant without a template takes what sealing takes: that is fewer, and not nobody."""
    known = replace(KNOWN, seals={SEAL: replace(KNOWN.seals[SEAL], quorum={"seal": 1, "resume": 2, "grant-untemplated": 3})})
    shown = told(of_act("register.seal_quorum", {"id": SEAL, "quorum": ["seal:1", "resume:2"]}, known))
    assert "grant-untemplated, persons (no higher tier any more, as for sealing): 3 → 1 (fewer than now)" in shown
    assert "nobody may" not in shown


def test_an_unknown_act_is_not_approved() -> None:
    for kind in ("register.fly", "destroy", "revoke.forgive", "register"):
        with pytest.raises(VermilionError) as refused:
            of_act(kind, {"id": SEAL})
        assert refused.value.code is Code.EFFECT_UNKNOWN
    with pytest.raises(VermilionError) as refused:
        of_act("register.seal_quorum", {"id": SEAL, "quorum": ["seal:1", "seal:2"]})
    assert refused.value.code is Code.EFFECT_UNKNOWN


def entries(*certifications: Certification) -> list[tuple[DocumentEntry, bytes]]:
    mark = Mark((0, 2), Rectangle(10_000, 20_000, 30_000, 40_000), bytes.fromhex(DIGEST))
    return [
        (DocumentEntry(f"{n}.pdf", bytes([n]) * 32, 1000, Placement((mark,), SignatureTexts(reason="Paid"), one)), bytes([n]) * 16)
        for n, one in enumerate(certifications)
    ]


def test_documents_are_told_with_their_marks_and_certification() -> None:
    documents = entries(Certification.FINAL, Certification.FINAL, Certification.NONE)
    manifest = Manifest.build([one for one, _ in documents], salts=[salt for _, salt in documents])
    asked = context(manifest.covers, action="seal", seal=SEAL)
    shown = told(effect.of(asked, KNOWN, documents))
    for word in (
        "exactly 3 documents", "“Example Ltd” (contract, active", CLIENT, "2 of them: final", "1 of them: this seal certifies nothing",
        "page 1, 3 at [10 20 30 40]", "reason “Paid”", "3,000 bytes",
    ):  # fmt: skip
        assert word in shown
    other = [(replace(documents[0][0], size_bytes=1), documents[0][1]), *documents[1:]]
    for wrong in ([], documents[:2], documents[::-1], other):
        with pytest.raises(VermilionError) as refused:
            effect.of(asked, KNOWN, wrong)
        assert refused.value.code is Code.PROOF_INVALID


def test_a_grant_without_a_template_is_told_as_what_it_is() -> None:
    known = replace(KNOWN, seals={SEAL: replace(KNOWN.seals[SEAL], quorum={"seal": 1, "grant-untemplated": 3})})
    bare = told(effect.of(context(GrantCovers(500, 1_800_300_000, None), action="seal", seal=SEAL), known))
    for word in (
        "500",
        "any document at all",
        "3 persons must approve",
        "2027-01-18",
        "form-fill: others may sign",
        "as the seal is registered",
    ):
        assert word in bare
    bound = told(effect.of(context(GrantCovers(500, 1_800_300_000, DIGEST), action="seal", seal=SEAL), known))
    assert DIGEST[:16] in bound
    assert "any document at all" not in bound and "form-fill: others may sign" in bound
