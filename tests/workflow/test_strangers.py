"""What a caller may not see does not exist for them: each route, whatever the form's state and whatever they send. And whose units are whose."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.platform.db import write
from sealcore.protocol.canonical import b64url
from sealcore.protocol.json_objects import context_from_json
from tests.workflow.bodies import DOCUMENT, decision
from tests.workflow.conftest import Desk, Running
from tests.workflow.deciding import refusal
from tests.workflow.signer_side import Human
from workflow.directory import store as directory_store
from workflow.directory.model import Client, Person, Role, Unit
from workflow.principal import principal_of

NOTHING = "OFFICE-2020-999999"
STATES = ("applied", "approved", "rejected", "withdrawn", "an act", "a grant")


class World:
    """Two clients, and forms of the first in every state."""

    def __init__(self, running: Running) -> None:
        self.running, self.operator = running, running.operator()
        for name in ("owner", "stranger"):
            assert self.operator.post("/v1/clients", json={"name": name, "uri": client_uri(name)}).status_code == 201
        self.owner, self.stranger = (running.session(name, client_uri(name)) for name in ("owner", "stranger"))
        self.approver = Human("approver", "applicant")
        running.enrol(self.operator, self.approver)
        running.signer.state.register(self.approver)
        self.forms = {state: self._form(state) for state in STATES}

    def _form(self, state: str) -> Any:
        seal = self.running.signer.state.add_seal(seal=1, resume=1)
        body: dict[str, Any] = {"seal": seal, "title": state}
        match state:
            case "an act":
                body |= {"action": "resume", "act": {}}
            case "a grant":
                body |= {"grant": {"uses": 3, "until": int(time.time()) + 86_400, "template": "none"}}
            case _:
                body |= {"documents": [DOCUMENT]}
        form = self.owner.post("/v1/forms", json=body).json()
        number = form.get("number")
        match state:
            case "approved":
                assert self.decide(self.owner, form).json()["state"] == "approved"
            case "rejected":
                assert self.decide(self.owner, form, "reject").json()["state"] == "rejected"
            case "withdrawn":
                assert self.owner.post(f"/v1/forms/{number}/withdraw").is_success
        return form

    def decide(self, caller: httpx.Client, form: Any, verdict: str = "approve") -> httpx.Response:
        return caller.post(f"/v1/forms/{form['number']}/decisions", json=decision(form, self.approver, verdict, "because"))


@pytest.fixture(scope="module")
def world(running: Running) -> World:
    return World(running)


def garbage(world: World, person: str | None = None, verdict: str = "approve", time: int = 1_800_000_000) -> dict[str, Any]:
    signature = b64url(world.approver.sign(b"something else"))
    return {"person": person or world.approver.id, "verdict": verdict, "time": time, "signature": signature, "reason": "no"}


Call = Callable[[httpx.Client, str], httpx.Response]


def calls(world: World) -> dict[str, Call]:
    """Every route that names a form, with whatever a stranger may send."""
    other = {state: decision(form, world.approver) for state, form in world.forms.items()}  # signed, but over another form

    def deciding(body: dict[str, Any]) -> Call:
        return lambda caller, number: caller.post(f"/v1/forms/{number}/decisions", json=body)

    return {
        "show": lambda caller, number: caller.get(f"/v1/forms/{number}"),
        "token": lambda caller, number: caller.get(f"/v1/forms/{number}/token"),
        "withdraw": lambda caller, number: caller.post(f"/v1/forms/{number}/withdraw"),
        "attachment": lambda caller, number: caller.get(f"/v1/forms/{number}/attachments/{'ab' * 32}"),
        "garbage approval": deciding(garbage(world)),
        "garbage rejection": deciding(garbage(world, verdict="reject")),
        "garbage application": deciding(garbage(world, verdict="apply")),
        "by a person who does not exist": deciding(garbage(world, person=uuid7())),
        "of another time": deciding(garbage(world, time=0)),
        "no signature at all": deciding(garbage(world) | {"signature": "AAAAAAAAAAAAAAAA"}),
        "not base64": deciding(garbage(world) | {"signature": "A"}),
        "another form's decision": deciding(other["applied"]),
    }


def test_each_route_answers_a_stranger_as_if_there_were_no_form(world: World) -> None:
    for name, call in calls(world).items():
        missing = call(world.stranger, NOTHING)
        for state, form in world.forms.items():
            if name == "another form's decision" and state == "applied":
                continue  # its own: see below
            answer = call(world.stranger, form["number"])
            assert answer.status_code == missing.status_code, (name, state)
            said = {key: value for key, value in answer.json().items() if key != "request_id"}
            expected = {key: value for key, value in missing.json().items() if key != "request_id"}
            assert str(said).replace(form["number"], NOTHING) == str(expected), (name, state)
        assert missing.status_code in (404, 400), name
    listed = world.stranger.get("/v1/forms").json()["forms"]
    assert {form["number"] for form in world.forms.values()}.isdisjoint(one["number"] for one in listed)


def test_also_while_the_signer_is_away(world: World) -> None:
    """An answer that needs the signer would tell that there is a form."""
    world.running.signer.stop()
    try:
        for form in world.forms.values():
            answer = world.stranger.post(f"/v1/forms/{form['number']}/decisions", json=garbage(world))
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    finally:
        world.running.signer.start()


def test_every_route_with_a_form_in_its_path_is_in_the_table(world: World) -> None:
    """A route that is added must be tried by a stranger, too."""
    described = world.owner.get("/openapi.json").json()["paths"]
    named = {path for path in described if "{number}" in path}
    assert named == {f"/v1/forms/{{number}}{rest}" for rest in ("", "/decisions", "/token", "/withdraw", "/attachments/{sha256}")}


def test_a_caller_carries_a_persons_decision_on_a_form_that_it_does_not_see(world: World) -> None:
    form = world._form("applied")
    assert context_from_json(form["context"]).form == form["number"]
    carried = world.decide(world.stranger, form)
    assert (carried.status_code, carried.json()["state"]) == (201, "approved")


def test_the_office_itself_is_no_clients_business(world: World) -> None:
    for method, path, body in (
        ("GET", "/v1/people", None), ("POST", "/v1/people", {}), ("GET", "/v1/clients", None), ("POST", "/v1/clients", {}), ("GET", "/v1/units", None),
        ("POST", "/v1/units", {}), ("GET", "/v1/policies", None), ("POST", "/v1/policies", {}), ("GET", "/v1/refused", None),
        ("POST", "/v1/refused/1/close", {}), ("POST", "/v1/refused/999/close", {}), ("POST", "/v1/units/OFFICE/rename", {"name": "Ours"}),
        ("POST", "/v1/units/OFFICE/end", {}), ("POST", f"/v1/clients/{uuid7()}/remove", {}),
    ):  # fmt: skip
        answer = world.stranger.request(method, path, json=body)
        assert answer.status_code in (403, 400), (method, path)
        assert answer.json()["code"] in ("PERMISSION_DENIED", "INVALID_ARGUMENT")


# --- units and applicants


def test_a_client_applies_for_its_own_units_and_their_people_alone(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    with write(desk.office.engine) as connection:
        directory_store.add_unit(connection, Unit("SALES", "Sales"))
    ours = desk.human("applicant")
    theirs, gone, auditor = (Human(role) for role in ("applicant", "applicant", "auditor"))
    with write(desk.office.engine) as connection:
        for human, unit, role, active in (
            (theirs, "SALES", Role.APPLICANT, True),
            (gone, "OFFICE", Role.APPLICANT, False),
            (auditor, "OFFICE", Role.AUDITOR, True),
        ):
            directory_store.add_person(connection, Person(human.id, human.name, unit, frozenset({role}), human.spki, active))
    assert refusal(lambda: desk.submit(seal, unit="SALES")) is Code.UNIT_NOT_ALLOWED
    assert refusal(lambda: desk.submit(seal, unit="NOWHERE")) is Code.UNIT_NOT_ALLOWED, "as if it were another's"
    said = set()
    for applicant in (theirs.id, gone.id, auditor.id, uuid7()):
        with pytest.raises(VermilionError) as refused:
            desk.submit(seal, applicant=applicant)
        said.add((refused.value.code, refused.value.reason))
    assert {code for code, _ in said} == {Code.APPLICANT_NOT_ALLOWED}
    assert len(said) == 1, "who is not there, has left or is another unit's: nobody is told which"
    assert desk.submit(seal, applicant=ours.id).applicant == ours.id
    with write(desk.office.engine) as connection:
        uri = client_uri("both")
        directory_store.add_client(connection, Client(uuid7(), "Both", uri, "OFFICE", units=frozenset({"SALES"})))
    both = principal_of(uri)
    assert desk.submit(seal, caller=both, unit="SALES", applicant=theirs.id).number.startswith("SALES-")
    assert refusal(lambda: desk.submit(seal, caller=both, unit="OFFICE", applicant=theirs.id)) is Code.APPLICANT_NOT_ALLOWED
