"""`vermilion forms`: look at applications and decide on them."""

from __future__ import annotations

import base64
import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.protocol.leaf import Certification
from vermilion import exits
from vermilion.cli import common, deciding
from vermilion.cli.common import DEFAULT, As, AsJson, Reason, State, here
from vermilion.messages import text
from vermilion.remote.workflow_client import PAGE
from vermilion.terminal import emit_json, say, shortened, show_pairs, show_table
from vermilion.use_cases import approving, effects
from vermilion.use_cases.people_token import PeopleToken

app = typer.Typer(help=text("help.forms"))
MOST_DOCUMENTS = 20  # that are named to whoever approves; `forms show` names all
Number = Annotated[str, typer.Argument(metavar="FORM", help=text("argument.form"))]


@app.command("list", help=text("help.forms_list"))
def list_forms(
    of_state: Annotated[str | None, typer.Option("--only", help=text("option.only"), metavar="STATE")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help=text("option.limit"))] = 50,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    with here(state).workflow() as workflow:
        found = workflow.get("/v1/forms", state=of_state, limit=limit)["forms"]
    if as_json:
        emit_json(found)
        return
    rows = [[form["number"], form["state"], _covers(form), form["title"], _date(form["created"])] for form in found]
    show_table(["form", "state", "covers", "title", "applied"], rows, empty="forms.none")


