"""The workflow's REST interface over mTLS. HTTP types stop here; who calls is the certificate's SAN URI."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from sealcore.errors import Code, VermilionError
from sealcore.platform.http import install_errors, peer, problem
from sealcore.platform.log import get as get_log
from sealcore.platform.rpc import Peer, Revocations
from sealcore.protocol.canonical import MOST_INTEGER, b64url_decode
from sealcore.protocol.decision import Decision
from sealcore.protocol.stop import StopStatement
from workflow.delivery import refused
from workflow.delivery import schemas as outbox_schemas
from workflow.directory import schemas as directory_schemas
from workflow.directory import use_cases as directory
from workflow.forms import decisions
from workflow.forms import requests as applications
from workflow.forms import responses as form_schemas
from workflow.forms import use_cases as forms
from workflow.model import FormState
from workflow.office import Office
from workflow.seals import schemas as seal_schemas
from workflow.seals import stops
from workflow.web import fields as plain
from workflow.web.limits import Admission
from workflow.web.openapi import PROBLEMS, install_openapi
from workflow.web.quota import Quotas

API_VERSION = "1"
MOST_PER_PAGE = 200
CLIENT_OR_OPERATOR = frozenset({"client", "operator"})
OPERATOR = frozenset({"operator"})

Number = Annotated[str, Path(pattern=plain.FORM_NUMBER, max_length=40, description="A form's number.")]
Id = Annotated[str, Path(pattern=plain.UUID7, description="A UUIDv7.")]
Digest = Annotated[str, Path(pattern=plain.SHA256, description="The lower hex of a SHA-256.")]
Limit = Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Most entries of a page.")]
Row = Annotated[int, Query(ge=0, le=MOST_INTEGER, description="`next` of the page before.")]
RowId = Annotated[int, Path(ge=1, le=MOST_INTEGER, description="The refusal's id.")]
After = Annotated[str, Query(pattern=plain.UUID7_OR_NOTHING, description="`next` of the page before.")]


def app(office: Office, revocations: Revocations, quotas: Quotas) -> FastAPI:
    """The application; the composition root serves it."""
    result = FastAPI(
        title="Vermilion workflow",
        version=API_VERSION,
        summary="Who may seal what: forms, people's decisions, approval tokens.",
        docs_url=None,
        redoc_url=None,
    )
    install_errors(result)
    result.exception_handler(RequestValidationError)(_malformed)
    known, operator = _allow(CLIENT_OR_OPERATOR, revocations), _allow(OPERATOR, revocations)
    result.include_router(_forms(office, known), prefix="/v1")
    result.include_router(_directory(office, operator), prefix="/v1")
    result.include_router(_seals(office, known), prefix="/v1")
    result.include_router(_outbox(office, operator), prefix="/v1")
    install_openapi(result)
    result.add_middleware(Admission, quotas=quotas)
    return result


async def _malformed(_request: Request, fault: RequestValidationError) -> JSONResponse:
    found = fault.errors()
    first = next((one for one in found if one["type"] == plain.DECEPTIVE), found[0])  # of a union, each branch has a fault of its own
    reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    code = Code.TEXT_DECEPTIVE if first["type"] == plain.DECEPTIVE else Code.INVALID_ARGUMENT
    return problem(VermilionError(code, reason.encode("utf-8", "replace").decode("utf-8")))  # lone surrogates


def _allow(roles: frozenset[str], revocations: Revocations) -> Any:
    def caller(request: Request) -> Peer:
        return peer(request, roles, revocations)

    return Depends(caller)


def _forms(office: Office, known: Any) -> APIRouter:
    routes = APIRouter(tags=["forms"], responses=PROBLEMS)

    @routes.post("/forms", status_code=201)
    def submit_form(body: applications.Application, caller: Peer = known) -> form_schemas.Form:
        """Applies: documents to be sealed, a standing approval, or an act. Answers what people sign their decisions over."""
        return form_schemas.form(forms.submit(office, caller, body.to_domain()))

    @routes.get("/forms")
    def list_forms(
        state: FormState | None = None, before: After = "", limit: Limit = 50, own: bool = False, caller: Peer = known
    ) -> form_schemas.Forms:
        """Forms, newest first: a client's own, to an operator all, with `own` those that the operator filed. `next` is `before` of the
        following page."""
        found = forms.listing(office, caller, state=state, before=before or None, limit=limit, own=own)
        return form_schemas.Forms(
            forms=[form_schemas.form(one) for one in found], next=found[-1].context.jti if len(found) == limit else None
        )

    @routes.get("/forms/{number}")
    def show_form(number: Number, caller: Peer = known) -> form_schemas.Dossier:
        """A form with its documents and their salts, its history, and how far an act has been carried out."""
        return form_schemas.dossier(forms.show(office, caller, number))

    @routes.get("/forms/{number}/attachments/{sha256}")
    def show_attachment(number: Number, sha256: Digest, caller: Peer = known) -> form_schemas.Attachment:
        """A file that comes with a form's act, to whoever sees the form."""
        return form_schemas.attachment(forms.attachment(office, caller, number, bytes.fromhex(sha256)))

    @routes.post("/forms/{number}/decisions", status_code=201)
    def decide(number: Number, body: applications.Decision, caller: Peer = known) -> form_schemas.Decided:
        """A person's signed decision. Any known caller may carry it: it proves itself by its signature."""
        signature = b64url_decode(body.signature, Code.INVALID_ARGUMENT)
        outcome = decisions.decide(office, caller, number, Decision(body.person, body.verdict, body.time, signature), body.reason)
        return form_schemas.decided(outcome)

    @routes.get("/forms/{number}/token")
    def fetch_token(number: Number, caller: Peer = known) -> form_schemas.Token:
        """The approval token of an approved form, to the client that it names."""
        token = forms.fetch_token(office, caller, number)
        get_log("forms").info("token handed out", form=number, caller=caller.uri)
        return form_schemas.Token(token=token)

    @routes.post("/forms/{number}/withdraw")
    def withdraw_form(number: Number, caller: Peer = known) -> form_schemas.Form:
        """Takes an open form back; who submitted it, and nobody else."""
        return form_schemas.form(forms.withdraw(office, caller, number))

    return routes


