"""The gate (docs/protocol.md, "Use", step 1): what must be true before a seal key is touched.

``TOKEN_STEPS`` are judged once a stream (and again when the register has changed), the steps in ``admit_item`` for every
document. Each step raises its own code. The order is the protocol's; the issuer's key comes before the signature because it verifies it.
When a token ends is judged at Intend (``uses``), so that what was sealed in time can be fetched again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.hashes import HashState, hash_state
from sealcore.protocol import token_checks
from sealcore.protocol.actions import Performer, performed_by
from sealcore.protocol.canonical import require
from sealcore.protocol.covers import ActCovers, GrantCovers, ManifestCovers
from sealcore.protocol.leaf import Leaf
from sealcore.protocol.manifest import Prover
from sealcore.protocol.token import Claims, ParsedToken, parse, verify_signature
from sealcore.text import require_readable
from signer.model import ItemRequest, unsalted_binding
from signer.register.model import RULES, EpochKind, Epochs, Register, Seal, Template

WORKFLOW_ALONE = "approved by the workflow alone"
NO_TEMPLATE = "under a grant without a template"
ACTS = performed_by(Performer.SIGNER)  # what Perform carries out


@dataclass(frozen=True)
class Presented:
    """A token that the gate is asked to admit.

    rules   the version of the rules that it is judged by: the current one, or the one that a past act was recorded under
    """

    token: ParsedToken
    jws: str
    peer: str
    register: Register
    now: datetime
    audience: str
    rules: int = RULES

    @property
    def claims(self) -> Claims:
        """The token's claims; to be believed only as far as the steps have checked them."""
        return self.token.claims

    @property
    def untemplated(self) -> bool:
        """Whether this is a grant without a template, which needs a larger quorum."""
        return isinstance(self.claims.covers, GrantCovers) and self.claims.covers.template is None


@dataclass(frozen=True, eq=False)
class Admission:
    """A token that passed: what Intend and Commit need of it. Compared by identity, so that it can be a key: each stands for one judgement.

    covers      how its documents are proven to be covered: by a manifest's prover, or by a grant's bounds
    epochs      as the gate saw them; Commit re-reads them under lock
    people      the approvers who count, sorted
    warnings    shown with every result and in every entry
    """

    claims: Claims
    covers: Prover | GrantCovers
    jws: str
    signing_input: bytes
    register: Register
    epochs: Epochs
    people: tuple[str, ...]
    warnings: tuple[str, ...]
    judged_at: datetime

    @property
    def seal(self) -> Seal:
        """The seal that the token names."""
        return self.register.seal(self.claims.seal)

    @property
    def template(self) -> Template | None:
        """The template that the documents of a grant must match; None when it names none."""
        covers = self.covers
        return self.register.templates[covers.template] if isinstance(covers, GrantCovers) and covers.template is not None else None

    @property
    def ends(self) -> int:
        """NumericDate from which on nothing new is sealed under it."""
        return min(self.claims.exp, self.covers.expires) if isinstance(self.covers, GrantCovers) else self.claims.exp


@dataclass(frozen=True)
class AdmittedAct:
    """A token for an act of the signer that passed.

    parameters  of the act
    people      the approvers who count, sorted
    """

    claims: Claims
    parameters: Mapping[str, Any]
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdmittedItem:
    """A document that passed.

    binding   names bytes and marks; two requests for one use must agree on it
    digest    SHA-256 after the whole document: everything behind it is hashed on from this state
    """

    admission: Admission
    request: ItemRequest
    binding: bytes
    digest: HashState

    @property
    def jti(self) -> str:
        """The token."""
        return self.admission.claims.jti

    @property
    def index(self) -> int:
        """The use's index under the token."""
        return self.request.index

    @property
    def is_grant_use(self) -> bool:
        """Whether a grant, not a manifest, covers it."""
        return isinstance(self.admission.covers, GrantCovers)


# --- the token -----------------------------------------------------------------------------------------------------------------


