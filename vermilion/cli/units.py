"""`vermilion units`: the parts of the organisation, under whose codes forms are numbered."""

from __future__ import annotations

from typing import Annotated

import typer

from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.terminal import emit_json, say, show_table
from workflow.directory.model import Unit

app = typer.Typer(help=text("help.units"))
Code = Annotated[str, typer.Argument(metavar="CODE", help=text("argument.unit"))]
Name = Annotated[str, typer.Argument(metavar="NAME", help=text("argument.unit_name"))]


@app.command("list", help=text("help.units_list"))
def list_units(state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).workflow() as workflow:
        found = workflow.get("/v1/units")["units"]
    if as_json:
        emit_json(found)
        return
    rows = [[one["code"], one["name"], text("units.is_active" if one["active"] else "units.has_ended")] for one in found]
    show_table(["unit", "name", "state"], rows, empty="blank")


@app.command("add", help=text("help.units_add"))
def add(code: Code, name: Name, state: State = DEFAULT) -> None:
    with here(state).workflow() as workflow:
        made = workflow.post("/v1/units", {"code": code, "name": name})
    say("units.added", code=made["code"], name=made["name"])


@app.command("rename", help=text("help.units_rename"))
def rename(code: Code, name: Name, state: State = DEFAULT) -> None:
    Unit(code, name)
    with here(state).workflow() as workflow:
        made = workflow.post(f"/v1/units/{code}/rename", {"name": name})
    say("units.renamed", code=made["code"], name=made["name"])


@app.command("end", help=text("help.units_end"))
def end(code: Code, state: State = DEFAULT) -> None:
    Unit(code, "")  # INVALID_ARGUMENT for what is no code
    with here(state).workflow() as workflow:
        made = workflow.post(f"/v1/units/{code}/end", {})
    say("units.ended", code=made["code"], name=made["name"])
