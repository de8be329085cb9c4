"""`vermilion ca rollover|chain`: a successor for an authority, and which chains a certificate has since."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ca.names import Role
from ca.pki import load_hierarchy
from sealcore.errors import Code, VermilionError
from vermilion.ceremony import rollover as ceremony
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.state.chains import chains, read_certificate
from vermilion.terminal import emit_json, say, show_table


def rollover(
    role: Annotated[Role, typer.Argument(metavar="seals|infrastructure|root", help=text("argument.authority_role"))],
    generation: Annotated[int | None, typer.Option("--generation", min=2, max=99, help=text("option.generation"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)

    def report(key: str) -> None:
        if not as_json:
            say(f"ca.{key}", "quiet")

    name = ceremony.roll(office.layout, office.office, role, generation=generation, report=report)
    if as_json:
        emit_json({"authority": name})
        return
    say("ca.rollover_done", name=name)
    say("ca.rollover_root_next" if role == "root" else "ca.rollover_next", "quiet", name=name)


def chain(
    file: Annotated[Path, typer.Argument(metavar="CERTIFICATE", help=text("argument.certificate_file"))],
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    leaf = read_certificate(file)
    found = chains(leaf, load_hierarchy(here(state).layout.pki))
    if not found:
        raise VermilionError(Code.NOT_FOUND, f"{leaf.subject.rfc4514_string()} is by no authority of this office")
    now = datetime.now(UTC)
    rows = [
        {
            "root": one.root,
            "through": [step.name for step in one.steps],
            "until": one.ends(leaf).strftime("%Y-%m-%d"),
            "in_force": one.ends(leaf) > now,
        }
        for one in found
    ]
    if as_json:
        emit_json(rows)
        return
    marks = {True: text("yes"), False: text("no")}
    table = [
        [one.root, " → ".join(step.name for step in one.steps), one.ends(leaf).strftime("%Y-%m-%d"), marks[one.ends(leaf) > now]]
        for one in found
    ]
    show_table(["root", "through", "until", "in_force"], table, empty="keys.none")


def add_to(app: typer.Typer) -> None:
    """The commands of this duty."""
    app.command("rollover", help=text("help.ca_rollover"))(rollover)
    app.command("chain", help=text("help.ca_chain"))(chain)
