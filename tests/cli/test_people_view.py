"""A form as people meet it at the command line: whose it is, taking it back, and an act that two approve at different times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from tests.cli.running import OFFICIAL_SEAL, RunningOffice
from tests.cli.words import client, flat
from tests.conftest import EXAMPLES
from vermilion import exits
from vermilion.client import forms
from vermilion.remote.workflow_client import WorkflowClient
from vermilion.use_cases import approving

FIRST, SECOND = ("--as", "Chen Rui"), ("--as", "Zhao Ming")


@pytest.fixture
def workflow(office: RunningOffice) -> Iterator[WorkflowClient]:
    with WorkflowClient(office.layout, office.office) as opened:
        yield opened


def forms_for(office: RunningOffice, workflow: WorkflowClient, kind: str, rule: str) -> list[str]:
    """Numbers of the forms that ask for this rule of this seal; the office's other users ask for others."""
    seal = next(one["id"] for one in office.json("seals", "list") if one["kind"] == kind)
    acts = ((one["number"], one["context"]["covers"].get("act", {})) for one in workflow.get("/v1/forms", limit=200)["forms"])
    return [number for number, act in acts if act.get("id") == seal and rule in act.get("quorum", ())]


@OFFICIAL_SEAL
def test_a_form_says_who_filed_it_and_who_applies(office: RunningOffice, workflow: WorkflowClient) -> None:
    seal = next(one for one in office.json("seals", "list") if one["kind"] == "official")
    person = next(one for one in office.json("people", "list") if one["unit"] == "DEMO" and "applicant" in one["roles"])
    with client(office) as backend:
        form = backend.apply(seal["id"], [EXAMPLES / "invoice.pdf"], title="Whose?", applicant=person["id"])
        done = office.run("forms", "show", form.number)
        assert done.returncode == exits.DONE, done.stderr
        shown = flat(done.stdout)
        assert f"applicant {person['name']} ({person['id']}), who has not signed yet" in shown
        (name,) = [one["name"] for one in workflow.get("/v1/clients", limit=200)["clients"] if one["uri"] == form.context.sub]
        assert f"filed by {name} ({form.context.sub})" in shown
        dossier = office.json("forms", "show", form.number)
        assert (dossier["applicant_name"], dossier["filed_by"]) == (person["name"], name)
        backend.withdraw(form.number)


@OFFICIAL_SEAL
def test_a_form_is_taken_back_by_who_filed_it_and_by_nobody_else(office: RunningOffice, workflow: WorkflowClient) -> None:
    seal = next(one for one in office.json("seals", "list") if one["kind"] == "official")
    with client(office) as backend:
        form = backend.apply(seal["id"], [EXAMPLES / "invoice.pdf"], title="A mistake")
    denied = office.run("forms", "withdraw", form.number)
    assert denied.returncode == exits.REFUSED and "PERMISSION_DENIED" in denied.stderr
    assert form.context.sub in flat(denied.stderr).replace(" ", ""), "whose it is"
    done = office.run("forms", "withdraw", form.number, "--client", "demo-backend")
    assert done.returncode == exits.DONE and f"Form {form.number} is withdrawn" in flat(done.stdout), done.stderr
    again = office.run("forms", "withdraw", form.number, "--client", "demo-backend")
    assert again.returncode == exits.REFUSED and "FORM_STATE" in again.stderr
    late = office.run("forms", "approve", form.number, *FIRST, "--yes")
    assert late.returncode != exits.DONE and "FORM_STATE" in late.stderr

    body = {"seal": "", "action": "register", "title": "A mistake, too", "act": {"change": "client_stop", "client": nobody()}}
    number = workflow.post("/v1/forms", body)["number"]
    assert office.run("forms", "withdraw", number).returncode == exits.DONE
    assert workflow.form(number)["state"] == "withdrawn"


def nobody() -> str:
    return f"https://vermilion.internal/client/{uuid7()}"


