"""`vermilion templates`: base documents that grants may name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from vermilion.cli import deciding
from vermilion.cli.common import DEFAULT, AsJson, Several, State, here, read_file
from vermilion.messages import text
from vermilion.terminal import emit_json, say
from vermilion.use_cases import acts

app = typer.Typer(help=text("help.templates"))


@app.callback()
def group() -> None:
    """One command today, a group for those to come."""


@app.command("add", help=text("help.templates_add"))
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("argument.template"))],
    fields: Annotated[list[str] | None, typer.Option("--field", metavar="NAME", help=text("option.field"))] = None,
    persons: Several = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    from signer.pipeline.template import fingerprint  # noqa: PLC0415  (the PDF library: half a second that other commands need not wait)

    office, content, names = here(state), read_file(file), sorted(set(fields or ()))
    template = fingerprint(content, names)
    parameters = {"change": "template_add", "template": template, "fields": names, "pdf": hashlib.sha256(content).hexdigest()}
    with office.workflow() as workflow:
        title = text("templates.title", file=file.name)
        form = acts.apply(workflow, "register", title=title, parameters=parameters, files=[content])
        done = deciding.carry_out(office, workflow, form, persons, quiet=as_json)
    if as_json:
        emit_json({"template": template, "form": form["number"], "ledger_index": done["ledger_index"] if done else None})
        return
    say("templates.named", template=template)
    if done is not None:
        say("templates.added", number=form["number"], index=done["ledger_index"])
