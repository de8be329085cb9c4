"""Commands that the program prints are about the office that it was asked about, and an office is made by nothing but `init`."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

import vermilion.cli
from sealcore.errors import Code, VermilionError
from vermilion import exits
from vermilion.messages import every_key, hints, text
from vermilion.operation import doctor
from vermilion.operation.doctor import Health
from vermilion.planning.drawing import draw
from vermilion.planning.examples import demo
from vermilion.services import SERVICES
from vermilion.state.layout import Layout
from vermilion.terminal import show_error

FOLDERS = ("office", "an office", "it's; $(id)", 'of "ours" {state}')


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("command", ["up", "doctor", "forms list", "seals list"])
def test_what_is_printed_names_the_state_folder_as_a_shell_reads_it(
    command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    state = tmp_path / name
    vermilion.cli.run([*command.split(), "--state", str(state)])
    said = capsys.readouterr()
    (printed,) = {each for each in re.findall(r"`([^`]*)`", said.out + said.err) if each.startswith("vermilion init")}
    assert shlex.split(printed) == ["vermilion", "init", "--state", str(state)]


def test_every_command_of_the_catalogue_and_of_the_errors_names_the_state_folder_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    try:
        hints.about(Path("an office"))
        for words in [text(key) for key in every_key()]:
            commands = re.findall(r"`(vermilion [a-z][^`]*)`", words)
            assert all(each.count("--state") == 1 and each.endswith(" --state 'an office'") for each in commands), words
        assert hints.complete(text("up.no_client")) == text("up.no_client"), "what is complete stays as it is"
        show_error(VermilionError(Code.SERVICE_UNAVAILABLE, "it does not answer"))
        assert "`vermilion up --state 'an office'`" in capsys.readouterr().err
    finally:
        hints.about(None)
    assert "--state" not in text("up.no_client"), "that in ./var is found without a name"


def test_the_default_folder_is_not_named_and_that_of_an_earlier_command_is_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vermilion.cli.run(["up", "--state", "elsewhere"])
    capsys.readouterr()
    vermilion.cli.run(["up"])
    assert "`vermilion init`" in capsys.readouterr().err


def test_doctor_says_of_a_half_made_office_that_things_are_not_made_yet(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path / "half")
    layout.make_folders()
    draw(demo(), None, SERVICES).save(layout)
    found = {one.check: one for one in doctor.examine(layout, datetime.now(UTC))}
    for check in ("Accounts", "mTLS certificates"):
        assert (found[check].what, found[check].health) == ("not made yet", Health.WARNING)
    assert "seccomp" in found["Walls"].what


def test_verify_on_a_folder_says_how_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "my papers"
    folder.mkdir()
    assert vermilion.cli.run(["verify", str(folder)]) == exits.USAGE
    assert f"name the files: '{folder}'/*.pdf" in capsys.readouterr().err


def test_a_mistyped_state_folder_gets_no_office(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "vra"
    assert vermilion.cli.run(["up", "--state", str(state)]) == exits.CONFIGURATION
    assert "there is no office in" in " ".join(capsys.readouterr().err.split())
    assert not state.exists()


@pytest.mark.parametrize("name", ["office#2", "a=b", "two\nlines", "a\rb"])
@pytest.mark.parametrize("command", ["init", "demo"])
def test_a_state_folder_that_no_token_can_lie_in_is_refused_before_anything_is_made(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert vermilion.cli.run([command, "--state", str(tmp_path / name)]) == exits.USAGE
    assert "line break" in capsys.readouterr().err
    assert not (tmp_path / name).exists()
