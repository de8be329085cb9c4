"""`vermilion init|up|demo|doctor`: an office from nothing, running, shown, examined."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sealcore.errors import VermilionError
from vermilion import exits
from vermilion.ceremony import ensure
from vermilion.cli.common import DEFAULT, AsJson, State
from vermilion.messages import text
from vermilion.operation import doctor as doctors
from vermilion.operation.client_renewal import ClientRenewal, client_bundles
from vermilion.operation.configuration import write_all
from vermilion.operation.doctor import Health
from vermilion.operation.launcher import Launcher, require_ports
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.terminal import console, emit_json, say, show_pairs

OPERATOR = "operator"
HEALTH_STYLES = {Health.WELL: ("✓", "valid"), Health.WARNING: ("!", "undetermined"), Health.FAULT: ("✗", "invalid")}
Ports = Annotated[int | None, typer.Option("--ports-from", min=1024, max=32000, metavar="PORT", help=text("option.ports"))]


def init(state: State = DEFAULT, ports_from: Ports = None) -> None:
    layout = Layout.at(state)
    ensure(layout, ports_from=ports_from, report=_report)
    say("init.done", state=state)


def up(state: State = DEFAULT, ports_from: Ports = None) -> None:
    _end_like_interrupt()
    layout = Layout.at(state)
    office = ensure(layout, ports_from=ports_from, report=_report)
    with Launcher(layout) as launcher:
        require_ports(office)
        write_all(layout, office)
        launcher.start(lambda name: say("up.ready", "quiet", name=name))
        _addresses(layout, office)
        with ClientRenewal(layout, office.listen("ca").target, _not_renewed):
            try:
                launcher.wait(lambda: False)
            except KeyboardInterrupt:
                say("up.stopping", "quiet")
    say("up.stopped")


def demo(
    documents: Annotated[Path | None, typer.Option("--documents", help=text("option.documents"))] = None,
    out: Annotated[Path, typer.Option("--out", help=text("option.out_demo"))] = Path("out"),
    state: State = DEFAULT,
    ports_from: Ports = None,
) -> None:
    from vermilion.demo import run  # noqa: PLC0415  (gRPC and the PDF libraries: a second that other commands need not wait)

    _end_like_interrupt()
    raise typer.Exit(run(Layout.at(state), documents, out, ports_from=ports_from))


def doctor(state: State = DEFAULT, as_json: AsJson = False) -> None:
    findings = doctors.examine(Layout.at(state), datetime.now(UTC))
    worst = doctors.worst(findings)
    if as_json:
        emit_json([finding.as_json() for finding in findings])
    else:
        out = console()
        for finding in findings:
            icon, style = HEALTH_STYLES[finding.health]
            out.print(f"{icon} {finding.check}", style=style, end="  ")
            out.print(finding.what)
            if finding.mend:
                out.print(f"    {text('doctor.mend')} {finding.mend}")
        say(f"doctor.{worst}")
    raise typer.Exit(exits.REFUSED if worst is Health.FAULT else exits.DONE)


def _report(key: str) -> None:
    say(f"ceremony.{key}", "quiet")


def _not_renewed(folder: Path, fault: VermilionError) -> None:
    say("clients.not_renewed", "undetermined", folder=folder, reason=fault.reason)


def _end_like_interrupt() -> None:
    """SIGTERM and a closed terminal end a command as Ctrl-C does: in order, with nothing left running."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _addresses(layout: Layout, office: Office) -> None:
    say("up.running", "title", name=office.name, name_english=office.name_english)
    show_pairs(
        [
            (text("up.page"), office.url("verify") + "/"),
            (text("up.signer"), office.listen("signer").target),
            (text("up.workflow"), office.url("workflow", scheme="https")),
            (text("up.authority"), office.url("ca_http") + "/"),
            (text("up.timestamp"), office.url("timestamp") + "/"),
            (text("up.ledger"), office.url("ledger") + "/checkpoint"),
            (text("up.client"), bundles(layout)),
            (text("up.root"), str(layout.root_certificate)),
        ]
    )
    say("up.end", "quiet")


def bundles(layout: Layout) -> str:
    """The certificate bundles of clients that lie with the office."""
    return " · ".join(str(one) for one in client_bundles(layout) if one.name != OPERATOR) or text("up.no_client")
