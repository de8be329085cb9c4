"""`vermilion extend`: sealed documents stay provable after certificates have ended and authorities are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vermilion import exits
from vermilion.cli.common import DEFAULT, AsJson, State, require_writable
from vermilion.messages import text
from vermilion.state import office as offices
from vermilion.state.layout import Layout
from vermilion.terminal import console, emit_json, progress, say, show_error, show_table

if TYPE_CHECKING:
    from vermilion.use_cases.extending import Done

MOST_AT_ONCE = 64


class LevelName(StrEnum):
    """What files can be extended to."""

    B_LT = "B-LT"
    B_LTA = "B-LTA"


def extend(
    files: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER…", help=text("argument.files"))],
    *,
    level: Annotated[LevelName, typer.Option("--level", help=text("option.level"))] = LevelName.B_LTA,
    renew_before: Annotated[int, typer.Option("--renew-before", metavar="DAYS", min=0, help=text("option.renew_before"))] = 90,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.out_extended"))] = None,
    tsa: Annotated[str | None, typer.Option("--tsa", metavar="URL", help=text("option.tsa"))] = None,
    trust: Annotated[list[Path] | None, typer.Option("--trust", metavar="PEM", help=text("option.trust"))] = None,
    allow_host: Annotated[list[str] | None, typer.Option("--allow-host", metavar="HOST", help=text("option.allow_host"))] = None,
    vri: Annotated[bool, typer.Option("--vri", help=text("option.vri"))] = False,
    wait: Annotated[int, typer.Option("--wait", metavar="SECONDS", min=0, help=text("option.wait_evidence"))] = 0,
    at_once: Annotated[int, typer.Option("--jobs", min=1, max=MOST_AT_ONCE, help=text("option.jobs"))] = 4,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    from longterm.augmenter import Aim  # noqa: PLC0415  (the PDF libraries: a second that other commands need not wait)
    from longterm.model import Level  # noqa: PLC0415
    from vermilion.use_cases.extending import Means, extender, jobs  # noqa: PLC0415

    layout = Layout.at(state)
    office = offices.find(state)[1] if layout.ready else None
    means = Means.of(layout, office, anchors=trust or [], tsa=tsa, hosts=allow_host or [])
    work = jobs(files, out)
    if out is not None:
        require_writable(out)
    aim = Aim(Level(str(level)), timedelta(days=renew_before), vri)
    with extender(means, aim, at_once=at_once) as runner:
        if as_json:
            done = runner.run(work, wait_s=wait, report=lambda _done: None)
        else:
            with progress(text("extend.progress"), len(work)) as steps:
                done = runner.run(work, wait_s=wait, report=lambda _done: steps.advance())
    if as_json:
        emit_json([one.as_dict() for one in done])
    else:
        _show(done)
    if runner.interrupted:
        console(stderr=True).print(text("extend.interrupted"))
    raise typer.Exit(exits.INTERRUPTED if runner.interrupted else _exit_code(done))


def _show(done: Sequence[Done]) -> None:
    rows = [
        (
            one.job.target.name,
            str(one.before or text("blank")),
            str(one.level or text("blank")),
            f"{one.lapses:%Y-%m-%d}" if one.lapses else text("blank"),
            text(f"extend.{one.word}") if one.fault is None else f"{text(f'extend.{one.word}')}: {one.fault.code}",
        )
        for one in done
    ]
    show_table(("document", "before", "level", "archived", "outcome"), rows, empty="extend.none")
    counts = Counter(one.word for one in done)
    if done:
        say("extend.sum", counts=" · ".join(f"{count} {text(f'extend.{word}')}" for word, count in counts.most_common()))
    for one in done:
        if one.fault is not None:
            show_error(one.fault)


def _exit_code(done: Sequence[Done]) -> int:
    """Of the files that failed, the worst: refused by a rule before what a repeat can mend."""
    codes = [exits.of(one.fault) for one in done if one.fault is not None]
    order = (exits.INTERNAL, exits.REFUSED, exits.USAGE, exits.UNAVAILABLE)
    return min(codes, key=lambda code: order.index(code) if code in order else len(order), default=exits.DONE)
