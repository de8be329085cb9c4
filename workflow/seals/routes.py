"""Seals, grants and stops over REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from sealcore.errors import Code
from sealcore.protocol.canonical import b64url_decode
from sealcore.protocol.stop import StopStatement
from workflow import access
from workflow.office import Office
from workflow.principal import Principal
from workflow.seals import schemas, stops
from workflow.web.openapi import PROBLEMS
from workflow.web.parameters import Id


def routes(office: Office, known: Any) -> APIRouter:
    """The routes; ``known`` is the dependency that lets callers in and says who calls."""
    router = APIRouter(tags=["seals"], responses=PROBLEMS)

    @router.get("/seals")
    def list_seals(_caller: Principal = known) -> schemas.Seals:
        """The seals of the signer's register."""
        return schemas.Seals(seals=[schemas.seal(one) for one in office.register.seals()])

    @router.post("/seals/{id}/suspend")
    def suspend_seal(id: Id, body: schemas.Stop, caller: Principal = known) -> schemas.Stopped:
        """Forwards an officer's signed stop to the signer. Resuming is an act: submit a form with the action `resume`."""
        return _stop("seal", id, body, caller)

    @router.get("/grants")
    def list_grants(caller: Principal = known) -> schemas.Grants:
        """Standing approvals that the signer knows, with their counts; to a client its own."""
        own = access.grants_of(caller)
        return schemas.Grants(grants=[schemas.grant(one) for one in office.register.grants() if own in (None, one.client)])

    @router.post("/grants/{jti}/withdraw")
    def withdraw_grant(jti: Id, body: schemas.Stop, caller: Principal = known) -> schemas.Stopped:
        """Forwards an officer's signed stop of a standing approval to the signer."""
        return _stop("grant", jti, body, caller)

    def _stop(kind: str, subject: str, body: schemas.Stop, caller: Principal) -> schemas.Stopped:
        statement = StopStatement(kind, subject, body.officer, body.reason, body.time)
        answer = stops.stop(office, caller.uri, statement, b64url_decode(body.signature, Code.INVALID_ARGUMENT))
        return schemas.Stopped(epoch=answer.epoch, ledger_index=answer.ledger_index)

    return router