@app.command("show", help=text("help.forms_show"))
def show_form(number: Number, state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    with office.workflow() as workflow:
        form, people = workflow.form(number), workflow.people()
        effect = effects.of_form(form, deciding.known(office, workflow, people))
    if as_json:
        emit_json({**form, "effect": effect.as_json()})
        return
    _show_head(form)
    say("blank")
    deciding.show(effect)
    _show_documents(form)
    say("blank")
    names = {person["id"]: person["name"] for person in people}
    rows = [
        [names.get(one["person"], one["person"]), one["verdict"], _date(one["time"]), one.get("reason") or ""] for one in form["decisions"]
    ]
    show_table(["person", "verdict", "time", "reason"], rows, empty="forms.no_decisions")


def _show_head(form: Any) -> None:
    context, performance = form["context"], form.get("performance") or {}
    rows = [
        (text("column.form"), form["number"]),
        (text("column.state"), form["state"] + (f" — {form['reason']}" if form.get("reason") else "")),
        (text("column.title"), text("forms.title", title=form["title"])),
        (text("column.action"), context["action"]),
        (text("column.seal"), context["seal"] or "–"),
        (text("column.filed_by"), _called(form.get("filed_by"), form["submitted_by"])),
        (text("column.applicant"), _applicant(form)),
        (text("column.covers"), _covers(form)),
        (text("column.quorum"), str(context["policy"]["quorum"])),
        (text("column.until"), _date(context["exp"])),
    ]
    if performance:
        performed = [
            performance["state"],
            *(str(performance[name]) for name in ("code", "reason", "closed_reason") if performance.get(name)),
        ]
        rows.append((text("column.performance"), " — ".join(performed)))
    show_pairs(rows)


def _show_documents(form: Any, most: int | None = None) -> None:
    """The documents of a form, if it names any; at ``most`` so many, and then how many more there are."""
    if documents := form.get("documents"):
        say("blank")
        rows = [[one["name"], f"{one['size_bytes']:,}", _marks(one), _certified(one), shortened(one["sha256"])] for one in documents[:most]]
        show_table(["document", "bytes", "marks", "certification", "sha256"], rows, empty="forms.no_documents")
        if len(rows) < len(documents):
            say("forms.more_documents", "quiet", count=len(documents) - len(rows), number=form["number"])


def _called(name: str | None, identifier: str) -> str:
    return f"{name} ({identifier})" if name else identifier


def _applicant(form: Any) -> str:
    if form["applicant"] is None:
        return text("forms.no_applicant")
    signed = any(one["verdict"] == "apply" for one in form["decisions"])
    return text("forms.applied" if signed else "forms.not_signed", person=_called(form.get("applicant_name"), form["applicant"]))


@app.command("attachments", help=text("help.forms_attachments"))
def attachments(
    number: Number, out: Annotated[Path, typer.Option("--out", help=text("option.attachments_out"))] = Path(), state: State = DEFAULT
) -> None:
    common.require_writable(out)
    with here(state).workflow() as workflow:
        form = workflow.form(number)
        for one in form["attachments"]:
            if one["sha256"] not in approving.named_files(form):
                raise VermilionError(
                    Code.PROOF_INVALID, f"the act of form {number} names no file {one['sha256']}; nobody approves that file"
                )
            content = base64.b64decode(workflow.get(f"/v1/forms/{number}/attachments/{one['sha256']}")["content"])
            if (digest := hashlib.sha256(content).hexdigest()) != one["sha256"]:
                raise VermilionError(Code.DOCUMENT_MISMATCH, f"the workflow sent another file than {one['sha256']}")
            file = out / f"{digest}.pdf"
            durable.create(file, content)
            say("forms.attachment", file=file)


@app.command("refused", help=text("help.forms_refused"))
def list_refused(
    closed: Annotated[bool, typer.Option("--closed", help=text("option.closed"))] = False, state: State = DEFAULT, as_json: AsJson = False
) -> None:
    with here(state).workflow() as workflow:
        found: list[Any] = []
        after: int | None = 0
        while after is not None:
            page = workflow.get("/v1/refused", closed="true" if closed else "false", after=after, limit=PAGE)
            found, after = [*found, *page["refused"]], page["next"]
    if as_json:
        emit_json(found)
        return
    rows = [
        [str(one["id"]), one["event"], one["form"] or "–", one["code"], one["reason"], one["closed_reason"] or "", _date(one["created"])]
        for one in found
    ]
    show_table(["id", "event", "form", "code", "reason", "closed", "time"], rows, empty="forms.none_refused")


@app.command("close", help=text("help.forms_close"))
def close_refused(
    refusal: Annotated[int, typer.Argument(metavar="ID", help=text("argument.refusal"))], person: As, reason: Reason, state: State = DEFAULT
) -> None:
    with here(state).workflow() as workflow:
        who = common.find_person(workflow, person)
        closed = workflow.post(f"/v1/refused/{refusal}/close", {"person": who["id"], "reason": reason})
    say("forms.closed", id=closed["id"], person=who["name"], code=closed["code"])


@app.command("withdraw", help=text("help.forms_withdraw"))
def withdraw(
    number: Number,
    identity: Annotated[str, typer.Option("--client", help=text("option.withdraw_client"))] = "operator",
    state: State = DEFAULT,
) -> None:
    with here(state).workflow(identity) as workflow:
        form = workflow.post(f"/v1/forms/{number}/withdraw", {})
    say("forms.withdrawn", number=form["number"])


@app.command("approve", help=text("help.forms_approve"))
def approve(
    number: Number,
    person: As,
    folder: Annotated[Path | None, typer.Option("--folder", help=text("option.folder"))] = None,
    yes: Annotated[bool, typer.Option("--yes", help=text("option.yes"))] = False,
    state: State = DEFAULT,
) -> None:
    _decide(number, person, "approve", state=state, folder=folder, yes=yes)


@app.command("reject", help=text("help.forms_reject"))
def reject(number: Number, person: As, reason: Reason, state: State = DEFAULT) -> None:
    _decide(number, person, "reject", state=state, reason=reason)


def _decide(
    number: str, person: str, verdict: str, *, state: Path, reason: str = "", folder: Path | None = None, yes: bool = False
) -> None:
    office = here(state)
    with office.workflow() as workflow, PeopleToken.open(office.layout.token_settings("people")) as token:
        form, people = workflow.form(number), workflow.people()
        who = common.among(people, person)
        if folder is not None:
            compared = approving.compare(form, form["documents"], folder)
            say("forms.compared", "valid", documents=compared.documents, root=shortened(compared.root.hex()))
        if verdict == "approve":
            _show_head(form)
            _show_documents(form, MOST_DOCUMENTS)
            say("blank")
            deciding.show(effects.of_form(form, deciding.known(office, workflow, people)))  # of the very context that is signed below
            if not yes:
                _confirm(who["name"])
        answer = approving.decide(workflow, token, form, person=who["id"], verdict=verdict, now=datetime.now(UTC), reason=reason)
    if verdict == "approve" and answer["state"] == "applied":
        key = "approved_so_far" if answer["applicant_signed"] or answer["approvals"] < answer["needed"] else "approved_unsigned"
        say(f"forms.{key}", number=number, person=who["name"], given=answer["approvals"], needed=answer["needed"])
        return
    say(f"forms.{verdict}d" if verdict == "approve" else "forms.rejected", number=number, person=who["name"], state=answer["state"])


def _confirm(person: str) -> None:
    """Asks before a decision is signed. Where nobody can be asked, it has to be said in the command that the effect was read."""
    if not sys.stdin.isatty():
        raise VermilionError(Code.INVALID_ARGUMENT, text("forms.nobody_to_ask"), rule=text("forms.nobody_to_ask_rule"))
    if not typer.confirm(text("forms.confirm", person=person)):
        say("forms.not_approved")
        raise typer.Exit(exits.INTERRUPTED)


def _covers(form: Any) -> str:
    ((kind, body),) = form["context"]["covers"].items()
    match kind:
        case "manifest":
            return text("covers.manifest", size=body["size"])
        case "grant":
            return text("covers.grant", uses=body["uses"], until=_date(body["until"]))
        case _:
            return text("covers.act", action=" · ".join(filter(None, (form["context"]["action"], str(body.get("change", ""))))))


def _marks(document: Any) -> str:
    marks = document["placement"]["marks"]
    return " · ".join(f"{mark['kind']} p. {','.join(str(page + 1) for page in mark['pages'][:4])}" for mark in marks) or text("marks.none")


def _certified(document: Any) -> str:
    return common.certification(Certification(document["placement"]["certification"]).word)


def _date(value: int | str) -> str:
    return value if isinstance(value, str) else datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