def admit_token(jws: str, *, peer: str, register: Register, now: datetime, audience: str) -> Admission:
    """The admission of a token for sealing; raises the code of the first step that refuses."""
    presented = Presented(token_form(jws), jws, peer, register, now, audience)
    for step in TOKEN_STEPS:
        step(presented)
    return _admission(presented, action_seal(presented))


def admit_act(jws: str, *, peer: str, register: Register, now: datetime, audience: str, rules: int = RULES) -> AdmittedAct:
    """The admission of a token for an act of the signer (resume, register); also judged again whenever the acts are replayed."""
    presented = Presented(token_form(jws), jws, peer, register, now, audience, rules)
    for step in ACT_STEPS:
        step(presented)
    return AdmittedAct(presented.claims, action_act(presented).parameters, _people(presented.claims))


def token_form(jws: str) -> ParsedToken:
    """The token is present and has exactly the form of the protocol."""
    return parse(jws)


def issuer_pinned(presented: Presented) -> None:
    """Its ``kid`` is among the pinned issuers."""
    presented.register.issuer(presented.token.kid)


def token_signature(presented: Presented) -> None:
    """That issuer signed it."""
    verify_signature(presented.token, presented.register.issuer(presented.token.kid).key)


def audience(presented: Presented) -> None:
    """It is addressed to this signer cluster."""
    token_checks.require_audience(presented.claims, presented.audience)


def subject(presented: Presented) -> None:
    """It names the client that presents it, and that client is not shut out."""
    token_checks.require_subject(presented.claims, presented.peer)
    if ("client", presented.peer) in presented.register.stopped:
        raise VermilionError(Code.PERMISSION_DENIED, f"{presented.peer} is shut out by an act of the register")


def not_before(presented: Presented) -> None:
    """It is valid already."""
    token_checks.require_begun(presented.claims, presented.now)


def not_ended(presented: Presented) -> None:
    """It has not ended (acts only; a use's end is judged at Intend)."""
    token_checks.require_not_ended(presented.claims, presented.now)


def after_restore(presented: Presented) -> None:
    """It was issued and decided after the last restore: uses of an older one may be missing from the backup."""
    restored_at = presented.register.restored_at
    if presented.rules < 2 and restored_at is not None and presented.claims.iat >= restored_at:
        return  # recorded when only ``iat`` was compared
    token_checks.require_after_restore(presented.claims, restored_at, "the signer's database")


def low_s(presented: Presented) -> None:
    """Its signatures have low s (acts only)."""
    if presented.rules >= 2:
        presented.token.require_low_s()


def decisions(presented: Presented) -> None:
    """Every decision is by a registered person over exactly this request; none rejects, and nobody approves their own request."""
    # The person's key comes from the register at this moment, never from the token: whoever
    # makes tokens could bring keys along.
    register = presented.register

    token_checks.require_decisions(presented.claims, lambda person: register.person(person, "approver").key, register.key_of)


def quorum(presented: Presented) -> None:
    """Enough distinct persons approved: at least the register's number, which a policy may raise and never lower."""
    claims, register = presented.claims, presented.register
    least = register.least_persons(claims.action, claims.seal, untemplated=presented.untemplated)
    # Rules 1 counted names. Acts recorded under them must come out the same whenever the
    # register is rebuilt, so they are still counted that way.
    counted_by_key = presented.rules >= 2
    given = token_checks.distinct_approvers(claims, register.key_of) if counted_by_key else len(token_checks.approvers(claims))
    token_checks.require_quorum(claims, least, given)


def seal_state(presented: Presented) -> None:
    """The seal is active."""
    seal = presented.register.seal(presented.claims.seal)
    if seal.state == "suspended":
        raise VermilionError(Code.SEAL_SUSPENDED, f"the seal {seal.id} is suspended")
    if seal.state != "active":
        raise VermilionError(Code.SEAL_RETIRED, f"the seal {seal.id} is {seal.state}")


