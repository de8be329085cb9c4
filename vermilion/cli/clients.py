"""`vermilion clients`: business systems that may apply for seals, each with a certificate of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sealcore.ids import client_uri, uuid7
from vermilion import identities
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.terminal import emit_json, say, show_pairs

app = typer.Typer(help=text("help.clients"))


@app.command("add", help=text("help.clients_add"))
def add_client(
    name: Annotated[str, typer.Argument(metavar="NAME", help=text("argument.client_name"))],
    unit: Annotated[str | None, typer.Option("--unit", help=text("option.unit"))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.bundle"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    client_id = uuid7()
    with office.desk() as desk:
        client = desk.post("/v1/clients", {"id": client_id, "name": name, "unit": unit or office.office.unit})
    folder = (out or office.layout.tls(name)).absolute()
    identities.issue_client(office.layout, office.office, client["uri"] or client_uri(client_id), folder)
    if as_json:
        emit_json({**client, "bundle": str(folder)})
        return
    say("clients.added", name=name)
    show_pairs(
        [
            (text("column.client"), client["uri"]),
            (text("column.bundle"), str(folder)),
            (text("column.signer"), office.office.listen("signer").target),
            (text("column.workflow"), office.office.url("workflow", scheme="https")),
        ]
    )


@app.command("renew", help=text("help.clients_renew"))
def renew_client(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=text("argument.bundle"))],
    ca: Annotated[str | None, typer.Option("--ca", metavar="HOST:PORT", help=text("option.ca"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    if ca is not None:
        until = identities.renew_client(folder.absolute(), ca)
    else:
        office = here(state)
        target = office.office.listen("ca").target
        until = identities.renew_client(folder.absolute(), target, (office.layout, office.office))
    if as_json:
        emit_json({"bundle": str(folder.absolute()), "until": until.isoformat()})
        return
    say("clients.renewed", folder=folder, until=until.strftime("%Y-%m-%d"))
