"""Tokens for the tests of this folder: real SoftHSM, each in its own folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealcore.config import TokenSettings
from sealcore.hsm.softhsm import create
from sealcore.hsm.token import Token

PROGRAMS = Path(__file__).with_name("programs")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def settings(tmp_path: Path) -> TokenSettings:
    """A new token without keys, closed."""
    return create(tmp_path / "hsm", "office")


@pytest.fixture
def token(settings: TokenSettings) -> Iterator[Token]:
    """The same token, open in this process."""
    with Token.open(settings) as opened:
        yield opened


@pytest.fixture
def run_program() -> Run:
    """Runs one of the programs beside the tests in a process of its own and hands back what it said."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, PROGRAMS / name, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
        )

    return run
