"""The `vermilion` command line. Exit codes: see ``vermilion.exits``; errors go to standard error with code, rule and way out."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException

from sealcore import __version__
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import exhausted
from sealcore.platform import durable
from sealcore.platform.log import configure, request
from sealcore.platform.service import hold_standard_descriptors
from vermilion import exits
from vermilion.cli import (
    ca,
    clients,
    extending,
    forms,
    grants,
    init,
    issuers,
    keys,
    ledger,
    office,
    people,
    sealing,
    seals,
    templates,
    units,
    verifying,
)
from vermilion.messages import hints, text
from vermilion.terminal import console, show_error


def _show_version(wanted: bool) -> None:
    if wanted:
        console().print(f"vermilion {__version__}", highlight=False)
        raise typer.Exit


class _UnheardError(Exception):
    """Who read the output has seen enough: `| head`."""


class _Commands(TyperGroup):
    """An interrupt that no command answers itself ends in ``Abort``, and is told: typer would end without a word. A reader that is gone has an
    exit code of its own, which typer would make that of a refusal."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None
        except BrokenPipeError:
            raise _UnheardError from None


class _Command(TyperCommand):
    """An option that takes one value is given once: of two, typer would take the last and say nothing of the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for one, times in Counter(given).items():
            if times > 1 and isinstance(one, TyperOption) and not (one.multiple or one.is_flag):
                raise typer.BadParameter(text("error.given_twice"), ctx=ctx, param=one)
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="vermilion",
    cls=_Commands,
    help=text("help.vermilion"),
    epilog=text("help.exit_codes"),
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help=text("option.version"))] = False,
) -> None:
    """Options of the program itself; they are dealt with before any command is looked for."""


for name, command, panel in (
    ("demo", office.demo, "office"),
    ("up", office.up, "office"),
    ("start", office.start, "office"),
    ("init", init.init, "office"),
    ("doctor", office.doctor, "office"),
    ("seal", sealing.seal, "documents"),
    ("verify", verifying.verify, "documents"),
    ("extend", extending.extend, "documents"),
    ("witness", ledger.witness, "office"),
):
    app.command(name, help=text(f"help.{name}"), rich_help_panel=text(f"panel.{panel}"))(command)
for name, group, panel in (
    ("forms", forms.app, "duties"),
    ("seals", seals.app, "duties"),
    ("grants", grants.app, "duties"),
    ("templates", templates.app, "duties"),
    ("people", people.app, "duties"),
    ("units", units.app, "duties"),
    ("issuers", issuers.app, "duties"),
    ("clients", clients.app, "duties"),
    ("ca", ca.app, "authorities"),
    ("keys", keys.app, "evidence"),
    ("ledger", ledger.app, "evidence"),
):
    app.add_typer(group, name=name, rich_help_panel=text(f"panel.{panel}"))


def _each_once(of: typer.Typer) -> None:
    for command in of.registered_commands:
        command.cls = _Command
    for group in of.registered_groups:
        if group.typer_instance is not None:
            _each_once(group.typer_instance)


_each_once(app)


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns its exit code. All that it does at the services goes under one request id."""
    with request():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    hints.about(None)  # until --state says otherwise
    try:
        result = app(args=list(arguments) or ["--help"], prog_name="vermilion", standalone_mode=False)
    except TyperException as usage:
        out = console(stderr=True)
        out.print(f"✗ {usage.format_message()}", style="invalid")
        out.print(text("error.usage"))
        return exits.USAGE
    except typer.Abort:
        return _interrupted()
    except VermilionError as fault:
        return _ended(fault)
    except _UnheardError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.PIPE_CLOSED
    except Exception as fault:  # noqa: BLE001  (the last border: a person sees a code and where the rest is, never a traceback)
        if isinstance(fault, OSError) and fault.filename is not None:  # of a path that somebody named, or that the state should have
            return _ended(durable.unusable(fault, os.fsdecode(fault.filename)))
        if (short := exhausted(fault)) is not None:
            return _ended(short)
        show_error(VermilionError(Code.INTERNAL, text("error.unforeseen", kind=type(fault).__name__, file=_written_down())))
        return exits.INTERNAL
    return result if isinstance(result, int) else exits.DONE


def _interrupted() -> int:
    console(stderr=True).print(text("error.interrupted"))
    return exits.INTERRUPTED


def _written_down() -> str:
    """Where the trace of the present fault is; standard error where no file can be written."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="vermilion-fault-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exc(file=file)
    except OSError:
        traceback.print_exc()
        return "stderr"
    return file.name


def _ended(fault: VermilionError) -> int:
    show_error(fault)
    return exits.of(fault)


def _hold_standard_streams() -> None:
    """Those that whoever started us has closed lead nowhere: no file that is opened may get their numbers, and what is said has a place."""
    hold_standard_descriptors()
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (for the life of the program)
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere


def prepare() -> None:
    """What a process of its own needs before its command."""
    _hold_standard_streams()
    configure("vermilion", "CRITICAL")  # people read messages; what services log is in the state folder
