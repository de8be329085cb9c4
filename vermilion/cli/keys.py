"""`vermilion keys`: every key that the ceremony made, and what the signer's token says of its own."""

from __future__ import annotations

import typer

from vermilion import keyring
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.terminal import emit_json, shortened, show_table

app = typer.Typer(help=text("help.keys"))


@app.command("list", help=text("help.keys_list"))
def list_keys(state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    with office.registry() as registry:
        live = {key.label: key for key in registry.signer_keys()}
    rows = []
    for key in keyring.keys(office.layout):
        seen = live.get(key.label)
        locked = None if seen is None else seen.sensitive and not seen.extractable
        rows.append({**key.as_json(), "locked_in_token": locked})
    if as_json:
        emit_json(rows)
        return
    marks = {None: "–", True: text("yes"), False: text("no")}
    table = [
        [
            row["token"],
            row["label"],
            row["algorithm"],
            row["purpose"],
            text("days", days=row["rotation_days"]),
            marks[row["locked_in_token"]],
            shortened(row["spki_sha256"]),
        ]
        for row in rows
    ]
    show_table(["token", "key", "algorithm", "purpose", "rotation", "locked", "sha256"], table, empty="keys.none")
