"""`vermilion up|demo|doctor`: an office running, shown, examined."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sealcore.errors import Code, VermilionError
from sealcore.platform.config import local_of
from vermilion import exits
from vermilion.ceremony import ensure
from vermilion.cli.common import DEFAULT, AsJson, Ports, State, is_there, report
from vermilion.messages import text
from vermilion.operation import doctor as doctors
from vermilion.operation.client_renewal import ClientRenewal, bundle_names
from vermilion.operation.configuration import write_all
from vermilion.operation.doctor import Health
from vermilion.operation.launcher import Launcher, is_held, require_ports, running
from vermilion.operation.process import serves
from vermilion.operation.signals import end_like_interrupt
from vermilion.operation.watched import READY_TIMEOUT_S, Absence, Change, Turn, absence
from vermilion.services import SERVICES
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.terminal import console, emit_json, say, show_pairs

WAIT_S = 0.2
HEALTH_STYLES = {Health.WELL: ("✓", "valid"), Health.WARNING: ("!", "undetermined"), Health.FAULT: ("✗", "invalid")}


def up(state: State = DEFAULT, ports_from: Ports = None) -> None:
    end_like_interrupt()
    layout = Layout.at(state)
    _require_office(layout, state)
    office = ensure(layout, ports_from=ports_from, report=report)
    with Launcher(layout) as launcher:
        require_ports(office)
        for file in write_all(layout, office):
            say("up.kept", "undetermined", file=file, local=local_of(file).name)
        launcher.start(lambda name: say("up.ready", "quiet", name=name))
        try:
            _addresses(layout, office)
            with ClientRenewal(layout, office.listen("ca").target, _not_renewed):
                launcher.wait(lambda: False, _changed)
        except KeyboardInterrupt:  # from the moment that Ctrl-C is spoken of
            say("up.stopping", "quiet")
    say("up.stopped")


def _require_office(layout: Layout, state: Path) -> None:
    """A state folder that was mistyped gets no keys; CONFIGURATION_INVALID. One that is half made is completed."""
    if not is_there(layout.office_file):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"there is no office in {state}; `vermilion init` makes one")


def start(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help=text("argument.service"))],
    state: State = DEFAULT,
) -> None:
    layout = Layout.at(state)
    if service not in {one.name for one in SERVICES}:
        raise VermilionError(Code.INVALID_ARGUMENT, f"there is no service {service!r}; they are {', '.join(one.name for one in SERVICES)}")
    if not is_held(layout):
        raise VermilionError(Code.CONFLICT, _unwatched(layout))
    before = absence(layout, service)
    if before is not None and before.given_up:
        layout.run(f"{service}.down").unlink(missing_ok=True)  # the launcher looks for it, and tries again
    _await(layout, service, before)
    say("start.done", "valid", name=service)


def _unwatched(layout: Layout) -> str:
    if left := running(layout):
        return f"the launcher is gone, but {len(left)} of its services run; what ends is not started again; `vermilion up` takes over"
    return "this office is not running; `vermilion up` starts all of it"


def _await(layout: Layout, service: str, before: Absence | None) -> None:
    """Until it is ready. SERVICE_UNAVAILABLE once it fails as it did before, is left down, or takes too long; each try is told."""
    told, until_s = before, time.monotonic() + READY_TIMEOUT_S
    while (away := absence(layout, service)) is not None or not serves(layout, service):
        late = time.monotonic() > until_s
        is_new = away is not None and away != told
        if away is not None and (away.given_up or late or (is_new and told is not None and away.cause == told.cause)):
            raise VermilionError(
                Code.SERVICE_UNAVAILABLE, f"the service {service} {away.cause}", rule=text("start.again_rule", name=service)
            )
        if late:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the service {service} was not started within {READY_TIMEOUT_S:.0f} s")
        if away is not None and is_new:
            say("start.failed", "undetermined", fold=False, name=service, cause=away.cause)
            told = away
        time.sleep(WAIT_S)


def demo(
    documents: Annotated[Path | None, typer.Option("--documents", help=text("option.documents"))] = None,
    out: Annotated[Path, typer.Option("--out", help=text("option.out_demo"))] = Path("out"),
    state: State = DEFAULT,
    ports_from: Ports = None,
) -> None:
    from vermilion.demo import run  # noqa: PLC0415  (gRPC and the PDF libraries: a second that other commands need not wait)

    end_like_interrupt()
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


def _not_renewed(folder: Path, fault: VermilionError) -> None:
    say("clients.not_renewed", "undetermined", folder=folder, reason=fault.reason)


def _changed(change: Change) -> None:
    style = {Turn.BACK: "quiet", Turn.ENDED: "undetermined", Turn.DOWN: "invalid"}[change.turn]
    values = {
        "name": change.service,
        "cause": change.cause,
        "seconds": f"{change.again_s:g}",
        "times": "once" if change.deaths == 1 else f"{change.deaths} times",
    }
    say(f"up.{change.turn}", style, fold=False, **values)


def _addresses(layout: Layout, office: Office) -> None:
    say("up.running", "title", name=office.title)
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
    if doctors.one_account(layout):
        say("up.one_account", "quiet")
    say("up.end", "quiet")


def bundles(layout: Layout) -> str:
    """The certificate bundles of clients that lie with the office."""
    return " · ".join(str(layout.tls(name)) for name in bundle_names(layout)) or text("up.no_client")
