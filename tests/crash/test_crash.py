"""Kills that really kill, and the counting afterwards. ``docs/exactly-once.md`` tells the whole of it; ``test_crash_at_length.py`` and
``make crash`` run longer."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.counted import killed_and_counted
from tests.crash.harness import Kill, Season
from tests.crash.mutants import BROKEN
from tests.crash.scene import House, Scene
from tests.crash.services import Variation

KILLS = 60  # on each database: all that a plan begins with, and some that are drawn
ORDER, TWICE, ENTRY = (
    "nothing leaves before its entry is durable",
    "no use is released twice with other bytes",
    "each released document has its entry",
)
CALLS, FITS, STOP = "HSM calls ≤ Σ attempts", "sealed document = document ‖ suffix", "nothing is sealed after a stop"


@pytest.mark.timeout(600)
def test_whatever_is_killed_and_when_each_document_is_sealed_once(
    house: House, database_url: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    killed_and_counted(house, database_url, tmp_path, say, kills=KILLS)


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
