"""`vermilion seal`: documents in, sealed documents out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sealcore.errors import Code, VermilionError
from vermilion import client, exits, placing
from vermilion.ceremony.plan import CLIENT
from vermilion.cli.common import DEFAULT, AsJson, Here, State, find_person, find_seal, here
from vermilion.client.people import decide
from vermilion.desk import tls_of
from vermilion.messages import text
from vermilion.people_token import PeopleToken
from vermilion.sealing import Result, results_of, seal_with_progress
from vermilion.terminal import emit_json, say, show_table


def seal(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=text("argument.files"))],
    *,
    kind: Annotated[str, typer.Option("--seal", help=text("option.seal_kind"))] = "contract",
    title: Annotated[str | None, typer.Option("--title", help=text("option.title"))] = None,
    applicant: Annotated[str | None, typer.Option("--applicant", help=text("option.applicant"))] = None,
    form_number: Annotated[str | None, typer.Option("--form", help=text("option.form"))] = None,
    out: Annotated[Path, typer.Option("--out", help=text("option.out"))] = Path("sealed"),
    visible: Annotated[bool, typer.Option("--visible/--invisible", help=text("option.visible"))] = True,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help=text("option.wait"))] = 86_400,
    identity: Annotated[str, typer.Option("--client", help=text("option.client"))] = CLIENT,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    documents = placing.collect(files)
    with client.Office(
        office.office.url("workflow", scheme="https"), office.office.listen("signer").target, tls_of(office.layout, identity)
    ) as line:
        if form_number is None:
            form = _apply(office, line, kind=kind, documents=documents, files=files, title=title, applicant=applicant, visible=visible)
            if not as_json:
                say("seal.applied", number=form.number, quorum=form.context.policy.quorum)
        else:
            form = line.form(form_number)
        form = _wait(line, form.number, wait_s)
        outcomes = seal_with_progress(line, form, documents, out, quiet=as_json)
    _show(results_of(outcomes), form.number, out, as_json)


def _wait(line: client.Office, number: str, wait_s: float) -> client.Form:
    try:
        return line.wait_approved(number, timeout_s=wait_s)
    except VermilionError as fault:
        if fault.code is not Code.DEADLINE_EXCEEDED:
            raise
        raise VermilionError(fault.code, text("seal.still_waiting", number=number)) from None


def _apply(
    office: Here,
    line: client.Office,
    *,
    kind: str,
    documents: list[client.Document],
    files: list[Path],
    title: str | None,
    applicant: str | None,
    visible: bool,
) -> client.Form:
    with office.registry() as registry:
        found = find_seal(registry, kind)
    plan = placing.load(files[0]) if len(files) == 1 and files[0].is_dir() else {}
    picture = line.picture(found.picture_sha256[0]) if visible and found.picture_sha256 else None
    placement = placing.place(plan, picture, visible=True) if picture else None
    person: Any = None
    if applicant is not None:
        with office.desk() as desk:
            person = find_person(desk, applicant)
    form = line.apply(
        found.id,
        documents,
        title=title or text("seal.title", first=documents[0].name, count=len(documents)),
        applicant=person["id"] if person else None,
        placement=placement,
    )
    if person is not None:
        with PeopleToken.open(office.layout.token_settings("people")) as token:
            line.decide(form.number, decide(form.context, person["id"], "apply", token.key(person["id"]), now=datetime.now(UTC)))
    return form


def _show(results: list[Result], number: str, out: Path, as_json: bool) -> None:
    refused = [one for one in results if one.outcome == "refused"]
    if as_json:
        emit_json({"form": number, "results": [one.as_json() for one in results]})
    else:
        say("seal.done", "valid" if not refused else "", sealed=len(results) - len(refused), refused=len(refused), out=out)
        if refused:
            show_table(["document", "code", "reason"], [[one.file, one.code or "", one.reason or ""] for one in refused], empty="blank")
    raise typer.Exit(exits.REFUSED if refused else exits.DONE)
