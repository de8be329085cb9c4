"""What became of a form of which nothing will come any more: who rejected it and with which reason, or what else ended it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from sealcore.errors import Code, VermilionError, code_named
from vermilion.messages import text
from vermilion.remote.workflow_client import PAGE, WorkflowClient
from vermilion.use_cases import approving

_FAILED: Final = ("refused", "closed")  # states of an act that its receiver did not carry out


def why(form: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Code, str] | None:
    """A code and a sentence on what ended a form as ``WorkflowClient.form`` gives it; None for one that is alive, or came to its good end.

    names  person's id → name
    """
    number, performance = form["number"], form.get("performance") or {}
    match form["state"]:
        case "rejected":
            by = next((one for one in form["decisions"] if one["verdict"] == "reject"), {"person": ""})
            reason = by.get("reason") or form["reason"] or text("ended.no_reason")
            person = names.get(by["person"], by["person"]) or text("ended.somebody")
            return Code.FORM_REJECTED, text("ended.rejected", number=number, person=person, reason=reason)
        case "withdrawn":
            return Code.FORM_STATE, text("ended.withdrawn", number=number)
        case "lapsed":
            return Code.FORM_STATE, text("ended.lapsed", number=number)
    if performance.get("state") in _FAILED:
        refusal = {"code": performance["code"], "reason": performance.get("closed_reason") or performance["reason"]}
        return code_named(performance["code"], Code.FORM_STATE), text("ended.refused", number=number, **refusal)
    if performance.get("state") != "done" and form["context"]["exp"] <= time.time():
        return Code.FORM_STATE, text("ended.lapsed", number=number)
    return None


def before(workflow: WorkflowClient, form: Mapping[str, Any]) -> str | None:
    """What ended the form that we filed last for the same act before ``form``; None where there is none, or it came to its good end."""
    for one in workflow.get("/v1/forms", own="true", limit=PAGE)["forms"]:
        if one["number"] != form["number"] and one["created"] <= form["created"] and _same_act(one, form):
            found = why(workflow.form(one["number"]), workflow.names())
            return found[1] if found is not None else None
    return None


def known(workflow: WorkflowClient, number: str, journal: object) -> Any:
    """The form that a journal is about; NOT_FOUND saying where the journal lies and what to do."""
    try:
        return workflow.form(number)
    except VermilionError as fault:
        if fault.code is not Code.NOT_FOUND:
            raise
        reason = text("ended.unknown", number=number, journal=journal)
        raise VermilionError(Code.NOT_FOUND, reason, rule=text("ended.unknown_rule")) from None


def _same_act(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both ask for the same; two requests for a certificate do when they are about one key, though each is signed anew."""
    first, second = approving.context_of(one), approving.context_of(other)
    if (first.action, first.seal) != (second.action, second.seal):
        return False
    keys = [form["context"]["covers"].get("act", {}).get("spki_sha256") for form in (one, other)]
    return first.covers == second.covers or (keys[0] is not None and keys[0] == keys[1])
