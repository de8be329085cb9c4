"""What the signer or the CA refused for good, over REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from workflow.delivery import refused, schemas
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.openapi import PROBLEMS
from workflow.web.parameters import Limit, Row, RowId


def routes(office: Office, operator: Any) -> APIRouter:
    """The routes; ``operator`` is the dependency that lets callers in and says who calls."""
    router = APIRouter(tags=["outbox"], responses=PROBLEMS)

    @router.get("/refused")
    def list_refused(closed: bool = False, after: Row = 0, limit: Limit = 100, _caller: Principal = operator) -> schemas.Refusals:
        """Events and acts that the signer or the CA refused for good, oldest first; with `closed` those that a person has seen to."""
        found = refused.listing(office, closed=closed, after=after, limit=limit)
        return schemas.Refusals(refused=[schemas.refusal(one) for one in found], next=found[-1].id if len(found) == limit else None)

    @router.post("/refused/{id}/close")
    def close_refused(id: RowId, body: schemas.Closing, caller: Principal = operator) -> schemas.Refusal:
        """Takes a refusal off the list of what waits, in the name of a person and for a reason. The ledger records both."""
        return schemas.refusal(refused.close(office, caller.uri, id, body.person, body.reason))

    return router
