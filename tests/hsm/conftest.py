"""Tokens for the tests of this folder: real SoftHSM, each in its own folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealcore.hsm import library
from sealcore.hsm.softhsm import create, settings_of
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings
from tests.hsm.wrapping import WrappedModule
from tests.support.waiting import until

PROGRAMS = Path(__file__).with_name("programs")
SEAL, TIMESTAMP = "seal.contract.1", "tsa.signer.1"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> TokenSettings:
    """The token without keys of which every test gets a copy."""
    return create(tmp_path_factory.mktemp("blank") / "hsm", "office")


@pytest.fixture(scope="session")
def furnished(blank: TokenSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of the same token with a seal key and a timestamp key (P-256)."""
    settings = _copy(blank, tmp_path_factory.mktemp("furnished") / "hsm")
    with Token.open(settings) as token:
        token.generate(SEAL, Algorithm.P256)
        token.generate(TIMESTAMP, Algorithm.P256)
    return settings.pin_file.parent / "tokens"


def _copy(settings: TokenSettings, folder: Path) -> TokenSettings:
    """The same token in another folder, as if it had been made there."""
    original = settings.pin_file.parent
    shutil.copytree(original, folder)
    for name in ("softhsm2.conf", "token.toml"):
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(text.replace(str(original), str(folder)), "utf-8")
    return settings_of(folder, settings.label)


@pytest.fixture
def settings(blank: TokenSettings, tmp_path: Path) -> TokenSettings:
    """A new token without keys, closed."""
    return _copy(blank, tmp_path / "hsm")


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


@pytest.fixture
def wrapped(settings: TokenSettings, furnished: Path, tmp_path: Path) -> Iterator[WrappedModule]:
    """A module before a token with a seal key and a timestamp key (P-256), nothing counted yet. Afterwards nothing hangs in it."""
    objects = settings.pin_file.with_name("tokens")
    shutil.rmtree(objects)
    shutil.copytree(furnished, objects)
    module = WrappedModule.build(tmp_path / "module")
    yield module
    module.clear()

    def is_over() -> bool:
        module.release()
        return is_free()

    until(is_over)


def is_free() -> bool:
    """Whether this process may open a token: the last is closed, and no call of it is inside its module."""
    return not library._PROCESS.held
