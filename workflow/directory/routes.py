"""People, units and clients over REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from workflow.directory import schemas
from workflow.directory import use_cases as directory
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.openapi import PROBLEMS
from workflow.web.parameters import After, Id, Limit, UnitCode


def routes(office: Office, operator: Any) -> APIRouter:
    """The routes; ``operator`` is the dependency that lets callers in and says who calls."""
    router = APIRouter(tags=["directory"], responses=PROBLEMS)

    @router.get("/people")
    def list_people(after: After = "", limit: Limit = 100, _caller: Principal = operator) -> schemas.People:
        """People by id."""
        found = directory.people(office, after, limit)
        return schemas.People(people=[schemas.person(one) for one in found], next=found[-1].id if len(found) == limit else None)

    @router.post("/people", status_code=201)
    def add_person(body: schemas.NewPerson, caller: Principal = operator) -> schemas.Person:
        """Adds a person. To be counted as an approver, the person must also enter the signer's register (action `register`)."""
        return schemas.person(directory.add_person(office, caller.uri, body.to_domain(office.bounds.office_unit)))

    @router.get("/units")
    def list_units(_caller: Principal = operator) -> schemas.Units:
        """All units."""
        return schemas.Units(units=[schemas.unit(one) for one in directory.units(office)])

    @router.post("/units", status_code=201)
    def add_unit(body: schemas.Unit, caller: Principal = operator) -> schemas.Unit:
        """Adds a unit; its code begins the numbers of its forms."""
        directory.add_unit(office, caller.uri, body.to_domain())
        return body

    @router.post("/units/{code}/rename")
    def rename_unit(code: UnitCode, body: schemas.UnitName, caller: Principal = operator) -> schemas.KnownUnit:
        """Another name for a unit; its code stays, as numbers of forms begin with it."""
        return schemas.unit(directory.rename_unit(office, caller.uri, code, body.name))

    @router.post("/units/{code}/end")
    def end_unit(code: UnitCode, caller: Principal = operator) -> schemas.KnownUnit:
        """From now on no form is filed under the unit, and no person or client enters it; what is open is decided on as before."""
        return schemas.unit(directory.end_unit(office, caller.uri, code))

    @router.get("/clients")
    def list_clients(after: After = "", limit: Limit = 100, _caller: Principal = operator) -> schemas.Clients:
        """Clients by id."""
        found = directory.clients(office, after, limit)
        return schemas.Clients(clients=[schemas.client(one) for one in found], next=found[-1].id if len(found) == limit else None)

    @router.post("/clients", status_code=201)
    def add_client(body: schemas.NewClient, caller: Principal = operator) -> schemas.Client:
        """Adds a business system. Its certificate takes an approved act (`create`), which `vermilion clients add` asks for.

        Until that is approved, `approved` is false, and a seal whose quorum is 0 asks one approver of it."""
        return schemas.client(directory.add_client(office, caller.uri, body.to_domain(office.bounds.office_unit)))

    @router.post("/clients/{client}/remove")
    def remove_client(client: Id, caller: Principal = operator) -> schemas.Client:
        """The business system applies for nothing any more, for good: its open forms are taken back, and its name is free.

        Its certificate is revoked at the CA, which `vermilion clients remove` does."""
        return schemas.client(directory.remove_client(office, caller.uri, client))

    return router
