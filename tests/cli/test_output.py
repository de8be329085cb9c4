"""How the program speaks on a terminal and into a pipe."""

from __future__ import annotations

import pytest

from tests.cli.running import RunningOffice
from vermilion import terminal

ESCAPE = "\x1b["


def test_no_color_is_honoured(office: RunningOffice) -> None:
    coloured = office.run("doctor", FORCE_COLOR="1")
    plain = office.run("doctor", FORCE_COLOR="1", NO_COLOR="1")
    assert ESCAPE in coloured.stdout
    assert "38;2" not in plain.stdout
    assert "✓" in plain.stdout


def test_a_pipe_gets_no_escapes(office: RunningOffice) -> None:
    assert ESCAPE not in office.run("seals", "list").stdout


def test_narrow_terminals_get_blocks_instead_of_columns(office: RunningOffice) -> None:
    wide, narrow = office.run("seals", "list", COLUMNS="160").stdout, office.run("seals", "list", COLUMNS="48").stdout
    assert max(map(len, narrow.splitlines())) <= 48
    assert "contract" in wide
    assert "contract" in narrow
    assert len(narrow.splitlines()) > len(wide.splitlines())


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (89, "89 s"), (120, "2 min"), (7200, "2.0 h")])
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert terminal.duration(seconds) == words


def test_progress_into_a_pipe_is_lines_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress("sealing", 10) as steps:
        steps._spoke -= terminal.PLAIN_PROGRESS_S
        steps._began -= 2
        steps.advance(5)
    said = capsys.readouterr().out
    assert "5 of 10" in said
    assert "/s" in said
    assert "left" in said
