"""`vermilion init`: an office from its plan."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealcore.errors import Code, VermilionError
from sealcore.hsm import softhsm
from sealcore.platform import durable
from vermilion import planning
from vermilion.ceremony import ensure
from vermilion.cli.common import DEFAULT, Ports, State, is_there, report, require_free
from vermilion.messages import text
from vermilion.state import toml
from vermilion.state.layout import Layout
from vermilion.terminal import console, one_line, pairs, say, show_table

if TYPE_CHECKING:  # what judges a plan takes a second, which other commands need not wait
    from vermilion.planning.faults import Fault
    from vermilion.planning.model import Plan


def init(
    plan: Annotated[Path | None, typer.Option("--plan", metavar="OFFICE.toml", help=text("option.plan"))] = None,
    example: Annotated[bool, typer.Option("--example", help=text("option.example"))] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=text("option.dry_run"))] = False,
    state: State = DEFAULT,
    ports_from: Ports = None,
) -> None:
    if example:
        _write_example(plan or Path("office.toml"))
        return
    layout = Layout.at(state)
    softhsm.require_path(layout.state)
    made = is_there(layout.office_file)
    if made and plan is not None:
        raise VermilionError(Code.CONFLICT, text("init.is_made", state=state), rule=text("init.is_made_rule"))
    drawn = _read(plan) if plan is not None else None if made else _asked()
    if dry_run:
        _preview(drawn, ports_from)
        say("init.dry")
        return
    if drawn is not None and plan is None and not _agreed(drawn, ports_from):
        return
    ensure(layout, plan=drawn, ports_from=ports_from, report=report)
    say("init.done", fold=False)


def _write_example(file: Path) -> None:
    """A commented plan to begin with; CONFLICT where something has its name."""
    require_free(file)
    durable.create(file, files(planning).joinpath("example.toml").read_bytes())
    say("init.example", fold=False, file=file)


def _asked() -> Plan:
    """The plan that whoever sits at the terminal answers; CONFIGURATION_INVALID where nobody does."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise VermilionError(Code.CONFIGURATION_INVALID, text("init.nobody_to_ask"), rule=text("init.nobody_to_ask_rule"))
    from vermilion.cli import interview  # noqa: PLC0415

    return interview.ask()


def _agreed(plan: Plan, ports_from: int | None) -> bool:
    """Whether the office is to be made, after all of it was shown; else the answers are kept as a file, where one can be made."""
    _preview(plan, ports_from)
    if typer.confirm(text("ask.make"), default=True):
        return True
    file = Path("office.toml")
    try:
        durable.create(file, toml.dump(plan.model_dump(mode="json", exclude_none=True, exclude_defaults=True)).encode())
    except VermilionError:
        say("ask.not_saved")
    else:
        say("ask.saved", fold=False, file=file)
    return False


def _preview(plan: Plan | None, ports_from: int | None) -> None:
    """Says what would be made; makes nothing."""
    from vermilion.planning import drawing, preview  # noqa: PLC0415

    if plan is None:
        say("init.nothing_new")
        return
    office = drawing.draw(plan, ports_from)
    say("init.would", "title", name=office.title, quorum=office.register_quorum)
    for section in preview.sections(office):
        say("blank")
        say(f"init.{section.title}", "title")
        show_table(section.columns, section.rows, empty="blank")


def _read(file: Path) -> Plan:
    """The plan in a file, after its warnings were said; PlanError after all its faults were."""
    from vermilion.planning import reading  # noqa: PLC0415
    from vermilion.planning.faults import PlanError  # noqa: PLC0415

    try:
        judged = reading.load(file)
    except PlanError as fault:
        for line, one in fault.faults:
            _show(fault.file, line, one)
        raise
    for line, one in judged.warnings:
        _show(file.name, line, one)
    return judged.plan


def _show(file: str, line: int, fault: Fault) -> None:
    from vermilion.planning.faults import sentence  # noqa: PLC0415

    out, style = console(stderr=True), "undetermined" if fault.warning else "invalid"
    head = text("plan.fault", file=file, line=line, where=fault.where or "")
    out.print(f"{'!' if fault.warning else '✗'} {one_line(head)}", style=style)
    out.print(pairs([(text("error.what"), fault.what), (text("error.way_out"), sentence(fault.way_out))]))
