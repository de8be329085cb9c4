"""Standard streams that are closed, full, or read by nobody: a command does its work, and its exit code says what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vermilion import exits

COMMAND = (sys.executable, "-c", "from vermilion.cli import main; main()")
NO_OFFICE = ("verify", "none.pdf", "--state", "none")


def _run(folder: Path, redirected: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    shell = ("sh", "-c", f'exec "$@" {redirected}', "sh", *COMMAND, *arguments)
    return subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONSAFEPATH": "1"})


@pytest.mark.parametrize("redirected", [">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_refusal_has_its_exit_code_wherever_it_is_said(tmp_path: Path, redirected: str) -> None:
    done = _run(tmp_path, redirected, *NO_OFFICE)
    assert done.returncode == exits.CONFIGURATION, done.stderr
    assert "Traceback" not in done.stderr
    assert ("CONFIGURATION_INVALID" in done.stderr) == ("2>" not in redirected)


def test_what_cannot_be_said_for_want_of_disk_is_no_success(tmp_path: Path) -> None:
    done = _run(tmp_path, ">/dev/full", "doctor", "--state", "none")
    assert (done.returncode, "STORAGE_FULL" in done.stderr) == (exits.UNAVAILABLE, True)


def test_a_reader_that_is_gone_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        command = [*COMMAND, "doctor", "--state", str(tmp_path / "none")]
        done = subprocess.run(command, cwd=tmp_path, stdout=nobody, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (exits.PIPE_CLOSED, "")


def test_a_service_starts_though_its_streams_are_closed(tmp_path: Path) -> None:
    command = ("sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "signer", "--config", "none.toml")
    done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert "CONFIGURATION_INVALID" in done.stderr and "Traceback" not in done.stderr
