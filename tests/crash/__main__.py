"""``make crash KILLS=10000``: the long run. Season after season on SQLite and PostgreSQL in turn, each counted at its end."""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.conftest import PostgresqlServer
from tests.crash.harness import Season, Tally, plan
from tests.crash.report import Result, summary
from tests.crash.scene import Scene, house
from tests.signer.office import make_keys

SEASON_KILLS: Final = 250
UNDISTURBED: Final = 3  # batches at the end of each season


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when a promise was broken; the season's folder is kept then."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kills processes of an office and counts afterwards.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", default="", help="the same seed makes the same plan; moments are the machine's own")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed or secrets.token_hex(4)
    console = Console()
    console.print(f"seed {seed}: SEED={seed} makes the same plan again")
    folder = Path(tempfile.mkdtemp(prefix="vermilion-crash-"))
    server = PostgresqlServer()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    results: list[Result] = []
    try:
        with house(folder, make_keys(folder / "office")) as made, Progress(*columns, console=console) as progress:
            task = progress.add_task("kills", total=chosen.kills)
            while (before := sum(result.tally.total for result in results)) < chosen.kills:
                number = len(results)
                database = ("SQLite", "PostgreSQL")[number % 2]
                progress.update(task, description=f"season {number + 1}, {database}")
                home = folder / f"season-{number}"
                home.mkdir()
                url = f"sqlite:///{home / 'signer.db'}" if number % 2 == 0 else server.create_database()

                def say(tally: Tally, before: int = before) -> None:
                    progress.update(task, completed=before + tally.total)

                season_seed = f"{seed}/{number}"
                dice = random.Random(season_seed)
                season = Season(Scene(home / "scene", made, url), dice, say=say)
                kills = min(SEASON_KILLS, -(-chosen.kills // 2), chosen.kills - before)
                result = _run(season, dice, kills, (database, season_seed))
                results.append(result)
                if result.counted.findings:
                    break
                shutil.rmtree(home)
    finally:
        server.stop()
        if results:
            console.print(summary(results))
    if any(result.counted.findings for result in results):
        console.print(f"the evidence is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _run(season: Season, dice: random.Random, kills: int, name: tuple[str, str]) -> Result:
    with closing(season):
        season.open()
        season.run(plan(dice, kills))
        season.late_riser()
        season.other_bytes()
        season.stop_under_way()
        attempts, calls = season.undisturbed(UNDISTURBED)
        counted = season.count()
    assert attempts == calls, f"nothing died, but there were {calls} HSM calls in {attempts} attempts"
    return Result(*name, season.tally, counted)


if __name__ == "__main__":
    sys.exit(main())