def seal_certificate(presented: Presented) -> None:
    """Its certificate is within its validity."""
    certificate = presented.register.seal(presented.claims.seal).leaf
    if not certificate.not_valid_before_utc <= presented.now <= certificate.not_valid_after_utc:
        raise VermilionError(Code.SEAL_CERTIFICATE_INVALID, "the seal's certificate is not valid now")


def action_seal(presented: Presented) -> ManifestCovers | GrantCovers:
    """It is for sealing, and covers documents: these."""
    covers = presented.claims.covers
    if presented.claims.action != "seal" or isinstance(covers, ActCovers):
        raise VermilionError(Code.ACTION_MISMATCH, f"the token is for the action {presented.claims.action!r}, not for sealing documents")
    return covers


def action_act(presented: Presented) -> ActCovers:
    """It is for an act that the signer carries out: this one."""
    covers = presented.claims.covers
    if presented.claims.action not in ACTS or not isinstance(covers, ActCovers):
        raise VermilionError(Code.ACTION_MISMATCH, f"the signer does not carry out the action {presented.claims.action!r}")
    return covers


def grant_alive(presented: Presented) -> None:
    """A grant was not withdrawn, and its template is registered."""
    covers = presented.claims.covers
    if not isinstance(covers, GrantCovers):
        return
    if ("grant", presented.claims.jti) in presented.register.stopped:
        raise VermilionError(Code.GRANT_WITHDRAWN, f"the grant {presented.claims.jti} was withdrawn")
    if covers.template is not None and covers.template not in presented.register.templates:
        raise VermilionError(Code.TEMPLATE_MISMATCH, "the grant's template is not in the signer's register")


TOKEN_STEPS: Sequence[Callable[[Presented], object]] = (
    # The issuer and its signature come first: until then the claims are anybody's words, and
    # what follows believes them.
    issuer_pinned,
    token_signature,
    audience,
    subject,
    # No ``not_ended`` here: Intend judges the end, so a repeat of a request that was sealed in
    # time still gets its bytes after ``exp``.
    not_before,
    after_restore,
    # The costly steps follow the cheap ones: each decision is an ECDSA verification, and
    # anybody with a client certificate may call.
    decisions,
    quorum,
    seal_state,
    seal_certificate,
    action_seal,
    grant_alive,
)

ACT_STEPS: Sequence[Callable[[Presented], object]] = (
    issuer_pinned,
    token_signature,
    audience,
    subject,
    not_before,
    # An act has no Intend that could judge the end of its token.
    not_ended,
    after_restore,
    # Of an act there is one piece of evidence: of every signature in it only the form with low
    # s counts, so that nobody can compute a twin.
    low_s,
    decisions,
    action_act,
    quorum,
)


def _people(claims: Claims) -> tuple[str, ...]:
    return tuple(sorted(token_checks.approvers(claims)))


def _admission(presented: Presented, covers: ManifestCovers | GrantCovers) -> Admission:
    claims, register, people = presented.claims, presented.register, _people(presented.claims)
    # Everything whose stop must reach uses that were admitted already. Commit compares these
    # values under lock; what is missing here could be stopped between gate and Commit without
    # effect.
    epochs: dict[tuple[EpochKind, str], int] = {
        ("seal", claims.seal): register.epoch("seal", claims.seal),
        ("client", claims.sub): register.epoch("client", claims.sub),
        ("issuer", presented.token.kid): register.epoch("issuer", presented.token.kid),
        **{("person", person): register.epoch("person", person) for person in people},
    }
    if isinstance(covers, GrantCovers):
        epochs["grant", claims.jti] = register.epoch("grant", claims.jti)
        if covers.template is not None:
            epochs["template", covers.template] = register.epoch("template", covers.template)
    warnings = (*((WORKFLOW_ALONE,) if not people else ()), *((NO_TEMPLATE,) if presented.untemplated else ()))
    proven_by = Prover(covers) if isinstance(covers, ManifestCovers) else covers
    signing_input = presented.token.signing_input
    return Admission(claims, proven_by, presented.jws, signing_input, register, epochs, people, warnings, presented.now)


