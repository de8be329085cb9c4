"""What errors, messages and pages tell people to type is there to be typed: each command, and each option of it."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import vermilion.cli.program
from sealcore.errors import REGISTRY
from tests.conftest import REPOSITORY
from vermilion import messages

NAMED = re.compile(r"`(vermilion [^`]*)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
ENDS = re.compile(r"[|>;#&]")  # of a command in a line of a shell
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
ROOT: Any = get_command(vermilion.cli.program.app)


def _fault(typed: str) -> str | None:
    """What is wrong with a command as it stands in a text; words in capitals, braces or « … » stand for something."""
    words = shlex.split(ENDS.split(typed.replace("…", " ").replace("'", ""))[0])[1:]
    command, path = ROOT, ["vermilion"]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        found = [command.commands.get(each) for each in name.split("|")]
        if None in found:
            return f"`{' '.join(path)}` has no command {name}"
        command, path = found[0], [*path, name]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
    return f"`{' '.join(path)}` has no option {', '.join(unknown)}" if unknown else None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    else:
        yield str(value)


def _in_code() -> Iterator[str]:
    for folder in (one for one in REPOSITORY.iterdir() if (one / "__init__.py").exists() and one.name != "tests"):
        for file in folder.rglob("*.py"):
            yield from NAMED.findall(file.read_text("utf-8"))


def test_every_command_that_an_error_or_a_message_names_exists() -> None:
    catalogue = tomllib.loads((Path(messages.__file__).parent / "en.toml").read_text("utf-8"))
    told = [*_strings(catalogue), *(part for row in REGISTRY.values() for part in (row.rule, row.way_out))]
    named = {typed for one in told for typed in NAMED.findall(one)} | set(_in_code())
    assert len(named) > 40
    assert [fault for typed in sorted(named) if "→" not in typed and "COMMAND" not in typed and (fault := _fault(typed))] == []


def test_every_option_that_a_way_out_names_exists() -> None:
    known = {option for _, command in _leaves(ROOT, "") for one in command.params for option in (*one.opts, *one.secondary_opts)}
    named = {option for row in REGISTRY.values() for option in OPTION.findall(row.way_out)}
    assert named and named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = [*NAMED.findall(text), *(line for line in lines if line.startswith("vermilion "))]
    assert [fault for typed in shown if "→" not in typed and "COMMAND" not in typed and (fault := _fault(typed))] == []


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for part, inner in getattr(command, "commands", {}).items():
        yield from _leaves(inner, f"{name} {part}".strip())
    if not hasattr(command, "commands"):
        yield name, command
