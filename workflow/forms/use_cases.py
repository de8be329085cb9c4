"""Use cases around a form: submit it, look at it, take it back, fetch its token."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.db import read, write
from sealcore.protocol import token as tokens
from sealcore.protocol.decision import DecisionContext
from sealcore.protocol.effect_model import Effect
from sealcore.protocol.manifest import DocumentEntry
from workflow import access
from workflow.delivery import events
from workflow.delivery.events import Recorded
from workflow.directory import store as directory_store
from workflow.forms import effects, kinds
from workflow.forms import store as form_store
from workflow.forms.countable import require_countable
from workflow.forms.kinds.kind import Application, Judged
from workflow.forms.model import Form, FormState, Performance
from workflow.forms.quorum import least_persons
from workflow.office import Office
from workflow.policies import store as policy_store
from workflow.policies.model import governing
from workflow.principal import Principal

MOST_WAITING_BYTES = 64 * 1024 * 1024  # of the files with all acts of a client that wait for people
OPEN_RETRY_S = 60  # people decide in minutes at best


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


def submit(office: Office, caller: Principal, application: Application) -> Form:
    """Takes an application in: everything that decisions will be signed over is frozen here. Returns the numbered form.

    A seal whose quorum is 0 is approved by the workflow alone, at once.
    """
    office.storage.require_room()
    kind = kinds.of_application(application)
    kind.require_allowed(caller, application)
    now = office.now()
    plan = kind.plan(office, application, now)
    least = least_persons(office.register, application.seal, application.action, plan.covers)
    kind.judge(office, Judged(application.seal, application.action, plan.covers, plan.files, earliest=plan.nbf))
    audience, subject = kind.audience(office, application.action, plan.covers), kind.subject(caller)
    require_countable(office, audience, subject, plan.nbf)
    with write(office.engine) as connection:
        client = directory_store.client_by_uri(connection, caller.uri)
        unit = access.unit_for(caller, client, application.unit, office_unit=office.bounds.office_unit)
        directory_store.open_unit(connection, unit)
        if application.applicant is not None:
            access.require_applicant(directory_store.find_person(connection, application.applicant), unit)
        if client is not None:
            _check_open(office, connection, caller, sum(map(len, plan.files)))
            # The client's own minimum adds to the register's; nothing lowers that.
            least = max(least, client.least_persons)
        policy = governing(policy_store.policies(connection), application.seal, application.action).applied(least)
        number = form_store.next_number(connection, unit, office.clock.now().year)
        context = DecisionContext(
            jti=uuid7(), form=number, aud=audience, sub=subject, seal=application.seal, action=application.action,
            covers=plan.covers, policy=policy, nbf=plan.nbf, exp=plan.exp,
        )  # fmt: skip
        form = Form(
            number=number,
            unit=unit,
            title=application.title,
            state=FormState.APPLIED,
            context=context,
            submitted_by=caller.uri,
            created=now,
            applicant=application.applicant,
        )
        token = None
        if policy.quorum == 0:
            form = form.approved(now)
            token = office.issuer.issue(context, (), now)
        form_store.add_form(connection, form, token)
        if plan.entries:
            form_store.add_documents(connection, number, plan.entries, plan.leaves)
        form_store.add_attachments(connection, number, plan.files)
        events.record_form(connection, "form.applied", form, now, person=application.applicant or "", submitted_by=caller.uri)
        if token is not None:
            announce_approval(office, connection, form, token, now)
    return form


def announce_approval(office: Office, connection: Connection, form: Form, token: str, now: int) -> None:
    """Tells the ledger, and has done what follows from the approval."""
    events.record_form(connection, "form.approved", form, now, approvers=len(form.decisions))
    kinds.of_covers(form.context.covers).approved(office, connection, form, token, now)


def show(office: Office, caller: Principal, number: str) -> Dossier:
    """A form with its documents and history; to a client only its own, anything else does not exist for it."""
    with read(office.engine) as connection:
        form = form_store.form(connection, number)
        access.require_visible(caller, form)
        documents = tuple(form_store.documents(connection, number))
        files = tuple(form_store.attachments(connection, number))
        history, performance = tuple(events.of_form(connection, number)), events.performance(connection, number)
        applicant = directory_store.find_person(connection, form.applicant) if form.applicant is not None else None
        client, policies = directory_store.client_by_uri(connection, form.submitted_by), policy_store.policies(connection)
    effect = effects.of_form(office.register, form, documents, policies)
    names = [one.name if one is not None else None for one in (applicant, client)]
    return Dossier(form, documents, files, history, performance, effect, *names)


def attachment(office: Office, caller: Principal, number: str, sha256: bytes) -> bytes:
    """A file that comes with a form's act; NOT_FOUND."""
    with read(office.engine) as connection:
        access.require_visible(caller, form_store.form(connection, number))
        for content in form_store.attachments(connection, number):
            if hashlib.sha256(content).digest() == sha256:
                return content
    raise VermilionError(Code.NOT_FOUND, f"the form {number} names no file {sha256.hex()}")


