"""Policies over REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from workflow.office import Office
from workflow.policies import schemas
from workflow.policies import use_cases as policies
from workflow.principal import Principal
from workflow.web.openapi import PROBLEMS


def routes(office: Office, operator: Any) -> APIRouter:
    """The routes; ``operator`` is the dependency that lets callers in and says who calls."""
    router = APIRouter(tags=["directory"], responses=PROBLEMS)

    @router.get("/policies")
    def list_policies(_caller: Principal = operator) -> schemas.Policies:
        """All versions of all policies."""
        return schemas.Policies(policies=[schemas.policy(one) for one in policies.listing(office)])

    @router.post("/policies", status_code=201)
    def add_policy(body: schemas.Policy, caller: Principal = operator) -> schemas.Policy:
        """Adds a version of a policy. It may raise the quorum of the signer's register; it never lowers it.

        Nor does it ask less than the policies in force do: that takes an approved act (`register`, with `change` = `policy_add`)."""
        return schemas.policy(policies.add(office, caller.uri, body.to_domain()))

    return router
