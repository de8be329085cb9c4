"""What the program says of itself: every command explains itself, every message is in the catalogue, usage errors have their own code."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest
from typer.main import get_command

import vermilion.cli
import vermilion.cli.program
from tests.cli.running import vermilion as command
from vermilion import exits, messages

PACKAGE = Path(vermilion.cli.__file__).parents[1]


def _commands() -> list[tuple[str, ...]]:
    root = get_command(vermilion.cli.program.app)
    found: list[tuple[str, ...]] = [()]
    for name, sub in sorted(root.commands.items()):  # type: ignore[attr-defined]
        found += [(name,), *((name, inner) for inner in sorted(getattr(sub, "commands", {})))]
    return found


@pytest.mark.parametrize("path", _commands(), ids=lambda path: " ".join(path) or "vermilion")
def test_every_command_explains_itself(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run([*path, "--help"]) == exits.DONE
    said = capsys.readouterr().out
    assert "Usage: vermilion" in said
    assert len(said.split()) > 20


def test_the_commands_are_those_that_were_promised() -> None:
    names = {" ".join(path) for path in _commands()}
    assert {
        *("init", "up", "demo", "doctor", "seal", "verify", "witness", "people add", "people list", "clients add", "forms list"),
        *("forms show", "forms approve", "forms reject", "seals list", "seals show", "seals suspend", "seals resume"),
        *("grants list", "grants withdraw", "keys list", "ledger check", "ledger show"),
    } <= names


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("forms",), ("forms", "show"), ("verify",), ("verify", "--nonsense", "x"), ("up", "--ports-from", "7")]
)
def test_wrong_usage_ends_with_its_own_code(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(arguments) == exits.USAGE
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("forms", "approve", "F-2026-000001", "--as", "Ada", "--as", "Ben"),
        ("forms", "reject", "F-2026-000001", "--as=Ada", "--reason", "why", "--as", "Ben"),
        ("forms", "close", "1", "--as", "Ada", "--reason", "one", "--reason", "another"),
        ("grants", "withdraw", "G", "--as", "Ada", "--reason", "why", "--as", "Ada"),
        ("doctor", "--state", "here", "--state", "there"),
    ],
)
def test_an_option_that_takes_one_value_is_given_once(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(arguments) == exits.USAGE
    assert "more than once" in " ".join(capsys.readouterr().err.split())


def test_an_option_of_several_values_and_a_switch_may_be_given_again(tmp_path: Path) -> None:
    for arguments in (
        ("seals", "resume", "contract", "--as", "Ada", "--as", "Ben"),
        ("forms", "approve", "F", "--as", "Ada", "--yes", "--yes"),
    ):
        assert vermilion.cli.run([*arguments, "--state", str(tmp_path)]) == exits.CONFIGURATION


def test_a_missing_office_is_said_with_the_way_out(tmp_path: Path) -> None:
    done = command("seals", "list", "--state", tmp_path / "nothing")
    assert done.returncode == exits.CONFIGURATION
    assert "CONFIGURATION_INVALID" in done.stderr
    assert "vermilion init" in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_every_message_that_the_code_names_is_in_the_catalogue() -> None:
    named = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("text", "say") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    named.add(first.value)
    assert len(named) > 100
    assert named <= messages.every_key()


def test_messages_are_well_formed() -> None:
    for key in messages.every_key():
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", key), key
        list(string.Formatter().parse(messages.text(key)))
