"""`vermilion init`: a plan comes first; nothing is made for one that is wrong, or in a dry run, or where nobody says what it is to be."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import vermilion.cli
from tests.conftest import REPOSITORY
from vermilion import exits
from vermilion.planning.examples import DEMO, FOLDER
from vermilion.planning.model import Plan, schema
from vermilion.planning.reading import load

SMALL = FOLDER / "offices" / "kivirand.toml"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)


def test_without_a_terminal_or_a_plan_no_office_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(["init", "--state", str(tmp_path / "var")]) == exits.CONFIGURATION
    assert "vermilion init --plan office.toml" in capsys.readouterr().err
    assert not (tmp_path / "var").exists()


def test_a_wrong_plan_makes_nothing_and_all_its_faults_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "office.toml"
    plan.write_text(SMALL.read_text("utf-8").replace('country = "EE"', 'country = "EX"').replace("quorum = 0", "quorum = 5"), "utf-8")
    assert vermilion.cli.run(["init", "--plan", str(plan), "--state", str(tmp_path / "var")]) == exits.CONFIGURATION
    said = capsys.readouterr().err
    assert "office.toml:4  country" in said and "seals[2].quorum" in said and "2 faults in office.toml" in said
    assert not (tmp_path / "var").exists()


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(["init", "--plan", str(SMALL), "--dry-run", "--state", str(tmp_path / "var")]) == exits.DONE
    said = capsys.readouterr()
    for words in ("seal.contract.1", "rsa-3072", "NTREE-10000000", "Mari Kivirand", "bookkeeping", "stands for ever", "Nothing was made"):
        assert words in said.out
    assert "seals[2].quorum" in said.err
    assert not list(tmp_path.iterdir())


def test_the_example_is_written_once_and_is_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(["init", "--example"]) == exits.DONE
    assert "vermilion init --plan office.toml" in capsys.readouterr().out
    assert load(tmp_path / "office.toml").plan.name == "Example Ltd"
    assert vermilion.cli.run(["init", "--example"]) == exits.REFUSED
    assert vermilion.cli.run(["init", "--example", "--plan", "other.toml"]) == exits.DONE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["office.toml", "other.toml"]


@pytest.mark.parametrize("file", ["absent.toml", "."])
def test_a_plan_that_cannot_be_read_is_said_to_be(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(["init", "--plan", file]) == exits.USAGE
    assert "FILE_UNUSABLE" in capsys.readouterr().err


def test_an_office_that_is_there_takes_no_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "vermilion.toml").write_text("", "utf-8")
    assert vermilion.cli.run(["init", "--plan", str(DEMO)]) == exits.REFUSED
    assert "there is an office in var already" in capsys.readouterr().err


def test_the_published_schema_is_that_of_the_program_and_takes_the_examples() -> None:
    published = json.loads((REPOSITORY / "docs" / "schemas" / "office-plan.json").read_text("utf-8"))
    assert published == schema()
    for file in (DEMO, SMALL):
        jsonschema.validate(json.loads(load(file).plan.model_dump_json(exclude_unset=True)), published)
    assert set(published["properties"]) == set(Plan.model_fields)
