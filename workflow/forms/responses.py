"""What goes out about forms."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Literal

from pydantic import Field

from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import ManifestCovers
from sealcore.protocol.json_objects import placement_to_json
from sealcore.protocol.manifest import DocumentEntry
from workflow.forms import decisions, model
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import Parameters
from workflow.forms.kinds.documents import Document, Placement
from workflow.forms.kinds.grant import GrantTerms
from workflow.web.fields import Body, Sha256, State, Time, Uuid


class PolicyRef(Body):
    """The policy a form is decided under; `quorum` is the least number of approvers that holds for it."""

    id: str
    version: int
    quorum: int


class ManifestTerms(Body):
    """Root (base64url) and size of the manifest."""

    root: str
    size: int


class CoversManifest(Body):
    """Exactly the documents under one root."""

    manifest: ManifestTerms


class CoversGrant(Body):
    """A standing approval."""

    grant: GrantTerms


class CoversAct(Body):
    """An act's parameters."""

    act: Parameters


class Context(Body):
    """The ten fields that every decision on a form is signed over, as in docs/protocol.md, "Decision"."""

    jti: Uuid
    form: str
    aud: str
    sub: str
    seal: str
    action: str
    covers: CoversManifest | CoversGrant | CoversAct
    policy: PolicyRef
    nbf: Time
    exp: Time


class RecordedDecision(Body):
    """A decision that was taken in."""

    person: Uuid
    verdict: Literal["apply", "approve", "reject"]
    time: Time
    signature: str
    reason: str
    received: Time


class Form(Body):
    """A form. `title` is the applicant's words and binds nobody; `root` and `size` are there when it is about documents; `context` is what people sign."""

    number: str
    jti: Uuid
    state: State
    unit: str
    title: str
    seal: str
    action: str
    root: Sha256 | None
    size: int | None
    applicant: Uuid | None
    submitted_by: str
    created: Time
    settled: Time | None
    reason: str
    context: Context
    decisions: list[RecordedDecision]


class Event(Body):
    """What happened; `ledger_index` is null until the ledger has it."""

    event: str
    time: Time
    ledger_index: int | None


class Performance(Body):
    """How far an approved act has been carried out."""

    state: Literal["pending", "done", "refused", "closed"]
    ledger_index: int | None
    code: str | None
    reason: str | None
    closed_by: Uuid | None
    closed_reason: str | None


class AttachmentRef(Body):
    """A file that comes with an act, without its bytes."""

    sha256: Sha256
    size_bytes: int


class Attachment(AttachmentRef):
    """A file that comes with an act; `content` is base64."""

    content: str


class Fact(Body):
    """One thing that a form would change; a missing value is null."""

    name: str
    before: str | int | None
    after: str | int | None
    words: str


class Effect(Body):
    """What a form would bring about, computed from `context` and not from the title, which is the applicant's words."""

    kind: str
    words: str
    facts: list[Fact]


class Dossier(Form):
    """A form with everything about it."""

    documents: list[Document]
    attachments: list[AttachmentRef]
    events: list[Event]
    performance: Performance | None
    effect: Effect | None
    applicant_name: str | None = Field(description="What the directory calls the person who applies.")
    filed_by: str | None = Field(description="What the directory calls the client that filed it; null for an operator.")


class Forms(Body):
    """A page of forms."""

    forms: list[Form]
    next: Uuid | None


class Decided(Body):
    """Where the form stands after a decision."""

    number: str
    state: State
    approvals: int
    needed: int
    applicant_signed: bool


class Token(Body):
    """The approval token, a compact JWS."""

    token: str


def form(one: model.Form) -> Form:
    """A form."""
    return Form(**_form(one))


def _form(one: model.Form) -> dict[str, Any]:
    covers = one.context.covers
    manifest = covers if isinstance(covers, ManifestCovers) else None
    return {
        "number": one.number,
        "jti": one.context.jti,
        "state": str(one.state),
        "unit": one.unit,
        "title": one.title,
        "seal": one.context.seal,
        "action": one.context.action,
        "root": manifest.root.hex() if manifest else None,
        "size": manifest.size if manifest else None,
        "applicant": one.applicant,
        "submitted_by": one.submitted_by,
        "created": one.created,
        "settled": one.settled,
        "reason": one.reason,
        "context": Context.model_validate(one.context.as_json()),
        "decisions": [_decision(received) for received in one.decisions],
    }


def _decision(received: model.Received) -> RecordedDecision:
    given = received.decision
    return RecordedDecision.model_validate(
        {
            "person": given.person,
            "verdict": given.verdict,
            "time": given.time,
            "signature": b64url(given.signature),
            "reason": received.reason,
            "received": received.received,
        }
    )


def dossier(one: forms.Dossier) -> Dossier:
    """A form with everything about it."""
    return Dossier(
        **_form(one.form),
        documents=[_document(entry, salt) for entry, salt in one.documents],
        attachments=[AttachmentRef(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content)) for content in one.attachments],
        events=[Event(event=event.event, time=event.time, ledger_index=event.ledger_index) for event in one.events],
        effect=None if one.effect is None else Effect.model_validate(one.effect.as_json()),
        applicant_name=one.applicant_name,
        filed_by=one.filed_by,
        performance=None if one.performance is None else Performance.model_validate(vars(one.performance)),
    )


def attachment(content: bytes) -> Attachment:
    """A file with its bytes."""
    encoded = base64.b64encode(content).decode("ascii")
    return Attachment(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), content=encoded)


def _document(entry: DocumentEntry, salt: bytes) -> Document:
    return Document(
        name=entry.name,
        sha256=entry.sha256.hex(),
        size_bytes=entry.size_bytes,
        salt=b64url(salt),
        placement=Placement.model_validate(placement_to_json(entry.placement)),
    )


def decided(outcome: decisions.Outcome) -> Decided:
    """Where a form stands after a decision."""
    reached = outcome.standing
    return Decided.model_validate(
        {
            "number": outcome.form.number,
            "state": str(outcome.form.state),
            "approvals": len(reached.approvers),
            "needed": reached.needed,
            "applicant_signed": reached.applicant_signed,
        }
    )