def _directory(office: Office, operator: Any) -> APIRouter:
    routes = APIRouter(tags=["directory"], responses=PROBLEMS)

    @routes.get("/people")
    def list_people(after: After = "", limit: Limit = 100, _caller: Peer = operator) -> directory_schemas.People:
        """People by id."""
        found = directory.people(office, after, limit)
        return directory_schemas.People(
            people=[directory_schemas.person(one) for one in found], next=found[-1].id if len(found) == limit else None
        )

    @routes.post("/people", status_code=201)
    def add_person(body: directory_schemas.NewPerson, caller: Peer = operator) -> directory_schemas.Person:
        """Adds a person. To be counted as an approver, the person must also enter the signer's register (action `register`)."""
        return directory_schemas.person(directory.add_person(office, caller.uri, body.to_domain(office.bounds.office_unit)))

    @routes.get("/units")
    def list_units(_caller: Peer = operator) -> directory_schemas.Units:
        """All units."""
        return directory_schemas.Units(units=[directory_schemas.Unit(code=one.code, name=one.name) for one in directory.units(office)])

    @routes.post("/units", status_code=201)
    def add_unit(body: directory_schemas.Unit, caller: Peer = operator) -> directory_schemas.Unit:
        """Adds a unit; its code begins the numbers of its forms."""
        directory.add_unit(office, caller.uri, body.to_domain())
        return body

    @routes.get("/clients")
    def list_clients(after: After = "", limit: Limit = 100, _caller: Peer = operator) -> directory_schemas.Clients:
        """Clients by id."""
        found = directory.clients(office, after, limit)
        return directory_schemas.Clients(
            clients=[directory_schemas.client(one) for one in found], next=found[-1].id if len(found) == limit else None
        )

    @routes.post("/clients", status_code=201)
    def add_client(body: directory_schemas.NewClient, caller: Peer = operator) -> directory_schemas.Client:
        """Adds a business system. Its certificate takes an approved act (`create`), which `vermilion clients add` asks for.

        Until that is approved, `approved` is false, and a seal whose quorum is 0 asks one approver of it."""
        return directory_schemas.client(directory.add_client(office, caller.uri, body.to_domain(office.bounds.office_unit)))

    @routes.get("/policies")
    def list_policies(_caller: Peer = operator) -> directory_schemas.Policies:
        """All versions of all policies."""
        return directory_schemas.Policies(policies=[directory_schemas.policy(one) for one in directory.all_policies(office)])

    @routes.post("/policies", status_code=201)
    def add_policy(body: directory_schemas.Policy, caller: Peer = operator) -> directory_schemas.Policy:
        """Adds a version of a policy. It may raise the quorum of the signer's register; it never lowers it.

        Nor does it ask less than the policies in force do: that takes an approved act (`register`, with `change` = `policy_add`)."""
        return directory_schemas.policy(directory.add_policy(office, caller.uri, body.to_domain()))

    return routes


