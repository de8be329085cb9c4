"""What is typed as a folder after `make` is data: the folder is used, whatever its name, and nothing in it is carried out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

NAMES = (
    "two words",
    "it's",
    'say "hello"',
    "$(touch canary)",
    "$(shell touch canary)",
    "$$(touch canary)",
    "${HOME}",
    "`touch canary`",
    "a;touch canary",
    "a\ntouch canary",
    "'; touch canary; '",
    '"; touch canary; "',
    "a && touch canary || true",
    "#hash",
    "--out=canary",
    "-rf",
    "*",
    "back\\slash\\",
    "$@ $< %",
    "a=b",
    "公章",
)
TELLS = """\
#!{python}
import json, os, sys
with open(os.path.join({folder!r}, "told.json"), "a") as out:
    out.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile with a program in the place of ours that notes what it is called with, and nothing to set up."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for name in (".venv/bin/vermilion", ".venv/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TELLS.format(python=sys.executable, folder=str(tmp_path)))
        (tmp_path / name).chmod(0o755)
    for name in ("deploy/setup.sh", "tools/fuzz.sh"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def _make(folder: Path, target: str, *, typed: dict[str, str], told: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | (told or {})
    words = ["make", target, *(f"{name}={value}" for name, value in typed.items())]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _told(folder: Path) -> list[list[str]]:
    said = [json.loads(line) for line in (folder / "told.json").read_text().splitlines()]
    (folder / "told.json").unlink()
    return said


@pytest.mark.parametrize("name", NAMES)
def test_documents_and_state_reach_the_program_as_they_were_typed(folder: Path, name: str) -> None:
    expected = [["demo", f"--state={name}", f"--documents=in {name}"]]
    for given in ({"typed": {"STATE": name, "DOCUMENTS": f"in {name}"}}, {"typed": {}, "told": {"STATE": name, "DOCUMENTS": f"in {name}"}}):
        done = _make(folder, "demo", **given)
        assert done.returncode == 0, done.stderr
        assert _told(folder) == expected
    for target, value in (("up", "STATE"), ("crash", "SEED"), ("check", "SINCE"), ("soak", "STATE")):
        assert _make(folder, target, typed={value: name}).returncode == 0
        assert any(name in word for word in _told(folder)[0])
    assert name in _make(folder, "help", typed={"STATE": name}).stdout
    assert _make(folder, "fuzz", typed={"MINUTES": name}).returncode != 0
    assert not (folder / "canary").exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("*", "-rf")])
def test_clean_removes_the_folder_of_that_name_and_no_other(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / "bystander").mkdir()
    assert _make(folder, "clean", typed={"STATE": name}).returncode == 0
    assert not (folder / name).exists()
    assert (folder / "bystander").exists() and (folder / "Makefile").exists()
    assert not (folder / "canary").exists()


def test_clean_takes_no_name_for_an_option_or_a_pattern(folder: Path) -> None:
    for name in ("-rf", "*"):
        (folder / name).mkdir()
        assert _make(folder, "clean", typed={"STATE": name}).returncode == 0
        assert not (folder / name).exists()
        assert (folder / "Makefile").exists()
    assert _make(folder, "clean", typed={"STATE": ""}).returncode != 0
    assert (folder / "Makefile").exists()


def test_clean_removes_no_folder_that_holds_something_else(folder: Path) -> None:
    (folder / "letters" / "deep").mkdir(parents=True)
    (folder / "out").mkdir()
    for name in ("letters", "letters/", ".", "letters/..", str(folder)):
        refused = _make(folder, "clean", typed={"STATE": name})
        assert (refused.returncode, "no office" in refused.stderr) == (2, True)
    assert (folder / "letters" / "deep").is_dir() and (folder / "out").is_dir() and (folder / "Makefile").is_file()
    for sign in ("vermilion.toml", "bench"):
        made = folder / "office"
        made.mkdir()
        (made / sign).mkdir() if sign == "bench" else (made / sign).write_text("")
        assert _make(folder, "clean", typed={"STATE": "office"}).returncode == 0
        assert not made.exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("tests/a.py  'tests/b c.py' -k \"x and not 'y'\"", ["tests/a.py", "tests/b c.py", "-k", "x and not 'y'"]),
        (
            "$(touch canary) `touch canary` $(shell touch canary)",
            ["$(touch", "canary)", "`touch", "canary`", "$(shell", "touch", "canary)"],
        ),
        ("a; touch canary && touch canary | b > canary", ["a;", "touch", "canary", "&&", "touch", "canary", "|", "b", ">", "canary"]),
        ("* ~ $HOME $$HOME #no", ["*", "~", "$HOME", "$$HOME", "#no"]),
        ("a\nb", ["a", "b"]),
    ],
)
def test_words_are_taken_apart_and_nothing_in_them_is_carried_out(folder: Path, typed: str, words: list[str]) -> None:
    for given in ({"typed": {"T": typed, "FIGURES": typed}}, {"typed": {}, "told": {"T": typed, "FIGURES": typed}}):
        for target, before in (("test", ["-m", "pytest"]), ("bench", ["-m", "benchmarks", "--runs=3", "--state=var/bench"])):
            done = _make(folder, target, **given)
            assert done.returncode == 0, done.stderr
            assert _told(folder) == [before + words]
        assert _make(folder, "help", **given).returncode == 0
    assert not (folder / "canary").exists()


def test_words_whose_quotes_are_open_are_no_words(folder: Path) -> None:
    assert _make(folder, "test", typed={"T": "-k 'a"}).returncode != 0
    assert not (folder / "told.json").exists()


def test_without_words_there_are_none(folder: Path) -> None:
    assert _make(folder, "bench", typed={"FIGURES": ""}).returncode == 0
    assert _told(folder) == [["-m", "benchmarks", "--runs=3", "--state=var/bench"]]


def test_numbers_are_numbers(folder: Path) -> None:
    for value in ("a[$(touch canary)]", "a[`touch canary`]", "1+1", "-1", ""):
        assert _make(folder, "fuzz", typed={"MINUTES": value}).returncode != 0
    assert _make(folder, "fuzz", typed={"MINUTES": "0"}).returncode == 0
    assert not (folder / "canary").exists()
