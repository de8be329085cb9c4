"""Acts on seals, grants and the register: an officer's stop, and what needs a quorum."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.stop import StopStatement
from vermilion.remote.signer_client import SignerClient
from vermilion.remote.workflow_client import PAGE, WorkflowClient
from vermilion.state.office import Office
from vermilion.use_cases import approving, ended
from vermilion.use_cases.people_token import PeopleToken

PERFORMED_TIMEOUT_S = 30.0
POLL_S = 0.1


def officer_id(office: Office, workflow: WorkflowClient, name_or_id: str) -> str:
    """An officer's id. The office's own file answers first: a seal must be stopped with the workflow down."""
    if (person := office.person(name_or_id)) is not None:
        return person.id
    for one in workflow.get("/v1/people", limit=200)["people"]:
        if name_or_id in (one["id"], one["name"]):
            return str(one["id"])
    raise VermilionError(Code.NOT_FOUND, f"there is no person {name_or_id!r}")


def stop(
    client: SignerClient, token: PeopleToken, kind: str, subject: str, *, officer: str, reason: str, now: datetime
) -> signer_pb2.StopResponse:
    """Suspends a seal or withdraws a grant at once."""
    statement = StopStatement(kind, subject, officer, reason, now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    return client.stop(statement, token.stop(statement))


def apply(
    workflow: WorkflowClient,
    action: str,
    *,
    title: str,
    seal: str = "",
    parameters: Mapping[str, Any] | None = None,
    files: Sequence[bytes] = (),
) -> Any:
    """The form for an act: the one that we filed for it and that is still open, or else a new one, with the files that the act names.

    PROOF_INVALID when the workflow made another act of it.
    """
    covers = ActCovers(dict(parameters or {}))
    if (begun := _open_form(workflow, action, seal, covers)) is not None:
        return begun
    asked: dict[str, Any] = {"seal": seal, "action": action, "title": title, "act": dict(covers.parameters)}
    if files:
        asked["attachments"] = [base64.b64encode(content).decode("ascii") for content in files]
    form = workflow.post("/v1/forms", asked)
    context = approving.context_of(form)
    if (context.action, context.seal, context.covers) != (action, seal, covers):
        raise VermilionError(Code.PROOF_INVALID, f"the workflow made another act of what was asked for; do not approve {form['number']}")
    return form


def _open_form(workflow: WorkflowClient, action: str, seal: str, covers: ActCovers) -> Any | None:
    """The newest form of this very act that we filed and that people can still approve, or that is approved and not carried out yet."""
    for form in (*_forms(workflow, "applied"), *workflow.get("/v1/forms", state="approved", own="true", limit=PAGE)["forms"]):
        context = approving.context_of(form)
        if (context.action, context.seal, context.covers) != (action, seal, covers) or form["applicant"] is not None:
            continue
        if form["state"] == "applied" and time.time() < context.exp:
            return form
        if form["state"] == "approved" and (workflow.form(form["number"])["performance"] or {}).get("state") == "pending":
            return form
    return None


def _forms(workflow: WorkflowClient, state: str) -> Iterator[Any]:
    """All forms in this state that we filed, newest first."""
    before: str | None = ""
    while before is not None:
        page = workflow.get("/v1/forms", state=state, own="true", before=before, limit=PAGE)
        yield from page["forms"]
        before = page["next"]


def approve(workflow: WorkflowClient, token: PeopleToken, form: Mapping[str, Any], person: str, now: datetime) -> Any:
    """One person's approval of a form."""
    return approving.decide(workflow, token, form, person=person, verdict="approve", now=now)


def await_performed(workflow: WorkflowClient, number: str) -> Any | None:
    """What came of an approved act, once it has been carried out; None while it lacks approvals.

    FORM_REJECTED, FORM_STATE for one that was withdrawn or lapsed, and the code with which the act was refused after all.
    """
    deadline = time.monotonic() + PERFORMED_TIMEOUT_S
    while True:
        form = workflow.form(number)
        if form["state"] == "applied":
            return None
        performance = form.get("performance") or {}
        if performance.get("state") == "done":
            return performance
        if (end := ended.why(form, workflow.names() if form["state"] == "rejected" else {})) is not None:
            raise VermilionError(*end)
        if time.monotonic() > deadline:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"form {number} is approved, but the act has not been carried out yet")
        time.sleep(POLL_S)
