"""Use cases around a form: submit it, look at it, take it back, fetch its token."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri, uuid7
from sealcore.platform.db import read, write
from sealcore.platform.rpc import Peer
from sealcore.protocol import token as tokens
from sealcore.protocol.canonical import canonical_json
from sealcore.protocol.covers import ActCovers, Covers, GrantCovers
from sealcore.protocol.decision import DecisionContext, Policy
from sealcore.protocol.known import Effect
from sealcore.protocol.leaf import Leaf
from sealcore.protocol.manifest import DocumentEntry, Manifest
from workflow import store
from workflow.access import require_visible
from workflow.delivery import events
from workflow.delivery.ca_link import Authority
from workflow.delivery.events import Recorded
from workflow.forms import effects
from workflow.forms.countable import require_countable
from workflow.forms.quorum import least_persons
from workflow.model import (
    ACT_ACTIONS,
    CA_ACTIONS,
    CREATE_ACTION,
    REVOKE_ACTION,
    SEAL_ACTION,
    Client,
    Form,
    FormState,
    Performance,
    Person,
    Role,
    Rule,
    choose_rule,
)
from workflow.office import Office
from workflow.policies import use_cases as policies

MOST_ATTACHED_BYTES = 3 * 1024 * 1024  # with its token they fit into one message to the signer
MOST_ACT_BYTES = 160 * 1024  # of its parameters: with 64 decisions they fit into one token
MOST_WAITING_BYTES = 64 * 1024 * 1024  # of the files with all acts of a client that wait for people
OPEN_RETRY_S = 60  # people decide in minutes at best
ACT_SUBJECT = service_uri("workflow")  # who hands an act's token on, so whom it must name; the audience of what the workflow does itself
CLIENT_PROFILE = "client"  # the CA's profile of business systems


@dataclass(frozen=True)
class Documents:
    """A batch to be sealed; ``root`` is what the client computed over it.

    unsaid  positions of documents of which the caller does not say how they are certified: as their seal is registered
    """

    entries: tuple[DocumentEntry, ...]
    salts: tuple[bytes, ...]
    root: bytes | None = None
    unsaid: frozenset[int] = frozenset()


@dataclass(frozen=True)
class GrantRequest:
    """A standing approval asked for; ``until`` is a NumericDate, ``template`` lower hex or None."""

    uses: int
    until: int
    template: str | None


@dataclass(frozen=True)
class ActRequest:
    """An act asked for, with its parameters and the files that they name by SHA-256."""

    parameters: Mapping[str, Any]
    files: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Application:
    """What a caller asks for. ``valid_s`` shortens the form's term, in seconds."""

    seal: str
    action: str
    title: str
    asked: Documents | GrantRequest | ActRequest
    unit: str | None = None
    applicant: str | None = None
    valid_s: int | None = None


@dataclass(frozen=True)
class Dossier:
    """A form with everything about it; ``applicant_name`` and ``filed_by`` are what the directory calls the applicant and the client."""

    form: Form
    documents: tuple[tuple[DocumentEntry, bytes], ...]
    attachments: tuple[bytes, ...]
    events: tuple[Recorded, ...]
    performance: Performance | None
    effect: Effect | None
    applicant_name: str | None
    filed_by: str | None


@dataclass(frozen=True)
class _Plan:
    """A request with all that the database has no part in worked out."""

    covers: Covers
    entries: Sequence[DocumentEntry]
    leaves: Sequence[Leaf]
    nbf: int
    exp: int


