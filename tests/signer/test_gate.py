"""The gate: each refusal by its code, in the protocol's order; no HSM, no database, no network."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.protocol import decision as decisions
from sealcore.protocol.covers import ActCovers, GrantCovers, ManifestCovers
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle, SignatureTexts
from sealcore.protocol.stop import StopStatement, sign
from sealcore.protocol.token import Claims, Policy
from signer.acts.changes import changed, restored, stopped
from signer.acts.model import Act, replay, stop_act
from signer.gate import Admission, AdmittedItem, admit_act, admit_item, admit_token
from signer.model import ItemRequest
from signer.register.model import Register
from tests.signer.office import AUDIENCE, Approved, Office, document, grant_request, person

LIMIT_BYTES = 1_000_000
DOCUMENT = b"%PDF-1.7 stands for a document: the gate does not read it"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """People and seals; the gate touches no key."""
    return Office.in_software(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def register(office: Office) -> Register:
    """The office's register as seeded."""
    return replay([Act({**office.seed(), "kind": "seed"}, 0)], audience=AUDIENCE)


def now() -> datetime.datetime:
    """The present."""
    return datetime.datetime.now(datetime.UTC)


def admit(office: Office, register: Register, token: str, *, at: datetime.datetime | None = None, peer: str | None = None) -> Admission:
    """The token at the gate."""
    return admit_token(token, peer=peer or office.client, register=register, now=at or now(), audience=AUDIENCE)


def refusal(office: Office, register: Register, token: str, **how: Any) -> Code:
    """The code with which the gate refuses."""
    with pytest.raises(VermilionError) as refused:
        admit(office, register, token, **how)
    return refused.value.code


def item(office: Office, register: Register, approved: Approved, request: ItemRequest | None = None) -> AdmittedItem:
    """A document at the gate."""
    admission = admit(office, register, approved.token)
    return admit_item(admission, request or approved.requests[0], largest_document_bytes=LIMIT_BYTES)


def item_refusal(office: Office, register: Register, approved: Approved, **changes: Any) -> Code:
    """The code with which the gate refuses a document after ``changes`` to its request."""
    with pytest.raises(VermilionError) as refused:
        item(office, register, approved, replace(approved.requests[0], **changes))
    return refused.value.code


def test_an_approved_document_passes(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT, b"%PDF another"])
    admitted = item(office, register, approved)
    assert admitted.admission.people == tuple(sorted((office.bo.id, office.chen.id)))
    assert admitted.admission.warnings == ()


def test_no_token(office: Office, register: Register) -> None:
    assert refusal(office, register, "") is Code.TOKEN_MISSING


@pytest.mark.parametrize("token", ["x", "a.b.c", "...", "é.é.é"])
def test_a_thing_that_is_no_token(office: Office, register: Register, token: str) -> None:
    assert refusal(office, register, token) is Code.TOKEN_MALFORMED


