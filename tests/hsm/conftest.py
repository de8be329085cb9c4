"""Tokens for the tests of this folder: real SoftHSM, each in its own folder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealcore.config import TokenSettings
from sealcore.hsm import library
from sealcore.hsm.softhsm import create
from sealcore.hsm.token import Algorithm, Token
from tests.hsm.wrapping import WrappedModule

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


SEAL, TIMESTAMP = "seal.contract.1", "tsa.signer.1"


@pytest.fixture
def wrapped(settings: TokenSettings, tmp_path: Path) -> Iterator[WrappedModule]:
    """A module before a token with a seal key and a timestamp key (P-256), nothing counted yet. Afterwards nothing hangs in it."""
    with Token.open(settings) as token:
        token.generate(SEAL, Algorithm.P256)
        token.generate(TIMESTAMP, Algorithm.P256)
    module = WrappedModule.build(tmp_path / "module")
    yield module
    module.clear()
    wait_until(lambda: (module.release(), is_free())[1])


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads bring about; a minute is for ever."""
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")


def is_free() -> bool:
    """Whether this process may open a token: the last is closed, and no call of it is inside its module."""
    return not library._PROCESS.held