def _outbox(office: Office, operator: Any) -> APIRouter:
    routes = APIRouter(tags=["outbox"], responses=PROBLEMS)

    @routes.get("/refused")
    def list_refused(closed: bool = False, after: Row = 0, limit: Limit = 100, _caller: Peer = operator) -> outbox_schemas.Refusals:
        """Events and acts that the signer or the CA refused for good, oldest first; with `closed` those that a person has seen to."""
        found = refused.listing(office, closed=closed, after=after, limit=limit)
        return outbox_schemas.Refusals(
            refused=[outbox_schemas.refusal(one) for one in found], next=found[-1].id if len(found) == limit else None
        )

    @routes.post("/refused/{id}/close")
    def close_refused(id: RowId, body: outbox_schemas.Closing, caller: Peer = operator) -> outbox_schemas.Refusal:
        """Takes a refusal off the list of what waits, in the name of a person and for a reason. The ledger records both."""
        return outbox_schemas.refusal(refused.close(office, caller.uri, id, body.person, body.reason))

    return routes


def _seals(office: Office, known: Any) -> APIRouter:
    routes = APIRouter(tags=["seals"], responses=PROBLEMS)

    @routes.get("/seals")
    def list_seals(_caller: Peer = known) -> seal_schemas.Seals:
        """The seals of the signer's register."""
        return seal_schemas.Seals(seals=[seal_schemas.seal(one) for one in office.register.seals()])

    @routes.post("/seals/{id}/suspend")
    def suspend_seal(id: Id, body: seal_schemas.Stop, caller: Peer = known) -> seal_schemas.Stopped:
        """Forwards an officer's signed stop to the signer. Resuming is an act: submit a form with the action `resume`."""
        return _stop("seal", id, body, caller)

    @routes.get("/grants")
    def list_grants(_caller: Peer = known) -> seal_schemas.Grants:
        """Standing approvals that the signer knows, with their counts; to a client its own."""
        own = None if "operator" in _caller.roles else _caller.uri
        return seal_schemas.Grants(grants=[seal_schemas.grant(one) for one in office.register.grants() if own in (None, one.client)])

    @routes.post("/grants/{jti}/withdraw")
    def withdraw_grant(jti: Id, body: seal_schemas.Stop, caller: Peer = known) -> seal_schemas.Stopped:
        """Forwards an officer's signed stop of a standing approval to the signer."""
        return _stop("grant", jti, body, caller)

    def _stop(kind: str, subject: str, body: seal_schemas.Stop, caller: Peer) -> seal_schemas.Stopped:
        statement = StopStatement(kind, subject, body.officer, body.reason, body.time)
        answer = stops.stop(office, caller.uri, statement, b64url_decode(body.signature, Code.INVALID_ARGUMENT))
        return seal_schemas.Stopped(epoch=answer.epoch, ledger_index=answer.ledger_index)

    return routes
