"""`vermilion ca revoke-authority`: a CA's own certificate, revoked by the root that issued it."""

from __future__ import annotations

from typing import Annotated

import typer

from ca.instants import to_text
from ca.names import role_of
from ca.revocation.change import AUTHORITY_REASONS
from sealcore.errors import Code, VermilionError
from vermilion.ceremony import revoking as ceremony
from vermilion.cli.ca.revoking import InvalidSince, instant_of
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.terminal import emit_json, say


def revoke_authority(
    name: Annotated[str, typer.Argument(metavar="NAME", help=text("argument.authority"))],
    *,
    reason: Annotated[str, typer.Option("--reason", help=text("option.ca_reason"))],
    invalid_since: InvalidSince = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    if reason not in AUTHORITY_REASONS:
        raise VermilionError(
            Code.INVALID_ARGUMENT, f"{reason!r} is not a reason for a CA; there are {', '.join(sorted(AUTHORITY_REASONS))}"
        )
    invalid = instant_of(invalid_since)
    ceremony.revoke(office.layout, office.office, name, reason, invalid_since=to_text(invalid) if invalid else "")
    if as_json:
        emit_json({"authority": name, "reason": reason})
        return
    say("ca.authority_revoked", name=name)
    say(f"ca.authority_revoked_{role_of(name)}", "quiet", name=name)


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("revoke-authority", help=text("help.ca_revoke_authority"))(revoke_authority)