def submit(office: Office, caller: Peer, application: Application) -> Form:
    """Takes an application in: everything that decisions will be signed over is frozen here. Returns the numbered form.

    A seal whose quorum is 0 is approved by the workflow alone, at once.
    """
    _check_caller(caller, application)
    now = office.now()
    plan = _plan(office, application, now)
    least = least_persons(office.register, application.seal, application.action, plan.covers)
    files = application.asked.files if isinstance(application.asked, ActRequest) else ()
    check_act(office, application.seal, application.action, plan.covers, files, earliest=plan.nbf)
    require_countable(office, _audience(office, application), _subject(caller, plan.covers), plan.nbf)
    with write(office.engine) as connection:
        client = store.client_by_uri(connection, caller.uri)
        unit = _unit(office, caller, client, application)
        if not store.unit_exists(connection, unit):
            raise VermilionError(Code.NOT_FOUND, f"there is no unit {unit}")
        if application.applicant is not None:
            _check_applicant(store.find_person(connection, application.applicant), unit)
        if client is not None:
            _check_open(office, connection, caller, sum(map(len, files)))
        least = max(least, client.least_persons if client is not None else 0)
        rule = choose_rule(store.rules(connection), application.seal, application.action)
        number = store.next_number(connection, unit, office.clock.now().year)
        form = Form(
            number=number,
            unit=unit,
            title=application.title,
            state=FormState.APPLIED,
            context=_context(office, caller, application, plan, number=number, policy=_policy(rule, least)),
            submitted_by=caller.uri,
            created=now,
            applicant=application.applicant,
        )
        token = None
        if form.context.policy.quorum == 0:
            form = form.approved(now)
            token = office.issuer.issue(form.context, (), now)
        store.add_form(connection, form, token)
        if plan.entries:
            store.add_documents(connection, number, plan.entries, plan.leaves)
        store.add_attachments(connection, number, files)
        events.record_form(connection, "form.applied", form, now, person=application.applicant or "", submitted_by=caller.uri)
        if token is not None:
            announce_approval(office, connection, form, token, now)
    return form


def check_act(
    office: Office,
    seal: str,
    action: str,
    covers: Covers,
    files: Sequence[bytes],
    *,
    earliest: int,
    approved_since: int | None = None,
) -> None:
    """Refuses what the one who will carry the act out would refuse, before anybody is asked to approve it; raises their own code.

    earliest        NumericDate of the earliest of the form's start and its decisions: what lies before a restore does not count
    approved_since  NumericDate of the first approval so far: what was changed since is not what that person was shown
    """
    if not isinstance(covers, ActCovers):
        return
    if (size_bytes := len(canonical_json(dict(covers.parameters)))) > MOST_ACT_BYTES:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the act's parameters have {size_bytes} bytes; its token takes {MOST_ACT_BYTES}")
    if action in CA_ACTIONS or covers.parameters.get("change") == policies.POLICY_ADD:  # the signer has no part in these
        if files:
            raise VermilionError(Code.ATTACHMENT_UNNAMED, "this act names no file")
        if action in CA_ACTIONS:
            _authority(office, action).check_act(action, seal, covers.parameters, approved_since, earliest)
        else:
            policies.check(office, covers.parameters)
        return
    if (size_bytes := sum(map(len, files))) > MOST_ATTACHED_BYTES:
        raise VermilionError(Code.DOCUMENT_TOO_LARGE, f"the act's files have {size_bytes} bytes; the limit is {MOST_ATTACHED_BYTES}")
    if covers.parameters.get("change") == "person_remove":
        policies.check_removal(office, str(covers.parameters.get("id")))
    office.register.check_act(action, seal, covers.parameters, files, approved_since)


def announce_approval(office: Office, connection: Any, form: Form, token: str, now: int) -> None:
    """Tells the ledger, and has an act carried out."""
    events.record_form(connection, "form.approved", form, now, approvers=len(form.decisions))
    covers = form.context.covers
    if not isinstance(covers, ActCovers):
        return
    if form.context.aud == ACT_SUBJECT:
        policies.perform(connection, form, covers.parameters, token, now)
        return
    if form.context.action == CREATE_ACTION and covers.parameters.get("profile") == CLIENT_PROFILE:
        store.approve_client(connection, str(covers.parameters.get("uri")))
    events.queue_performance(connection, form, token, now)


def show(office: Office, caller: Peer, number: str) -> Dossier:
    """A form with its documents and history; to a client only its own, anything else does not exist for it."""
    with read(office.engine) as connection:
        form = store.form(connection, number)
        require_visible(caller, form)
        documents = tuple(store.documents(connection, number))
        files = tuple(store.attachments(connection, number))
        history, performance = tuple(events.of_form(connection, number)), events.performance(connection, number)
        applicant = store.find_person(connection, form.applicant) if form.applicant is not None else None
        client, rules = store.client_by_uri(connection, form.submitted_by), store.rules(connection)
    effect = effects.of_form(office.register, form, documents, rules)
    names = [one.name if one is not None else None for one in (applicant, client)]
    return Dossier(form, documents, files, history, performance, effect, *names)


