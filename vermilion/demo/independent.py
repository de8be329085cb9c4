"""A judge that is not ours: poppler's pdfsig, with our root in an NSS database of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from vermilion.terminal import say

TIMEOUT_S = 60.0


def judge(root_certificate: Path, file: Path, database: Path) -> None:
    """Shows what pdfsig says of ``file``, and the line that says it again; says so when the programs are not there."""
    if not (shutil.which("pdfsig") and shutil.which("certutil")):
        say("demo.independent.absent", "undetermined")
        return
    shutil.rmtree(database, ignore_errors=True)
    database.mkdir(parents=True)
    _run("certutil", "-N", "-d", f"sql:{database}", "--empty-password")
    _run("certutil", "-A", "-d", f"sql:{database}", "-n", "vermilion-root", "-t", "CT,C,C", "-i", str(root_certificate))
    said = _run("pdfsig", "-nssdir", f"sql:{database}", str(file))
    wanted = ("Signature Validation", "Certificate Validation")
    for line in (line.strip(" -") for line in said.splitlines()):
        if line.startswith(wanted):
            say("demo.independent.line", line=line)
    say("demo.independent.again", "quiet", database=_near(database), file=_near(file))


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout


def _near(path: Path) -> str:
    """Relative to where we are, when it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