def listing(office: Office, caller: Principal, *, state: FormState | None, before: str | None, limit: int, own: bool = False) -> list[Form]:
    """Forms, newest first; to a client its own, to an operator all, or with ``own`` those that it filed itself."""
    filed_by = access.listed_for(caller, own=own)
    with read(office.engine) as connection:
        return form_store.forms(connection, state=state, submitted_by=filed_by, before=before, limit=limit)


def withdraw(office: Office, caller: Principal, number: str) -> Form:
    """Takes an open form back; it keeps its number."""
    now = office.now()
    with write(office.engine) as connection:
        form = form_store.form(connection, number, lock=True)
        access.require_visible(caller, form)
        form = form.withdrawn(caller.uri, now)
        form_store.end(connection, form)
        events.record_form(connection, "form.withdrawn", form, now, by=caller.uri)
    return form


def fetch_token(office: Office, caller: Principal, number: str) -> str:
    """The approval token, to the client that it names and to nobody else.

    It was signed when the form was approved; what does not bear the issuer's signature over this very form does not leave, so a
    database that someone altered yields nothing.
    """
    with read(office.engine) as connection:
        form = form_store.form(connection, number)
        jws = form_store.token(connection, number)
    access.require_visible(caller, form)
    access.require_token_holder(caller, form)
    if form.state is FormState.REJECTED:
        raise VermilionError(Code.FORM_REJECTED, f"form {number} was rejected: {form.reason}")
    if form.state is FormState.LAPSED:
        raise VermilionError(Code.TOKEN_EXPIRED, f"the term of form {number} has ended")
    if form.state is not FormState.APPROVED or jws is None:
        raise VermilionError(Code.FORM_STATE, f"form {number} is {form.state}; only an approved form has a token")
    if office.now() >= form.context.exp:
        raise VermilionError(Code.TOKEN_EXPIRED, f"the term of form {number} has ended")
    parsed = tokens.parse(jws)
    if parsed.kid != office.issuer.kid or parsed.claims.context != form.context:
        raise VermilionError(Code.TOKEN_MALFORMED, "the stored token is not the one of this form")
    tokens.verify_signature(parsed, office.issuer.public_key)
    return jws


def _check_open(office: Office, connection: Connection, caller: Principal, size_bytes: int) -> None:
    """QUOTA_EXCEEDED when too many forms of a client, or too many bytes of their files, wait for people. What has lapsed waits no more."""
    since = office.now() - office.bounds.token_validity_s
    reason = None
    if form_store.open_forms(connection, caller.uri, since) >= office.bounds.open_forms:
        reason = f"{office.bounds.open_forms} forms of {caller.uri} wait for people already"
    elif size_bytes and form_store.attached_bytes(connection, caller.uri, since) + size_bytes > MOST_WAITING_BYTES:
        reason = f"the files of forms of {caller.uri} that wait for people have {MOST_WAITING_BYTES} bytes at most"
    if reason is not None:
        refused = VermilionError(Code.QUOTA_EXCEEDED, reason)
        refused.retry_after_s = OPEN_RETRY_S
        raise refused
