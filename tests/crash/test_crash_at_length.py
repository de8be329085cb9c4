"""The kills of ``test_crash.py`` again, other ones and more of them: the long tests have the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.counted import killed_and_counted
from tests.crash.scene import House

KILLS = 106  # on each database


@pytest.mark.timeout(900)
def test_whatever_is_killed_and_when_each_document_is_sealed_once(
    house: House, database_url: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    killed_and_counted(house, database_url, tmp_path, say, kills=KILLS)
