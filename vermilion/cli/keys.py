"""`vermilion keys`: every key that the ceremony made, and what the signer's token says of its own."""

from __future__ import annotations

from typing import Any

import typer

from protos.vermilion.v1 import signer_pb2
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.state import keyring
from vermilion.terminal import emit_json, shortened, show_table

app = typer.Typer(help=text("help.keys"))


@app.command("list", help=text("help.keys_list"))
def list_keys(state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    with office.signer() as signer:
        live = signer.signer_keys()
    readable = {key.label: key for key in live if key.spki_sha256}
    rows = []
    for key in keyring.keys(office.layout):
        seen = readable.get(key.label)
        locked = None if seen is None else seen.sensitive and not seen.extractable
        rows.append({**key.as_json(), "locked_in_token": locked})
    declared = {row["label"] for row in rows}
    rows += [_undeclared(key) for key in live if key.label not in declared or not key.spki_sha256]
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
            text("days", days=row["rotation_days"]) if row["rotation_days"] else text("blank"),
            marks[row["locked_in_token"]],
            shortened(row["spki_sha256"]) if row["spki_sha256"] else text("blank"),
        ]
        for row in rows
    ]
    show_table(["token", "key", "algorithm", "purpose", "rotation", "locked", "sha256"], table, empty="keys.none")


def _undeclared(key: signer_pb2.KeyRecord) -> dict[str, Any]:
    """A key in the signer's token that the inventory does not declare; one that nobody here can use says why in place of its algorithm."""
    return {
        "token": "signer",
        "label": key.label,
        "algorithm": key.algorithm,
        "purpose": text("keys.undeclared"),
        "rotation_days": None,
        "owner": "",
        "spki_sha256": key.spki_sha256.hex(),
        "locked_in_token": key.sensitive and not key.extractable if key.spki_sha256 else None,
    }