def attachment(office: Office, caller: Peer, number: str, sha256: bytes) -> bytes:
    """A file that comes with a form's act; NOT_FOUND."""
    with read(office.engine) as connection:
        require_visible(caller, store.form(connection, number))
        for content in store.attachments(connection, number):
            if hashlib.sha256(content).digest() == sha256:
                return content
    raise VermilionError(Code.NOT_FOUND, f"the form {number} names no file {sha256.hex()}")


def listing(office: Office, caller: Peer, *, state: FormState | None, before: str | None, limit: int, own: bool = False) -> list[Form]:
    """Forms, newest first; to a client its own, to an operator all, or with ``own`` those that it filed itself."""
    filed_by = None if "operator" in caller.roles and not own else caller.uri
    with read(office.engine) as connection:
        return store.forms(connection, state=state, submitted_by=filed_by, before=before, limit=limit)


def withdraw(office: Office, caller: Peer, number: str) -> Form:
    """Takes an open form back; it keeps its number."""
    now = office.now()
    with write(office.engine) as connection:
        form = store.form(connection, number, lock=True)
        require_visible(caller, form)
        form = form.withdrawn(caller.uri, now)
        store.settle(connection, form)
        store.drop_attachments(connection, number)
        events.record_form(connection, "form.withdrawn", form, now, by=caller.uri)
    return form


def fetch_token(office: Office, caller: Peer, number: str) -> str:
    """The approval token, to the client that it names and to nobody else.

    It was signed when the form was approved; what does not bear the issuer's signature over this very form does not leave, so a
    database that someone altered yields nothing.
    """
    with read(office.engine) as connection:
        form = store.form(connection, number)
        jws = store.token(connection, number)
    require_visible(caller, form)
    if caller.uri != form.context.sub:
        raise VermilionError(Code.SUBJECT_MISMATCH, "the token of this form is for another caller")
    if form.state is FormState.REJECTED:
        raise VermilionError(Code.FORM_REJECTED, f"form {number} was rejected: {form.reason}")
    if form.state is not FormState.APPROVED or jws is None:
        raise VermilionError(Code.FORM_STATE, f"form {number} is {form.state}; only an approved form has a token")
    if office.now() >= form.context.exp:
        raise VermilionError(Code.TOKEN_EXPIRED, f"the term of form {number} has ended")
    parsed = tokens.parse(jws)
    if parsed.kid != office.issuer.kid or parsed.claims.context != form.context:
        raise VermilionError(Code.TOKEN_MALFORMED, "the stored token is not the one of this form")
    tokens.verify_signature(parsed, office.issuer.public_key)
    return jws


def _check_open(office: Office, connection: Any, caller: Peer, size_bytes: int) -> None:
    """QUOTA_EXCEEDED when too many forms of a client, or too many bytes of their files, wait for people. What has lapsed waits no more."""
    since = office.now() - office.bounds.token_validity_s
    reason = None
    if store.open_forms(connection, caller.uri, since) >= office.bounds.open_forms:
        reason = f"{office.bounds.open_forms} forms of {caller.uri} wait for people already"
    elif size_bytes and store.attached_bytes(connection, caller.uri, since) + size_bytes > MOST_WAITING_BYTES:
        reason = f"the files of forms of {caller.uri} that wait for people have {MOST_WAITING_BYTES} bytes at most"
    if reason is not None:
        refused = VermilionError(Code.QUOTA_EXCEEDED, reason)
        refused.retry_after_s = OPEN_RETRY_S
        raise refused


def _check_caller(caller: Peer, application: Application) -> None:
    if isinstance(application.asked, ActRequest):
        if application.action not in ACT_ACTIONS:
            raise VermilionError(Code.ACTION_MISMATCH, f"the acts that a form can ask for are {', '.join(sorted(ACT_ACTIONS))}")
        without_seal = application.action in ("register", CREATE_ACTION)
        if application.action != REVOKE_ACTION and without_seal == bool(application.seal):
            raise VermilionError(Code.INVALID_ARGUMENT, "an act names its seal; a change of the register or a new identity names none")
        return
    if application.action != SEAL_ACTION:
        raise VermilionError(Code.ACTION_MISMATCH, "documents and grants are for the action seal")
    if "client" not in caller.roles:
        raise VermilionError(Code.PERMISSION_DENIED, "who operates the system does not use seals; submit as a client")


