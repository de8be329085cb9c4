"""`vermilion ca`: the certificate authorities. Each module beside this one brings the commands of one duty."""

from __future__ import annotations

import typer

from vermilion.cli.ca import issuing, outside, revoke_authority, revoking, rollover, status
from vermilion.messages import text

app = typer.Typer(help=text("help.ca"))


@app.callback()
def group() -> None:
    """Keeps every command one of the group's own."""


issuing.add_to(app)
outside.add_to(app)
revoking.add_to(app)
revoke_authority.add_to(app)
rollover.add_to(app)
status.add_to(app)
