"""Kills that really kill, and the counting afterwards. ``docs/exactly-once.md`` tells the whole of it; ``make crash`` runs longer."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.harness import FRONT_STEPS, LOG_STEPS, SANDBOX_STEPS, WORKER_STEPS, Kill, Season, plan
from tests.crash.mutants import BROKEN
from tests.crash.report import Result, in_short
from tests.crash.scene import House, Scene
from tests.crash.services import Variation

KILLS = 106  # on each database
JUDGED = 3  # files that pdfsig reads
ORDER, TWICE, ENTRY = (
    "nothing leaves before its entry is durable",
    "no use is released twice with other bytes",
    "each released document has its entry",
)
CALLS, FITS, STOP = "HSM calls ≤ Σ attempts", "sealed document = document ‖ suffix", "nothing is sealed after a stop"


def pdfsig_agrees(file: bytes, folder: Path) -> None:
    """Poppler finds the signature whole and valid."""
    path = folder / "sealed.pdf"
    path.write_bytes(file)
    said = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False, timeout=60).stdout
    assert "Signature is Valid" in said and "Total document signed" in said, said


@pytest.mark.timeout(600)
def test_whatever_is_killed_and_when_each_document_is_sealed_once(
    house: House, database_url: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    dice = random.Random(f"suite/{database_url.partition(':')[0]}")
    season = Season(Scene(tmp_path / "scene", house, database_url), dice)
    with closing(season):
        season.open()
        season.run(plan(dice, KILLS))
        season.late_riser()
        season.other_bytes()
        season.stop_under_way()
        attempts, calls = season.undisturbed(3)
        counted = season.count()
    say(in_short(Result(database_url.partition(":")[0].partition("+")[0], "suite", season.tally, counted)))
    assert counted.findings == ()
    assert season.tally.total >= 100
    assert attempts == calls > 0  # where nothing dies
    assert counted.most_attempts >= 2  # uses did lose their worker
    assert counted.checkpoints >= 10
    for role, steps in (("worker", WORKER_STEPS), ("front", FRONT_STEPS), ("sandbox", SANDBOX_STEPS), ("log process", LOG_STEPS)):
        missed = [step for step in steps if not season.tally.kills[role, step]]
        assert len(missed) <= 1, (role, missed)  # a busy machine may miss one
    for file in season.sealed_files(JUDGED):
        pdfsig_agrees(file, tmp_path)


def killed_at(step: str) -> Callable[[Season], None]:
    """A worker, several times over: at one of them it has just done what matters."""

    def provoke(season: Season) -> None:
        for _ in range(3):
            season.carry_out(Kill("worker", step))

    return provoke


PROVOKED: dict[str, tuple[Callable[[Season], object], set[str]]] = {
    "release before commit": (killed_at("commit: uses ended"), {ORDER, TWICE}),
    "no fence": (Season.late_riser, {TWICE}),
    "entry in its own transaction": (killed_at("commit: uses ended"), {ORDER, ENTRY}),
    "no entry": (lambda season: season.undisturbed(1), {ORDER, ENTRY}),
    "takeover keeps the attempt": (killed_at("signed"), {CALLS}),
    "bytes not bound": (Season.other_bytes, {FITS}),
    "stop not read again": (Season.stop_under_way, {STOP}),
    "signs again": (lambda season: season.undisturbed(1), {CALLS}),
}


@pytest.mark.parametrize("mutant", BROKEN)
def test_a_signer_without_one_of_its_safeguards_is_found_out(house: House, tmp_path: Path, mutant: str) -> None:
    provoke, promises = PROVOKED[mutant]
    season = Season(
        Scene(tmp_path / "scene", house, f"sqlite:///{tmp_path / 'signer.db'}", Variation(mutant=mutant)), random.Random(1), patience_s=1.0
    )
    with closing(season):
        season.open()
        provoke(season)
        season.finish()
        assert promises & {finding.promise for finding in season.count().findings}
