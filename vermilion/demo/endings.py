"""The last lines: what was refused and why, where the results are, what to try next."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from sealcore.errors import REGISTRY, Code
from vermilion.demo.report import Counts
from vermilion.demo.story import heading
from vermilion.messages import text
from vermilion.state.layout import DEFAULT_STATE, Layout
from vermilion.terminal import console, duration, say
from vermilion.use_cases.sealing import Result, by_code

SHOWN_FILES = 3
PROGRAM = "vermilion"


def refusals(results: Sequence[Result]) -> None:
    """Refused documents grouped by code, with the way out."""
    groups = by_code(results)
    if not groups:
        return
    heading("refused")
    for code, count in groups:
        members = [one for one in results if one.code == code]
        say("demo.refused.group", "invalid", code=code, count=count)
        for one in members[:SHOWN_FILES]:
            say("demo.refused.file", file=one.file, reason=one.reason)
        if count > SHOWN_FILES:
            say("demo.refused.more", "quiet", count=count - SHOWN_FILES)
        say("demo.refused.way_out", "quiet", way_out=REGISTRY[Code(code)].way_out)


def results(counts: Counts, layout: Layout, documents: Path, out: Path, found: Sequence[Result], *, elapsed_s: float) -> None:
    """Where everything is, and what to try next."""
    heading("results")
    values: dict[str, Any] = {"documents": counts.documents, "sealed": counts.sealed, "refused": counts.refused, "valid": counts.valid}
    say("demo.results.counts", time=duration(elapsed_s), **values)
    say("demo.results.where", out=out)
    names = sorted((one.path.name for one in found if one.path), key=len)
    say("blank")
    say("demo.next", "title")
    program, state = _program(), _state(layout)
    verify = [(f"{program} verify {quote(f'{out}/demo/{names[0]}')}{state}", text("demo.next_verify"))] if names else []
    own = f"--documents {quote(_from_here(documents))} --out {quote(str(out))}"
    for command, what in (
        *verify,
        (f"{program} verify {quote(f'{out}/specimens/')}*.pdf{state}", text("demo.next_specimens")),
        (f"{program} up{state}", text("demo.next_up")),
        (f"{program} forms list{state}", text("demo.next_forms")),
        (f"{program} demo {own}{state}", text("demo.next_own")),
    ):
        console().print(f"  {command}", soft_wrap=True)  # in one line, however long: it is copied
        console().print(f"      {what}", style="quiet")
    if program != PROGRAM:
        say("demo.next_program", "quiet")


def _program() -> str:
    """This program as it can be typed here."""
    own, found = Path(sys.executable).with_name(PROGRAM), shutil.which(PROGRAM)
    return PROGRAM if found is not None and Path(found).samefile(own) else quote(_from_here(own))


def _state(layout: Layout) -> str:
    return "" if layout == Layout.at(DEFAULT_STATE) else f" --state {quote(_from_here(layout.state))}"


def _from_here(path: Path) -> str:
    """A path from the present folder, where it is below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
