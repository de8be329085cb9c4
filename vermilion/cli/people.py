"""`vermilion people`: who is who, and letting someone in."""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Annotated

import typer

from sealcore.ids import uuid7
from sealcore.protocol.canonical import b64url
from sealcore.protocol.decision import MOST_PERSONS
from vermilion.cli import common, deciding
from vermilion.cli.common import DEFAULT, AsJson, Several, State, here
from vermilion.messages import text
from vermilion.terminal import emit_json, say, show_table
from vermilion.use_cases import acts
from vermilion.use_cases.people_token import PeopleToken

app = typer.Typer(help=text("help.people"))
REGISTERED = frozenset({"approver", "officer"})  # roles that the signer itself must know


class Role(StrEnum):
    """What a person may do."""

    APPLICANT = "applicant"
    APPROVER = "approver"
    OFFICER = "officer"
    OPERATOR = "operator"
    AUDITOR = "auditor"


@app.command("list", help=text("help.people_list"))
def list_people(state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    with office.workflow() as workflow, office.signer() as signer:
        found = workflow.people()
        registered = {person.id for person in signer.people() if person.active}
    if as_json:
        emit_json([{**person, "in_register": person["id"] in registered} for person in found])
        return
    rows = [
        [person["name"], person["unit"], " ".join(person["roles"]), text("yes") if person["id"] in registered else text("no"), person["id"]]
        for person in found
    ]
    show_table(["person", "unit", "roles", "in_register", "id"], rows, empty="people.none")


@app.command("add", help=text("help.people_add"))
def add_person(
    name: Annotated[str, typer.Argument(metavar="NAME", help=text("argument.person_name"))],
    roles: Annotated[list[Role], typer.Option("--role", help=text("option.role"))],
    unit: Annotated[str | None, typer.Option("--unit", help=text("option.unit"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    person_id = uuid7()
    with office.workflow() as workflow:
        with PeopleToken.open(office.layout.token_settings("people")) as token:
            spki = token.ensure(person_id)
        body = {"id": person_id, "name": name, "unit": unit or office.office.unit, "roles": [str(role) for role in roles]}
        body["public_key"] = base64.b64encode(spki).decode()
        person = workflow.post("/v1/people", body)
        form = None
        if registered := sorted({str(role) for role in roles} & REGISTERED):
            change = {"change": "person_add", "id": person["id"], "roles": registered, "public_key": b64url(spki)}
            form = acts.apply(workflow, "register", title=text("people.register_title", name=name), parameters=change)
    if as_json:
        emit_json({"person": person, "form": form["number"] if form else None})
        return
    say("people.added", name=name, id=person["id"])
    if form is not None:
        say("acts.applied", number=form["number"], quorum=form["context"]["policy"]["quorum"])


@app.command("remove", help=text("help.people_remove"))
def remove(
    person: Annotated[str, typer.Argument(metavar="PERSON", help=text("argument.person"))], persons: Several = None, state: State = DEFAULT
) -> None:
    office = here(state)
    with office.workflow() as workflow:
        who = common.find_person(workflow, person)
    title, parameters = text("people.remove_title", name=who["name"]), {"change": "person_remove", "id": who["id"]}
    deciding.say_done("people.remove_done", deciding.register(office, title, parameters, persons), name=who["name"])


@app.command("quorum", help=text("help.people_quorum"))
def quorum(
    least: Annotated[int, typer.Option("--least", min=1, max=MOST_PERSONS, help=text("option.register_least"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    title, parameters = text("people.quorum_title", least=least), {"change": "register_quorum", "least_persons": least}
    deciding.say_done("people.quorum_done", deciding.register(here(state), title, parameters, persons), least=least)
