"""The house as a fixture, for this folder and for others: one a test process, whoever asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.scene import AS_IT_IS, House, Scene
from tests.crash.scene import house as made_house
from tests.crash.services import Variation
from tests.signer.office import make_keys
from tests.support.once import copied, once

_THE_HOUSE: list[House] = []


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Keys, authorities and nurseries of this session."""
    if _THE_HOUSE:
        yield _THE_HOUSE[0]
        return
    folder = tmp_path_factory.mktemp("house")
    with contextlib.ExitStack() as opened:
        _THE_HOUSE.append(opened.enter_context(made_house(folder, copied(once(tmp_path_factory, "signer", make_keys), folder / "office"))))
        yield _THE_HOUSE[0]
        _THE_HOUSE.clear()


@pytest.fixture
def scenes(house: House, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """A function that makes a signer without log process, started; by default on SQLite. It ends with the test."""
    made: list[Scene] = []

    def make(database_url: str = "", variation: Variation = AS_IT_IS, **settings: Any) -> Scene:
        folder = tmp_path / f"scene-{len(made)}"
        scene = Scene(folder, house, database_url or f"sqlite:///{folder / 'signer.db'}", variation, **settings)
        made.append(scene)
        scene.open_signer()
        return scene

    yield make
    for one in made:
        one.close()
