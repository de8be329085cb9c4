"""`vermilion init` at a terminal: it asks, judges each answer at once, shows all of it, and makes nothing before it is told to."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.support import programs
from vermilion import exits
from vermilion.planning.reading import load

WHO = "Feinwerk Lindqvist GmbH||et|Peenmehaanika Lindqvist||UK|DE|HRB 12345|Fein werk|"  # two of them are refused
UNITS = "||verkauf|Verkauf|"
PEOPLE = "Ida Lindqvist|XX||aprover|approver|ida lindqvist|Otto Maß|VERKAUF|applicant|"  # an unknown unit and role, somebody twice
OFFICER = "Paula Reh||officer"  # asked for, as there is none
REGISTER = "5|"  # more than may approve
SEALS = "contrakt|contract|rsa-1024||2|1|fr|et|VERTRÄGE|FL-1|"
CLIENTS = "signer|erp|verkauf|"  # one has a name of the office's own
STRANGERS, CLOCK = "n", "n"
ANSWERS = tuple("|".join((WHO, UNITS, PEOPLE, OFFICER, REGISTER, SEALS, CLIENTS, STRANGERS, CLOCK)).split("|"))


def terminal(answers: tuple[str, ...], folder: Path, *arguments: str) -> tuple[str, int]:
    """What a terminal shows when these lines are typed, and the exit code."""
    told = {**os.environ, "COLUMNS": "200", "PYTHONSAFEPATH": "1", "NO_COLOR": "1"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        programs.vermilion(*arguments, folder=folder, environment=told), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    shown = b""
    while True:
        try:
            shown += (read := os.read(ours, 65536))
        except OSError:  # the other end is closed
            break
        if not read:
            break
    os.close(ours)
    return " ".join(shown.decode("utf-8", errors="replace").split()), process.wait(timeout=60)


@pytest.fixture(scope="module")
def declined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    folder = tmp_path_factory.mktemp("asked")
    said, code = terminal((*ANSWERS, "n"), folder, "init", "--state", str(folder / "var"))
    return folder, said, code


def test_the_answers_make_a_plan_that_is_kept_where_the_office_is_not_to_be_made(declined: tuple[Path, str, int]) -> None:
    folder, said, code = declined
    assert code == 0, said
    plan = load(folder / "office.toml").plan
    assert (plan.name, plan.names, plan.country, plan.short_name) == (
        "Feinwerk Lindqvist GmbH", {"et": "Peenmehaanika Lindqvist"}, "DE", "feinwerk",
    )  # fmt: skip
    assert [unit.code for unit in plan.units] == ["OFFICE", "VERKAUF"]
    assert [(one.name, one.roles) for one in plan.people] == [
        ("Ida Lindqvist", ["approver"]), ("Otto Maß", ["applicant"]), ("Paula Reh", ["officer"]),
    ]  # fmt: skip
    assert [(one.kind, one.algorithm, one.quorum, one.language, one.caption) for one in plan.seals] == [
        ("contract", "p-256", 1, "et", "VERTRÄGE")
    ]
    assert (plan.register_quorum, plan.clock, [one.name for one in plan.clients]) == (1, "trust-machine", ["erp"])
    assert not (folder / "var").exists()


def test_each_wrong_answer_is_refused_at_once_with_a_way_out(declined: tuple[Path, str, int]) -> None:
    _, said, _ = declined
    for words in (
        "no country “UK”", "“Fein werk”", "no unit XX", "Is approver meant?", "is called ida lindqvist already", "Nobody could stop a seal",
        "asks for 5 approvers, and there are 1", "Is contract meant?", "no algorithm “rsa-1024”", "no name in “fr”", "office's own",
    ):  # fmt: skip
        assert words in said, words


def test_all_of_it_is_shown_before_the_question_whether_it_is_to_be_made(declined: tuple[Path, str, int]) -> None:
    _, said, _ = declined
    shown, _, after = said.partition("Make this office?")
    assert "organizationIdentifier=NTRDE-HRB 12345" in shown and "seal.contract.1" in shown
    assert "Nothing was made" in after and "--plan" in after


def test_whoever_stops_in_the_middle_has_made_nothing(tmp_path: Path) -> None:
    said, code = terminal((*ANSWERS[:6], "\x04"), tmp_path, "init", "--state", str(tmp_path / "var"))
    assert code == exits.INTERRUPTED, said
    assert not list(tmp_path.iterdir())
