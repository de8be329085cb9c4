"""Starts the judges in Java: builds them once with Maven, then one process answers many questions, line by line."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
TARGET = HERE / "target"
BUILD_S = 600


def classpath() -> str:
    """Of the judges, built when ``pom.xml`` or a source is another than at the last build; raises when Maven fails or is not there."""
    sources = [HERE / "pom.xml", *sorted((HERE / "src").rglob("*.java"))]
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    TARGET.mkdir(exist_ok=True)
    stamp = TARGET / "built"
    with (TARGET / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != wanted:
            done = subprocess.run(
                ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "package"], capture_output=True, text=True, check=False, timeout=BUILD_S
            )
            assert done.returncode == 0, f"the judges in Java cannot be built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            stamp.write_text(wanted)
    return f"{TARGET / 'classes'}:{TARGET / 'jars'}/*"


class Judge:
    """One program of ``src/`` that answers each line with one."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __enter__(self) -> Self:
        command = ["java", "-Xmx512m", "-cp", classpath(), self._program]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, question: str) -> str:
        """Its answer, without the line's end; fails when the program has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"{self._program} ended over {question!r}"
        return answer.rstrip("\n")
