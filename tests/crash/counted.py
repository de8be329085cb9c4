"""A season of kills from its plan to what is asserted of it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.crash.harness import FRONT_STEPS, LOG_STEPS, SANDBOX_STEPS, WORKER_STEPS, Season, plan
from tests.crash.observers import Counted
from tests.crash.report import Result, in_short
from tests.crash.scene import House, Scene

JUDGED: Final = 3  # files that pdfsig reads
UNDISTURBED: Final = 3  # batches at the end of a season


def count_season(season: Season, dice: random.Random, kills: int) -> Counted:
    """A season from its beginning to what was counted at its end; without kills there is one HSM call an attempt."""
    with closing(season):
        season.open()
        season.run(plan(dice, kills))
        season.late_riser()
        season.other_bytes()
        season.stop_under_way()
        attempts, calls = season.undisturbed(UNDISTURBED)
        counted = season.count()
    assert attempts == calls > 0, f"nothing died, but there were {calls} HSM calls in {attempts} attempts"
    return counted


def killed_and_counted(house: House, database_url: str, folder: Path, say: Callable[[str], None], *, kills: int) -> None:
    """Kills so often, counts, says what was counted, and asserts that every promise was kept and every step was killed at."""
    dice = random.Random(f"suite/{database_url.partition(':')[0]}")
    season = Season(Scene(folder / "scene", house, database_url), dice)
    counted = count_season(season, dice, kills)
    say(in_short(Result(database_url.partition(":")[0].partition("+")[0], "suite", season.tally, counted)))
    assert counted.findings == ()
    assert season.tally.total >= kills - 6  # a busy machine misses some
    assert counted.most_attempts >= 2  # uses did lose their worker
    assert counted.checkpoints >= 10
    for role, steps in (("worker", WORKER_STEPS), ("front", FRONT_STEPS), ("sandbox", SANDBOX_STEPS), ("log process", LOG_STEPS)):
        missed = [step for step in steps if not season.tally.kills[role, step]]
        assert len(missed) <= 1, (role, missed)  # a busy machine may miss one
    for file in season.sealed_files(JUDGED):
        _pdfsig_agrees(file, folder)


def _pdfsig_agrees(file: bytes, folder: Path) -> None:
    """Poppler finds the signature whole and valid."""
    path = folder / "sealed.pdf"
    path.write_bytes(file)
    said = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False, timeout=60).stdout
    assert "Signature is Valid" in said and "Total document signed" in said, said