# --- each document -------------------------------------------------------------------------------------------------------------


def admit_item(admission: Admission, request: ItemRequest, *, largest_document_bytes: int) -> AdmittedItem:
    """The admission of one document; raises the code of the first step that refuses, naming the document."""
    try:
        # By cost: sizes, then lookups, then the proof (a few hashes), and last the hash over the
        # whole document.
        require_size(request, largest_document_bytes)
        scope(admission, request)
        binding = proof_or_grant(admission, request)
        digest = document_hash(request)
    except VermilionError as fault:
        raise VermilionError(fault.code, fault.reason, document=request.name or str(request.index), rule=fault.rule) from None
    return AdmittedItem(admission, request, binding, digest)


def require_size(request: ItemRequest, largest_document_bytes: int) -> None:
    """The document is neither empty nor over the limit: judged first, before anything is hashed."""
    if request.size_bytes == 0:
        raise VermilionError(Code.DOCUMENT_EMPTY, "the document is empty")
    if request.size_bytes > largest_document_bytes:
        raise VermilionError(Code.DOCUMENT_TOO_LARGE, f"the document has {request.size_bytes} bytes; the limit is {largest_document_bytes}")


def scope(admission: Admission, request: ItemRequest) -> None:
    """The index is one that was approved, and every mark shows a picture of this very seal."""
    covers = admission.covers
    if isinstance(covers, GrantCovers) and request.index >= covers.most_uses:
        raise VermilionError(Code.GRANT_EXCEEDED, f"the grant covers {covers.most_uses} uses; there is no index {request.index}")
    require_own_pictures(admission.seal, request)


def require_own_pictures(seal: Seal, request: ItemRequest) -> None:
    """Every mark shows a picture of this very seal, and every text of the signature is what a reader sees."""
    texts = request.placement.texts
    for text in (texts.name, texts.reason, texts.location, texts.contact):
        if text and not text.isascii():  # control characters are refused at construction
            require_readable(text, "a text of the signature")
    for mark in request.placement.marks:
        if mark.picture_sha256 not in seal.pictures:
            raise VermilionError(Code.PICTURE_UNKNOWN, f"the picture {mark.picture_sha256.hex()[:16]}… does not belong to this seal")


def proof_or_grant(admission: Admission, request: ItemRequest) -> bytes:
    """The binding of document and marks: its leaf, proven under the approved root; under a grant, a leaf of its own."""
    covers = admission.covers
    if isinstance(covers, Prover):
        if request.index >= covers.size:
            raise VermilionError(Code.PROOF_INVALID, f"{covers.size} documents were approved; there is no index {request.index}")
        leaf = Leaf(request.salt, request.index, covers.size, request.document_sha256, request.size_bytes, request.placement)
        return covers.prove(leaf, request.proof)
    # Otherwise a client could vary the salt and so bind one index of a grant to many leaves.
    require(not request.salt and not request.proof, "under a grant an item carries neither salt nor proof")
    return unsalted_binding(request, request.document_sha256)


def grant_leaf(request: ItemRequest, salt: bytes) -> Leaf:
    """The leaf of a use under a grant: a batch of one, because nobody approved a list. Its salt is chosen at the first Intend."""
    # The index stays out of the leaf: under a grant the client chooses it, and no approver has
    # seen it.
    return Leaf(salt, 0, 1, request.document_sha256, request.size_bytes, request.placement)


def document_hash(request: ItemRequest) -> HashState:
    """The bytes that will be sealed are the approved ones; the hash state after them."""
    # Over the very buffer that the writer reads later: a hash over another copy would leave a
    # gap in which the bytes could change.
    digest = hash_state("sha256", request.document)
    if len(request.document) != request.size_bytes or digest.digest() != request.document_sha256:
        raise VermilionError(Code.DOCUMENT_MISMATCH, "the bytes sent are not those that were approved")
    return digest