def test_a_token_signed_by_someone_else_under_the_issuers_name(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    header, payload, _ = approved.token.split(".")
    forged = office.encode(approved.claims, issuer=ec.generate_private_key(ec.SECP256R1()))
    assert refusal(office, register, f"{header}.{payload}.{forged.split('.')[2]}") is Code.TOKEN_SIGNATURE_INVALID


def test_an_issuer_that_is_not_pinned(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    assert (
        refusal(office, register, office.encode(approved.claims, issuer=ec.generate_private_key(ec.SECP256R1()))) is Code.ISSUER_NOT_PINNED
    )


def test_an_issuer_that_was_removed(office: Office, register: Register) -> None:
    (issuer,) = register.issuers.values()
    without = changed(register, {"change": "issuer_remove", "kid": issuer.kid})
    assert refusal(office, without, office.approve([DOCUMENT]).token) is Code.ISSUER_NOT_PINNED


def test_a_token_for_another_signer(office: Office, register: Register) -> None:
    assert (
        refusal(office, register, office.approve([DOCUMENT], aud="https://vermilion.internal/service/ca").token) is Code.AUDIENCE_MISMATCH
    )


def test_a_token_of_another_client(office: Office, register: Register) -> None:
    assert refusal(office, register, office.approve([DOCUMENT]).token, peer=client_uri(uuid7())) is Code.SUBJECT_MISMATCH


def test_a_client_that_is_shut_out(office: Office, register: Register) -> None:
    shut = changed(register, {"change": "client_stop", "client": office.client})
    token = office.approve([DOCUMENT]).token
    assert refusal(office, shut, token) is Code.PERMISSION_DENIED
    assert admit(office, changed(shut, {"change": "client_allow", "client": office.client}), token)


def test_a_token_before_its_start_and_within_the_allowance_for_clocks(office: Office, register: Register) -> None:
    start = now() + datetime.timedelta(seconds=300)
    approved = office.approve([DOCUMENT], nbf=int(start.timestamp()))
    assert refusal(office, register, approved.token) is Code.TOKEN_NOT_YET_VALID
    assert admit(office, register, approved.token, at=start - datetime.timedelta(seconds=29))


def test_a_token_from_before_a_restore(office: Office, register: Register) -> None:
    after = restored(register, int(now().timestamp()) + 60)
    assert refusal(office, after, office.approve([DOCUMENT]).token) is Code.TOKEN_BEFORE_RESTORE


def test_too_small_a_quorum(office: Office, register: Register) -> None:
    assert refusal(office, register, office.approve([DOCUMENT], by=[office.bo]).token) is Code.QUORUM_NOT_MET
    assert refusal(office, register, office.approve([DOCUMENT], by=[]).token) is Code.QUORUM_NOT_MET


def test_a_policy_raises_the_quorum_and_never_lowers_it(office: Office, register: Register) -> None:
    assert refusal(office, register, office.approve([DOCUMENT], policy=Policy("strict", 1, 3)).token) is Code.QUORUM_NOT_MET
    assert refusal(office, register, office.approve([DOCUMENT], policy=Policy("lax", 1, 0), by=[office.bo]).token) is Code.QUORUM_NOT_MET


def test_the_applicant_does_not_approve_their_own_request(office: Office, register: Register) -> None:
    assert refusal(office, register, office.approve([DOCUMENT], by=[office.ada, office.bo]).token) is Code.OWN_REQUEST


def test_a_rejection_is_no_approval(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    no = decisions.sign(approved.claims.context, office.ada.id, "reject", approved.claims.iat, office.ada.sign)
    claims = replace(approved.claims, decisions=(*approved.claims.decisions[1:], no))
    assert refusal(office, register, office.encode(claims)) is Code.DECISION_INVALID


def test_an_approver_who_is_not_registered_has_left_or_has_another_duty(office: Office, register: Register) -> None:
    assert refusal(office, register, office.approve([DOCUMENT], by=[office.bo, person("approver")]).token) is Code.APPROVER_UNKNOWN
    left = changed(register, {"change": "person_remove", "id": office.bo.id})
    assert refusal(office, left, office.approve([DOCUMENT]).token) is Code.APPROVER_UNKNOWN
    assert refusal(office, register, office.approve([DOCUMENT], by=[office.bo, office.dai]).token) is Code.APPROVER_UNKNOWN


OTHER: dict[str, Callable[[Office, Claims], Any]] = {
    "jti": lambda office, claims: uuid7(),
    "form": lambda office, claims: "TEST-2026-000002",
    "aud": lambda office, claims: "https://vermilion.internal/service/ca",
    "sub": lambda office, claims: client_uri(uuid7()),
    "seal": lambda office, claims: office.seals["invoice"].id,
    "action": lambda office, claims: "resume",
    "covers": lambda office, claims: replace(cast(ManifestCovers, claims.covers), root=bytes(32)),
    "policy": lambda office, claims: replace(claims.policy, version=claims.policy.version + 1),
    "nbf": lambda office, claims: claims.nbf - 1,
    "exp": lambda office, claims: claims.exp + 1,
}


@pytest.mark.parametrize("field", OTHER)
def test_a_decision_transplanted_along_any_field(office: Office, register: Register, field: str) -> None:
    """The token around it is the issuer's own; only the decision was made for another value of this field."""
    claims = office.approve([DOCUMENT]).claims
    other = replace(claims, **{field: OTHER[field](office, claims)})
    peer, audience = other.sub, other.aud
    with pytest.raises(VermilionError) as refused:
        admit_token(office.encode(other), peer=peer, register=register, now=now(), audience=audience)
    assert refused.value.code is Code.DECISION_INVALID


@pytest.mark.parametrize("field", ["person", "verdict", "time"])
def test_a_decision_transplanted_to_another_person_verdict_or_time(office: Office, register: Register, field: str) -> None:
    claims = office.approve([DOCUMENT], by=[office.bo]).claims
    (bo,) = (one for one in claims.decisions if one.person == office.bo.id)
    changes: dict[str, Any] = {"person": office.chen.id, "verdict": "apply", "time": bo.time + 1}
    moved = replace(bo, **{field: changes[field]})
    with pytest.raises(VermilionError) as refused:
        admit(office, register, office.encode(replace(claims, decisions=(moved,))))
    assert refused.value.code is Code.DECISION_INVALID


def test_a_seal_that_is_unknown_suspended_or_retired(office: Office, register: Register) -> None:
    seal = office.seals["contract"].id
    token = office.approve([DOCUMENT]).token
    assert refusal(office, stopped(register, "seal", seal), token) is Code.SEAL_SUSPENDED
    assert refusal(office, changed(register, {"change": "seal_retire", "id": seal}), token) is Code.SEAL_RETIRED
    claims = office.claims(office.approve([DOCUMENT]).claims.covers, seal=None, action="register")
    unknown = office.decided(replace(claims, seal=uuid7(), action="seal"), office.bo, office.chen)
    assert refusal(office, register, office.encode(unknown)) is Code.SEAL_UNKNOWN


def test_a_seal_whose_certificate_has_run_out(office: Office, register: Register) -> None:
    later = now() + datetime.timedelta(days=301)
    approved = office.approve([DOCUMENT], exp=int(later.timestamp()) + 60)
    assert refusal(office, register, approved.token, at=later) is Code.SEAL_CERTIFICATE_INVALID


def test_a_token_for_an_act_seals_nothing_and_one_for_sealing_is_no_act(office: Office, register: Register) -> None:
    act = office.act("resume", {}, sub=office.client, seal="contract")
    assert refusal(office, register, act) is Code.ACTION_MISMATCH
    odd = office.decided(office.claims(ActCovers({})), office.bo, office.chen)
    assert refusal(office, register, office.encode(odd)) is Code.ACTION_MISMATCH
    with pytest.raises(VermilionError) as refused:
        admit_act(office.approve([DOCUMENT]).token, peer=office.client, register=register, now=now(), audience=AUDIENCE)
    assert refused.value.code is Code.ACTION_MISMATCH


def test_an_action_without_a_registered_quorum_is_nobodys(office: Office, register: Register) -> None:
    seal = office.seals["contract"].id
    closed = changed(register, {"change": "seal_quorum", "id": seal, "quorum": ["resume:2"]})
    assert refusal(office, closed, office.approve([DOCUMENT]).token) is Code.ACTION_MISMATCH


def test_a_seal_with_quorum_zero_says_so_everywhere(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT], seal="invoice", by=[])
    assert admit(office, register, approved.token).warnings == ("approved by the workflow alone",)


def test_a_grant_without_template_needs_the_higher_tier_and_says_so(office: Office, register: Register) -> None:
    assert refusal(office, register, office.grant(3, seal="official", by=[office.bo]).token) is Code.QUORUM_NOT_MET
    assert "under a grant without a template" in admit(office, register, office.grant(3, seal="official").token).warnings


def test_a_grant_that_was_withdrawn(office: Office, register: Register) -> None:
    approved = office.grant(3)
    assert refusal(office, stopped(register, "grant", approved.claims.jti), approved.token) is Code.GRANT_WITHDRAWN


def test_a_grant_on_a_template_that_is_not_registered(office: Office, register: Register) -> None:
    assert refusal(office, register, office.grant(3, template="ab" * 32).token) is Code.TEMPLATE_MISMATCH


def test_a_grant_covers_its_number_of_uses(office: Office, register: Register) -> None:
    approved = office.grant(3)
    assert item(office, register, approved, grant_request(2, DOCUMENT))
    with pytest.raises(VermilionError) as refused:
        item(office, register, approved, grant_request(3, DOCUMENT))
    assert refused.value.code is Code.GRANT_EXCEEDED


def test_a_grant_ends_at_its_own_end_or_the_tokens(office: Office, register: Register) -> None:
    approved = office.grant(3, until=1_900_000_000, exp=2_000_000_000)
    assert admit(office, register, approved.token).ends == 1_900_000_000
    assert isinstance(approved.claims.covers, GrantCovers)


def test_one_changed_byte(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    assert item_refusal(office, register, approved, document=DOCUMENT[:-1] + b"X") is Code.DOCUMENT_MISMATCH


def test_another_document_under_its_own_hash(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    other = b"%PDF other"
    assert (
        item_refusal(office, register, approved, document=other, size_bytes=len(other), document_sha256=hashlib.sha256(other).digest())
        is Code.PROOF_INVALID
    )


PLACEMENTS: dict[str, Callable[[Office], Placement]] = {
    "page": lambda office: office.visible(page=1),
    "rectangle": lambda office: replace(
        office.visible(), marks=(replace(office.visible().marks[0], rectangle=Rectangle(300_000, 100_000, 419_000, 219_001)),)
    ),
    "no mark": lambda office: replace(office.visible(), marks=()),
    "a second mark": lambda office: replace(office.visible(), marks=office.visible().marks * 2),
    "text": lambda office: replace(office.visible(), texts=SignatureTexts(name="Example Office", reason="Approved!")),
    "certification": lambda office: replace(office.visible(), certification=Certification.FINAL),
}


@pytest.mark.parametrize("change", PLACEMENTS)
def test_another_mark(office: Office, register: Register, change: str) -> None:
    approved = office.approve([DOCUMENT], placement=office.visible())
    assert item_refusal(office, register, approved, placement=PLACEMENTS[change](office)) is Code.PROOF_INVALID


def test_a_picture_that_is_not_the_seals(office: Office, register: Register) -> None:
    foreign = Placement((Mark((0,), Rectangle(0, 0, 1000, 1000), bytes(32)),))
    approved = office.approve([DOCUMENT], placement=foreign)
    assert item_refusal(office, register, approved) is Code.PICTURE_UNKNOWN


def test_another_index_salt_or_proof(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT, b"%PDF 2", b"%PDF 3"])
    for changes in (
        {"index": 1},
        {"index": 3},
        {"salt": bytes(16)},
        {"proof": approved.requests[0].proof[:-1]},
        {"proof": (*approved.requests[0].proof, bytes(32))},
        {"proof": tuple(reversed(approved.requests[0].proof))},
    ):
        assert item_refusal(office, register, approved, **changes) is Code.PROOF_INVALID, changes


def test_an_empty_and_a_large_document(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    assert item_refusal(office, register, approved, size_bytes=0, document=b"") is Code.DOCUMENT_EMPTY
    assert item_refusal(office, register, approved, size_bytes=LIMIT_BYTES + 1) is Code.DOCUMENT_TOO_LARGE


def test_a_refusal_names_its_document(office: Office, register: Register) -> None:
    approved = office.approve([DOCUMENT])
    with pytest.raises(VermilionError) as refused:
        item(office, register, approved, replace(approved.requests[0], document=b"", name="合同.pdf"))
    assert refused.value.document == "合同.pdf"


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_no_byte_of_a_token_can_be_changed(place: int, value: int) -> None:
    office, register, token = _once()
    at = place % len(token)
    mutated = token[:at] + chr(value) + token[at + 1 :]
    if mutated == token:
        return
    with pytest.raises(VermilionError) as refused:
        admit(office, register, mutated)
    assert refused.value.code in {Code.TOKEN_MALFORMED, Code.TOKEN_SIGNATURE_INVALID, Code.ISSUER_NOT_PINNED}


_made: list[tuple[Office, Register, str]] = []


def _once() -> tuple[Office, Register, str]:
    if not _made:
        office = Office.in_software(Path())
        register = replay([Act({**office.seed(), "kind": "seed"}, 0)], audience=AUDIENCE)
        _made.append((office, register, office.approve([document()]).token))
    return _made[0]


def test_an_unknown_claim_a_crit_or_another_algorithm_is_refused(office: Office, register: Register) -> None:
    token = office.approve([DOCUMENT]).token
    header, payload, signature = token.split(".")

    def rewritten(part: str, **more: Any) -> str:
        members = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        encoded = json.dumps({**members, **more}, sort_keys=True, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()

    for odd in (
        f"{rewritten(header, crit=['x'])}.{payload}.{signature}",
        f"{rewritten(header, alg='none')}.{payload}.{signature}",
        f"{rewritten(header, alg='HS256')}.{payload}.{signature}",
        f"{rewritten(header, typ='JWT')}.{payload}.{signature}",
        f"{header}.{rewritten(payload, extra=1)}.{signature}",
    ):
        assert refusal(office, register, odd) is Code.TOKEN_MALFORMED


def test_a_stop_that_an_officer_did_not_sign_does_not_enter_the_register(office: Office, register: Register) -> None:
    seal = office.seals["contract"].id
    statement = StopStatement("seal", seal, office.bo.id, "r", "2026-01-01T00:00:00Z")
    with pytest.raises(VermilionError) as refused:
        replay([stop_act(statement, sign(statement, office.bo.sign), 0)], audience=AUDIENCE, start=register)
    assert refused.value.code is Code.REGISTER_INCONSISTENT
