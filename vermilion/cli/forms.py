"""`vermilion forms`: look at applications and decide on them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from vermilion import approving
from vermilion.cli import common
from vermilion.cli.common import DEFAULT, As, AsJson, Reason, State, here
from vermilion.messages import text
from vermilion.people_token import PeopleToken
from vermilion.terminal import emit_json, say, shortened, show_pairs, show_table

app = typer.Typer(help=text("help.forms"))
Number = Annotated[str, typer.Argument(metavar="FORM", help=text("argument.form"))]


@app.command("list", help=text("help.forms_list"))
def list_forms(
    of_state: Annotated[str | None, typer.Option("--only", help=text("option.only"), metavar="STATE")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help=text("option.limit"))] = 50,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    with here(state).desk() as desk:
        found = desk.get("/v1/forms", state=of_state, limit=limit)["forms"]
    if as_json:
        emit_json(found)
        return
    rows = [[form["number"], form["state"], _covers(form), form["title"], _date(form["created"])] for form in found]
    show_table(["form", "state", "covers", "title", "applied"], rows, empty="forms.none")


@app.command("show", help=text("help.forms_show"))
def show_form(number: Number, state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).desk() as desk:
        form = desk.form(number)
        names = {person["id"]: person["name"] for person in common.people(desk)}
    if as_json:
        emit_json(form)
        return
    context = form["context"]
    show_pairs(
        [
            (text("column.form"), form["number"]),
            (text("column.state"), form["state"] + (f" — {form['reason']}" if form.get("reason") else "")),
            (text("column.title"), form["title"]),
            (text("column.action"), context["action"]),
            (text("column.seal"), context["seal"] or "–"),
            (text("column.client"), context["sub"]),
            (text("column.covers"), _covers(form)),
            (text("column.quorum"), str(context["policy"]["quorum"])),
            (text("column.until"), _date(context["exp"])),
        ]
    )
    documents = form.get("documents") or []
    if documents:
        say("blank")
        rows = [[one["name"], f"{one['size_bytes']:,}", _marks(one), shortened(one["sha256"])] for one in documents]
        show_table(["document", "bytes", "marks", "sha256"], rows, empty="forms.no_documents")
    say("blank")
    rows = [
        [names.get(one["person"], one["person"]), one["verdict"], _date(one["time"]), one.get("reason") or ""] for one in form["decisions"]
    ]
    show_table(["person", "verdict", "time", "reason"], rows, empty="forms.no_decisions")


@app.command("approve", help=text("help.forms_approve"))
def approve(
    number: Number,
    person: As,
    folder: Annotated[Path | None, typer.Option("--folder", help=text("option.folder"))] = None,
    state: State = DEFAULT,
) -> None:
    _decide(number, person, "approve", state=state, folder=folder)


@app.command("reject", help=text("help.forms_reject"))
def reject(number: Number, person: As, reason: Reason, state: State = DEFAULT) -> None:
    _decide(number, person, "reject", state=state, reason=reason)


def _decide(number: str, person: str, verdict: str, *, state: Path, reason: str = "", folder: Path | None = None) -> None:
    office = here(state)
    with office.desk() as desk, PeopleToken.open(office.layout.token_settings("people")) as token:
        form = desk.form(number)
        who = common.find_person(desk, person)
        if folder is not None:
            compared = approving.compare(form, form["documents"], folder)
            say("forms.compared", "valid", documents=compared.documents, root=shortened(compared.root.hex()))
        answer = approving.decide(desk, token, form, person=who["id"], verdict=verdict, now=datetime.now(UTC), reason=reason)
    say(f"forms.{verdict}d" if verdict == "approve" else "forms.rejected", number=number, person=who["name"], state=answer["state"])


def _covers(form: Any) -> str:
    ((kind, body),) = form["context"]["covers"].items()
    match kind:
        case "manifest":
            return text("covers.manifest", size=body["size"])
        case "grant":
            return text("covers.grant", uses=body["uses"], until=_date(body["until"]))
        case _:
            return text("covers.act", action=form["context"]["action"])


def _marks(document: Any) -> str:
    marks = document["placement"]["marks"]
    return " · ".join(f"{mark['kind']} p. {','.join(str(page + 1) for page in mark['pages'][:4])}" for mark in marks) or text("marks.none")


def _date(value: int | str) -> str:
    return value if isinstance(value, str) else datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
