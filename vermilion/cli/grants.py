"""`vermilion grants`: standing approvals, how far they are used, and withdrawing them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from vermilion.cli.common import DEFAULT, As, AsJson, Reason, State, here
from vermilion.messages import text
from vermilion.terminal import emit_json, say, show_table
from vermilion.use_cases import acts
from vermilion.use_cases.people_token import PeopleToken

app = typer.Typer(help=text("help.grants"))


@app.command("list", help=text("help.grants_list"))
def list_grants(state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).signer() as signer:
        found = signer.grants()
    if as_json:
        names = ("jti", "seal", "client", "most_uses", "uses", "expires", "template", "withdrawn")
        emit_json([{name: getattr(grant, name) for name in names} for grant in found])
        return
    rows = [
        [
            grant.jti,
            f"{grant.uses:,}/{grant.most_uses:,}",
            grant.expires,
            grant.template or "none",
            text(f"grants.{_state(grant.withdrawn)}"),
        ]
        for grant in found
    ]
    show_table(["grant", "uses", "until", "template", "state"], rows, empty="grants.empty")


@app.command("withdraw", help=text("help.grants_withdraw"))
def withdraw(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help=text("argument.grant"))], person: As, reason: Reason, state: State = DEFAULT
) -> None:
    office = here(state)
    with office.signer() as signer, office.workflow() as workflow, PeopleToken.open(office.layout.token_settings("people")) as token:
        officer = acts.officer_id(office.office, workflow, person)
        answer = acts.stop(signer, token, "grant", grant, officer=officer, reason=reason, now=datetime.now(UTC))
    say("grants.stopped", grant=grant, index=answer.ledger_index)


def _state(withdrawn: bool) -> str:
    return "withdrawn" if withdrawn else "alive"
