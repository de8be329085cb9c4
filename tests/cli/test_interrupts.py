"""One Ctrl-C ends a command, wherever it waits, and what it says then of what was done is true."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.papers import applied, papers
from tests.cli.running import RunningOffice
from tests.support import programs
from vermilion import exits

WITHIN_S = 60  # for the end of a program on a busy machine; it waits for half a minute and more where it waits for somebody


@pytest.fixture(scope="module")
def sealed(office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupts")
    documents, out = papers(folder / "papers", 2), folder / "sealed"
    applied(office, documents, out)
    assert office.run("seal", documents, "--out", out).returncode == exits.DONE
    return out


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says anything."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(WITHIN_S)
        yield server


def _address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def _started(office: RunningOffice, *arguments: str | Path) -> subprocess.Popen[str]:
    told = {**os.environ, "COLUMNS": "140", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    command = programs.vermilion(*arguments, "--state", office.layout.state, folder=Path.cwd(), environment=told)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _interrupted(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=WITHIN_S)
    assert process.returncode == exits.INTERRUPTED, said
    assert "Traceback" not in said
    return out, said


def test_extending_ends_while_a_timestamp_is_waited_for_and_says_what_was_left(
    office: RunningOffice, sealed: Path, silent: socket.socket
) -> None:
    before = {file: file.read_bytes() for file in sealed.glob("*.pdf")}
    process = _started(office, "extend", sealed, "--tsa", _address(silent), "--wait", "600", "--jobs", "1", "--json")
    connection, _ = silent.accept()
    with connection:
        out, said = _interrupted(process)
    assert "Interrupted" in said
    assert [one["outcome"] for one in json.loads(out)] == ["left"] * 2
    assert {file: file.read_bytes() for file in sealed.glob("*.pdf")} == before
    assert {one.name for one in sealed.iterdir()} == {*(file.name for file in before), *(one.name for one in sealed.glob(".*"))}


def test_verifying_ends_and_says_how_far_it_came(office: RunningOffice, sealed: Path) -> None:
    files = sorted(sealed.glob("*.pdf")) * 100
    process = _started(office, "verify", *files)
    assert process.stdout is not None
    assert "valid" in process.stdout.readline()
    _, said = _interrupted(process)
    assert f"of {len(files)} files were verified" in said


def test_checking_the_log_ends_where_the_log_does_not_answer(office: RunningOffice, silent: socket.socket) -> None:
    process = _started(office, "ledger", "check", "--log", _address(silent))
    connection, _ = silent.accept()
    with connection:
        _, said = _interrupted(process)
    assert "not checked to its end" in said


def test_waiting_for_approval_ends_and_names_the_form(office: RunningOffice, tmp_path: Path) -> None:
    process = _started(office, "seal", papers(tmp_path / "papers", 1, name="interrupted"), "--out", tmp_path / "out", "--wait", "600")
    assert process.stdout is not None
    number = next(word for line in process.stdout if "applied for" in line for word in line.split() if word.startswith("DEMO-"))
    _, said = _interrupted(process)
    assert number in said or "Interrupted" in said, "the form's number was said before"


@pytest.mark.parametrize(
    ("moment", "expected", "said"),
    [
        (
            "sys.meta_path.insert(0, type('At', (), {'find_spec': lambda _s, name, *_: hit() if name == 'vermilion.cli.program' else None})())",
            130,
            True,
        ),
        ("sys.meta_path.insert(0, type('At', (), {'find_spec': lambda _s, name, *_: hit() if name == 'typer' else None})())", 130, True),
        ("atexit.register(hit)", -signal.SIGINT, False),
    ],
    ids=["as it begins", "amid what it imports", "as it ends"],
)
def test_an_interrupt_before_the_command_or_after_it_is_no_fault(moment: str, expected: int, said: bool) -> None:
    program = (
        "import atexit, os, signal, sys\n"
        "def hit(): os.kill(os.getpid(), signal.SIGINT)\n"
        f"{moment}\n"
        "from vermilion.cli import main; sys.argv = ['vermilion', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == expected, done.stderr
    assert done.stderr == ("Interrupted; nothing was begun.\n" if said else "")
    assert done.stdout.startswith("vermilion ") is not said
