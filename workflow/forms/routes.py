"""Forms over REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from sealcore.errors import Code
from sealcore.platform.log import get as get_log
from sealcore.protocol.canonical import b64url_decode
from sealcore.protocol.decision import Decision
from workflow.forms import decisions, requests, responses
from workflow.forms import use_cases as forms
from workflow.forms.model import FormState
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.openapi import PROBLEMS
from workflow.web.parameters import After, Digest, Limit, Number


def routes(office: Office, known: Any) -> APIRouter:
    """The routes; ``known`` is the dependency that lets callers in and says who calls."""
    router = APIRouter(tags=["forms"], responses=PROBLEMS)

    @router.post("/forms", status_code=201)
    def submit_form(body: requests.Application, caller: Principal = known) -> responses.Form:
        """Applies: documents to be sealed, a standing approval, or an act. Answers what people sign their decisions over."""
        return responses.form(forms.submit(office, caller, body.to_domain()))

    @router.get("/forms")
    def list_forms(
        state: FormState | None = None, before: After = "", limit: Limit = 50, own: bool = False, caller: Principal = known
    ) -> responses.Forms:
        """Forms, newest first: a client's own, to an operator all, with `own` those that the operator filed. `next` is `before` of the
        following page."""
        found = forms.listing(office, caller, state=state, before=before or None, limit=limit, own=own)
        return responses.Forms(forms=[responses.form(one) for one in found], next=found[-1].context.jti if len(found) == limit else None)

    @router.get("/forms/{number}")
    def show_form(number: Number, caller: Principal = known) -> responses.Dossier:
        """A form with its documents and their salts, its history, and how far an act has been carried out."""
        return responses.dossier(forms.show(office, caller, number))

    @router.get("/forms/{number}/attachments/{sha256}")
    def show_attachment(number: Number, sha256: Digest, caller: Principal = known) -> responses.Attachment:
        """A file that comes with a form's act, to whoever sees the form."""
        return responses.attachment(forms.attachment(office, caller, number, bytes.fromhex(sha256)))

    @router.post("/forms/{number}/decisions", status_code=201)
    def decide(number: Number, body: requests.Decision, caller: Principal = known) -> responses.Decided:
        """A person's signed decision. Any known caller may carry it: it proves itself by its signature."""
        signature = b64url_decode(body.signature, Code.INVALID_ARGUMENT)
        outcome = decisions.decide(office, caller, number, Decision(body.person, body.verdict, body.time, signature), body.reason)
        return responses.decided(outcome)

    @router.get("/forms/{number}/token")
    def fetch_token(number: Number, caller: Principal = known) -> responses.Token:
        """The approval token of an approved form, to the client that it names."""
        token = forms.fetch_token(office, caller, number)
        get_log("forms").info("token handed out", form=number, caller=caller.uri)
        return responses.Token(token=token)

    @router.post("/forms/{number}/withdraw")
    def withdraw_form(number: Number, caller: Principal = known) -> responses.Form:
        """Takes an open form back; who submitted it, and nobody else."""
        return responses.form(forms.withdraw(office, caller, number))

    return router