def _check_applicant(person: Person | None, unit: str) -> None:
    """One refusal for whoever is not there, has left, is another unit's, or may not apply: it tells nothing about people."""
    if person is None or person.unit != unit or not person.may(Role.APPLICANT, Role.APPROVER):
        raise VermilionError(Code.APPLICANT_NOT_ALLOWED, f"no active person of the unit {unit} with this id may apply")


def _unit(office: Office, caller: Peer, client: Client | None, application: Application) -> str:
    if "client" in caller.roles and (client is None or not client.active):
        raise VermilionError(Code.PERMISSION_DENIED, f"{caller.uri} is not among the workflow's clients")
    if client is None:
        return application.unit or office.bounds.office_unit
    unit = application.unit or client.unit
    if unit not in client.units:
        raise VermilionError(Code.UNIT_NOT_ALLOWED, f"{caller.uri} applies for {', '.join(sorted(client.units))} and no other unit")
    return unit


def _plan(office: Office, application: Application, now: int) -> _Plan:
    longest_s = office.bounds.token_validity_s
    exp = now + min(application.valid_s or longest_s, longest_s)
    match application.asked:
        case Documents(entries, salts, root, unsaid):
            entries = _certified(office, application.seal, entries, unsaid)
            manifest = Manifest.build(entries, salts=salts)
            if root is not None and root != manifest.root:
                raise VermilionError(Code.PROOF_INVALID, "the documents do not add up to the root that was sent with them")
            return _Plan(manifest.covers, entries, manifest.leaves, now, exp)
        case GrantRequest(uses, until, template):
            if not now < until <= now + office.bounds.grant_validity_s:
                raise VermilionError(Code.INVALID_ARGUMENT, f"a grant ends within {office.bounds.grant_validity_s} seconds from now")
            return _Plan(GrantCovers(uses, until, template), (), (), now, until)
        case ActRequest(parameters):
            return _Plan(ActCovers(parameters), (), (), now, exp)


def _certified(office: Office, seal: str, entries: tuple[DocumentEntry, ...], unsaid: frozenset[int]) -> tuple[DocumentEntry, ...]:
    """The documents with the seal's own certification where the caller does not say: decisions are signed over what results."""
    if not unsaid:
        return entries
    default = office.register.seal(seal).certification
    return tuple(
        replace(entry, placement=replace(entry.placement, certification=default)) if at in unsaid else entry
        for at, entry in enumerate(entries)
    )


def _policy(rule: Rule, least: int) -> Policy:
    return Policy(rule.id, rule.version, max(rule.quorum, least))


def _context(office: Office, caller: Peer, application: Application, plan: _Plan, *, number: str, policy: Policy) -> DecisionContext:
    return DecisionContext(
        jti=uuid7(),
        form=number,
        aud=_audience(office, application),
        sub=_subject(caller, plan.covers),
        seal=application.seal,
        action=application.action,
        covers=plan.covers,
        policy=policy,
        nbf=plan.nbf,
        exp=plan.exp,
    )


def _subject(caller: Peer, covers: Covers) -> str:
    return ACT_SUBJECT if isinstance(covers, ActCovers) else caller.uri


def _audience(office: Office, application: Application) -> str:
    if _policy_asked(application) is not None:
        return ACT_SUBJECT
    if application.action not in CA_ACTIONS:
        return office.bounds.audience
    assert office.bounds.ca_audience is not None, "the CA has judged the act"
    return office.bounds.ca_audience


def _authority(office: Office, action: str) -> Authority:
    if office.authority is None or office.bounds.ca_audience is None:
        raise VermilionError(Code.ACTION_MISMATCH, f"this workflow knows no CA (`ca_target`), so nobody would {action}")
    return office.authority


def _policy_asked(application: Application) -> Rule | None:
    """The policy that an act is to add to our own, whatever it asks; None for anything else."""
    asked = application.asked
    if isinstance(asked, ActRequest) and application.action == "register" and asked.parameters.get("change") == policies.POLICY_ADD:
        return policies.rule_of(asked.parameters)
    return None
