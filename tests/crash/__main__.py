"""``make crash KILLS=10000``: the long run. Season after season on SQLite and PostgreSQL in turn, each counted at its end.

What each season came to is written down, so that the same seed goes on where a run was broken off. Into a pipe or a file progress comes
as lines.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.conftest import PostgresqlServer
from tests.crash.counted import count_season
from tests.crash.harness import Season, Tally
from tests.crash.record import Record
from tests.crash.report import Result, summary
from tests.crash.scene import Scene, house
from tests.signer.office import make_keys
from vermilion import exits

SEASON_KILLS: Final = 250
COLUMNS: Final = 120  # into a pipe or a file
SAID_KILLS: Final = 20  # between two lines of progress
Show = Callable[[str, int], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when a promise was broken; the season's folder is kept then."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kills processes of an office and counts afterwards.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", default="", help="the same seed makes the same plan, and goes on behind a run that was broken off")
    parser.add_argument("--record", type=Path, default=Path("var/crash"), metavar="FOLDER", help="where the seasons are written down")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed or secrets.token_hex(4)
    console = Console() if sys.stdout.isatty() else Console(width=COLUMNS)
    record = Record(chosen.record / f"{seed}.jsonl")
    results = record.seasons()
    if _kills(results) >= chosen.kills or _broken(results):
        results = []
    record.begin(results)
    console.print(f"seed {seed}; what each season came to goes to {record.file}")
    if results:
        console.print(f"{_kills(results)} kills in {len(results)} seasons are there already")
    folder = Path(tempfile.mkdtemp(prefix="vermilion-crash-"))
    try:
        with _shown(console, chosen.kills) as show:
            _go_on(results, record, chosen.kills, seed, folder=folder, show=show)
    except KeyboardInterrupt:
        console.print(f"broken off: SEED={seed} goes on behind what was counted")
        status = exits.INTERRUPTED
    else:
        status = 1 if _broken(results) else exits.DONE
    finally:
        if results:
            console.print(summary(results))
    if status == 1:
        console.print(f"the evidence is in {folder}")
    else:
        shutil.rmtree(folder)
    return status


def _kills(results: Sequence[Result]) -> int:
    return sum(result.tally.total for result in results)


def _broken(results: Sequence[Result]) -> bool:
    return any(result.counted.findings for result in results)


def _go_on(results: list[Result], record: Record, kills: int, seed: str, *, folder: Path, show: Show) -> None:
    """Adds seasons to the results until there are as many kills, or a promise is broken."""
    server = PostgresqlServer()
    try:
        with house(folder, make_keys(folder / "office")) as made:
            while (before := _kills(results)) < kills and not _broken(results):
                number = len(results)
                database, season_seed = ("SQLite", "PostgreSQL")[number % 2], f"{seed}/{number}"
                home = folder / f"season-{number}"
                home.mkdir()
                url = f"sqlite:///{home / 'signer.db'}" if number % 2 == 0 else server.create_database()

                def say(tally: Tally, before: int = before, what: str = f"season {number + 1}, {database}") -> None:
                    show(what, before + tally.total)

                dice = random.Random(season_seed)
                season = Season(Scene(home / "scene", made, url), dice, say=say)
                counted = count_season(season, dice, min(SEASON_KILLS, -(-kills // 2), kills - before))
                result = Result(database, season_seed, season.tally, counted)
                results.append(result)
                record.add(result)
                if not result.counted.findings:
                    shutil.rmtree(home)
    finally:
        server.stop()


@contextmanager
def _shown(console: Console, total: int) -> Iterator[Show]:
    """A function that is told which season it is and how many kills there were."""
    if not console.is_terminal:
        began_s, told = time.monotonic(), list[int]()

        def say(what: str, done: int) -> None:
            if not told or done >= told[-1] + SAID_KILLS:
                told.append(done)
                console.print(f"{what}: {done} of {total} kills, {time.monotonic() - began_s:,.0f} s")

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("kills", total=total)
        yield lambda what, done: progress.update(task, description=what, completed=done)


if __name__ == "__main__":
    sys.exit(main())