@pytest.mark.xdist_group("contract seal")
def test_an_act_that_two_approve_one_after_the_other_is_one_form(office: RunningOffice, workflow: WorkflowClient) -> None:
    """The same command by the second person goes on where the first one's stood, and by the first again changes nothing."""
    order = ("seals", "quorum", "contract", "--action", "grant-untemplated", "--least", "1")
    asked = office.run(*order)
    assert asked.returncode == exits.DONE and "it takes 2" in flat(asked.stdout), asked.stderr
    for _ in range(2):
        half = office.run(*order, *FIRST)
        assert half.returncode == exits.DONE, half.stderr
        assert "has 1 of 2 approvals" in flat(half.stdout)
    (number,) = forms_for(office, workflow, "contract", "grant-untemplated:1")
    assert [one["verdict"] for one in workflow.form(number)["decisions"]] == ["approve"]
    done = office.run(*order, *FIRST, *SECOND)
    assert done.returncode == exits.DONE and number in done.stdout, done.stderr
    seal = next(one for one in office.json("seals", "list") if one["kind"] == "contract")
    assert seal["quorum"]["grant-untemplated"] == 1
    assert forms_for(office, workflow, "contract", "grant-untemplated:1") == [number]


def test_a_form_that_was_taken_back_is_not_gone_on_with(office: RunningOffice, workflow: WorkflowClient) -> None:
    order = ("seals", "quorum", "invoice", "--action", "revoke", "--least", "1")
    half = office.run(*order, *FIRST)
    assert half.returncode == exits.DONE, half.stderr
    (number,) = forms_for(office, workflow, "invoice", "revoke:1")
    assert office.run("forms", "withdraw", number).returncode == exits.DONE
    assert office.run(*order).returncode == exits.DONE
    (other,) = set(forms_for(office, workflow, "invoice", "revoke:1")) - {number}
    assert workflow.form(other)["decisions"] == []
    assert office.run("forms", "withdraw", other).returncode == exits.DONE


def test_a_form_of_somebody_else_for_the_same_act_is_not_gone_on_with(office: RunningOffice, workflow: WorkflowClient) -> None:
    """Its filer could take it back, or have named an applicant who never signs."""
    who = nobody()
    with client(office) as backend:
        theirs = backend.apply_act("register", {"change": "client_stop", "client": who}, title="Theirs")
        body = {"seal": "", "action": "register", "title": "Ours", "act": {"change": "client_stop", "client": who}}
        assert theirs.number not in [one["number"] for one in workflow.get("/v1/forms", own="true", limit=200)["forms"]]
        ours = workflow.post("/v1/forms", body)["number"]
        assert ours in [one["number"] for one in workflow.get("/v1/forms", own="true", limit=200)["forms"]]
        backend.withdraw(theirs.number)
    assert office.run("forms", "withdraw", ours).returncode == exits.DONE


class Lying(WorkflowClient):
    """The workflow with answers that somebody changed on the way."""

    def __init__(self, office: RunningOffice, change: Callable[[Any], Any]) -> None:
        super().__init__(office.layout, office.office)
        self._change = change

    def get(self, path: str, **query: str | int | None) -> Any:
        return self._change(super().get(path, **query))


def test_a_form_is_not_shown_under_the_number_of_another(office: RunningOffice, workflow: WorkflowClient) -> None:
    """Who means to approve a harmless form would sign the other one."""
    body = {"seal": "", "action": "register", "title": "x", "act": {"change": "client_stop", "client": nobody()}}
    harmless, other = (
        workflow.post("/v1/forms", body),
        workflow.post("/v1/forms", {**body, "act": {"change": "client_stop", "client": nobody()}}),
    )
    for change in (lambda form: {**other, "number": harmless["number"]}, lambda form: other):
        with Lying(office, change) as lying, pytest.raises(VermilionError) as refused:
            lying.form(harmless["number"])
        assert refused.value.code is Code.PROOF_INVALID
    with pytest.raises(VermilionError) as refused:
        forms.from_json({**other, "number": harmless["number"]}, documents=[])
    assert refused.value.code is Code.PROOF_INVALID
    for number in (harmless["number"], other["number"]):
        assert office.run("forms", "withdraw", number).returncode == exits.DONE


def test_a_file_beside_an_act_is_one_that_the_act_names(workflow: WorkflowClient) -> None:
    """Approvers look at the files of a form: a picture that the act does not name is not what they approve."""
    named = {"change": "seal_add", "pictures": ["ab" * 32], "pdf": "cd" * 32, "key_label": "ef" * 32}
    form = workflow.post(
        "/v1/forms", {"seal": "", "action": "register", "title": "x", "act": {"change": "client_stop", "client": nobody()}}
    )
    workflow.post(f"/v1/forms/{form['number']}/withdraw", {})
    assert "ab" * 32 not in approving.named_files(form)
    shown = {**form, "context": {**form["context"], "covers": {"act": named}}}
    assert {"ab" * 32, "cd" * 32} == approving.named_files(shown)
