"""`vermilion init`: an office from its plan."""

from __future__ import annotations

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
    if not made and plan is None:
        raise VermilionError(Code.CONFIGURATION_INVALID, text("init.nobody_to_ask"), rule=text("init.nobody_to_ask_rule"))
    drawn = _read(plan) if plan is not None else None
    if dry_run:
        _preview(drawn, ports_from)
        return
    ensure(layout, plan=drawn, ports_from=ports_from, report=report)
    say("init.done", fold=False)


def _write_example(file: Path) -> None:
    """A commented plan to begin with; CONFLICT where something has its name."""
    require_free(file)
    durable.create(file, files(planning).joinpath("example.toml").read_bytes())
    say("init.example", fold=False, file=file)


def _preview(plan: Plan | None, ports_from: int | None) -> None:
    """Says what would be made; makes nothing."""
    from vermilion.planning import drawing, preview  # noqa: PLC0415

    if plan is None:
        say("init.nothing_new")
        return
    office = drawing.draw(plan, ports_from)
    say("init.would", "title", name=office.name, name_english=office.name_english, quorum=office.register_quorum)
    for section in preview.sections(office):
        say("blank")
        say(f"init.{section.title}", "title")
        show_table(section.columns, section.rows, empty="blank")
    say("blank")
    say("init.dry")


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
    out, style = console(stderr=True), "undetermined" if fault.warning else "invalid"
    head = text("plan.fault", file=file, line=line, where=fault.where or "")
    out.print(f"{'!' if fault.warning else '✗'} {one_line(head)}", style=style)
    out.print(pairs([(text("error.what"), fault.what), (text("error.way_out"), fault.way_out)]))
