"""How the program speaks on a terminal: the same words and colours as everywhere (docs/appearance.md), NO_COLOR and narrow widths honoured.

Colour only repeats what an icon and a word say already. Where standard output is no terminal, progress comes as plain lines.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from sealcore.errors import VermilionError
from sealcore.text import escaped_json, shown
from vermilion.messages import hints, text

VERMILION, GREEN, AMBER, CRIMSON = "#C8321F", "#1F7A4D", "#9A6700", "#8B1A2B"
NARROW_COLUMNS = 72  # below, a table becomes one block a row
PIPE_COLUMNS = 120  # where nobody told us a width
PLAIN_PROGRESS_S = 2.0

_THEME = Theme(
    {
        "seal": VERMILION,
        "valid": f"bold {GREEN}",
        "undetermined": f"bold {AMBER}",
        "invalid": f"bold {CRIMSON}",
        "unreadable": "bold grey50",
        "quiet": "grey50",
        "title": "bold",
    }
)
ICONS = {"valid": "✓", "invalid": "✗", "undetermined": "?", "unreadable": "–", "sealed": "✓", "refused": "✗"}
_STYLES = {"sealed": "valid", "refused": "invalid"}


class _Cleaned:
    """What is printed, with everything in it that a reader would not see, or a terminal would obey, as its code point."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._inner, options):
            if segment.control:
                yield segment
            else:
                yield Segment("\n".join(map(shown, segment.text.split("\n"))), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._inner)


class _Console(Console):
    """Whoever prints decides what a reader that is gone means: rich would end the program, with it a launcher, and the office."""

    def on_broken_pipe(self) -> NoReturn:
        """An error as any other of writing."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class _Clean(RenderHook):
    """The last border before the terminal, for whatever its text comes from; line ends are taken out of values before (``one_line``)."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Cleaned(one) for one in renderables]


def one_line(value: object) -> str:
    """A value from a file, a person or a service as a part of one line."""
    return shown(str(value))


def console(*, stderr: bool = False) -> Console:
    """The console; asks the environment for its width and whether colour is wanted."""
    stream = sys.stderr if stderr else sys.stdout
    made = _Console(theme=_THEME, highlight=False, stderr=stderr, emoji=False, markup=False)
    if not stream.isatty() and made.width == 80:  # rich's guess for a pipe
        made.width = PIPE_COLUMNS
    made.push_render_hook(_Clean())
    return made


def say(key: str, style: str = "", *, fold: bool = True, **values: Any) -> None:
    """Prints a message of the catalogue; as one line, however long, where it is not to be folded."""
    console().print(text(key, **values), style=style or None, soft_wrap=not fold)


def emit_json(value: Any) -> None:
    """Prints ``value`` for a program to read; nothing else goes to standard output then."""
    sys.stdout.write(escaped_json(json.dumps(value, ensure_ascii=False, indent=2)) + "\n")
    sys.stdout.flush()


def verdict(word: str, rest: str = "") -> Text:
    """A verdict or outcome: icon, word, and what follows."""
    style, rest = _STYLES.get(word, word), one_line(rest)
    return Text.assemble((f"{ICONS.get(word, '·')} {word}", style), f"  {rest}" if rest else "")


def show_outcome(word: str, head: str, rest: str = "") -> None:
    """One line of a story: icon, a short head (a code, a file), and the rest hanging beside it."""
    style, head, rest = _STYLES.get(word, word), one_line(head), one_line(rest)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"   {ICONS.get(word, '·')}", style), Text.assemble((head, style if rest else ""), f"  {rest}" if rest else ""))
    console().print(grid)


def show_error(fault: VermilionError) -> None:
    """A refusal on standard error: what, where, rule, way out. Where nobody can hear it, the exit code still says it."""
    with suppress(OSError):
        _show_error(console(stderr=True), fault)


def _show_error(out: Console, fault: VermilionError) -> None:
    out.print(Text.assemble(("✗ ", "invalid"), (str(fault.code), "invalid"), f"  {one_line(fault.document)}" if fault.document else ""))
    rows = [("error.what", fault.reason), ("error.rule", fault.rule), ("error.way_out", fault.way_out)]
    if fault.request_id is not None:
        rows.append(("error.request", fault.request_id))
    out.print(pairs([(text(key), value) for key, value in rows]))


def show_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values below each other."""
    console().print(pairs(rows))


def pairs(rows: Sequence[tuple[str, str]]) -> Table:
    """Names and values below each other, to print."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="quiet", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(f"  {name}", one_line(hints.complete(value)))
    return grid


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows under the catalogue's column heads; on a narrow terminal one block a row; ``empty`` is the message for none."""
    out = console()
    heads = [text(f"column.{column}") for column in columns]
    if not rows:
        say(empty, "quiet")
    elif out.width < NARROW_COLUMNS:
        for row in rows:
            out.print(pairs(list(zip(heads, row, strict=True))))
            out.print()
    else:
        table = Table(box=None, header_style="quiet", pad_edge=False, padding=(0, 2, 0, 0))
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(one_line(hints.complete(each)) for each in row))
        out.print(table)


class _Rate(ProgressColumn):
    """Documents a second and the time left."""

    def render(self, task: Task) -> Text:
        done, elapsed_s = task.completed, task.elapsed or 0.0
        return Text(pace(done / elapsed_s if elapsed_s > 0 else 0.0, (task.total or 0) - done), style="quiet")


def pace(rate: float, left: float) -> str:
    """A rate (documents a second) and the time that so many more take at it."""
    if rate <= 0:
        return text("progress.waiting")
    return text("progress.pace", rate=rate_text(rate), left=duration(left / rate))


def rate_text(rate: float) -> str:
    """A rate with as many figures as mean something."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def duration(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def bar(out: Console) -> list[ProgressColumn]:
    """The columns of a progress bar before its rate; a short bar where the terminal is narrow."""
    width = 24 if out.width >= NARROW_COLUMNS else 8
    return [
        TextColumn("  {task.description}"),
        BarColumn(bar_width=width, complete_style="seal", finished_style="valid"),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
    ]


class Steps:
    """Counts what is done; on a terminal as a bar, elsewhere as a line every two seconds."""

    def __init__(self, total: int, bar: Progress | None, what: str) -> None:
        what = one_line(what)
        self._total, self._bar, self._what = total, bar, what
        self._done = 0
        self._began = self._spoke = time.monotonic()
        self._task = bar.add_task(what, total=total) if bar else None

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)
        elif time.monotonic() - self._spoke >= PLAIN_PROGRESS_S:
            self._spoke = time.monotonic()
            now = pace(self._done / (self._spoke - self._began), self._total - self._done)
            console().print(text("progress.line", what=self._what, done=f"{self._done:,}", total=f"{self._total:,}", pace=now))

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began


@contextmanager
def progress(what: str, total: int) -> Iterator[Steps]:
    """Progress with rate and time left."""
    out = console()
    if not out.is_terminal:
        yield Steps(total, None, what)
        return
    with Progress(*bar(out), _Rate(), console=out, transient=False) as shown:
        yield Steps(total, shown, what)


def shortened(digest: str) -> str:
    """A digest or id short enough to read; --json has it whole."""
    return digest if len(digest) <= 20 else f"{digest[:8]}…{digest[-8:]}"


def joined(values: Mapping[str, object]) -> str:
    """``name value`` pairs on one line."""
    return " · ".join(f"{name} {value}" for name, value in values.items())
