"""PDFBox and iText with Bouncy Castle over SunPKCS11: our own small program around each (java/), compiled on the spot."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
JARS = Path("/usr/share/java")  # Debian's
LIBRARIES = ("itext5", "pdfbox2", "fontbox2", "commons-logging", "bcprov", "bcpkix", "bcutil")
PROGRAMS = ("itext", "pdfbox")
HEAP = "1g"  # of each; by default each would take a quarter of the memory, and there are four of them and more
ENDS_S = 10.0  # a program whose output has ended ends soon, too
_RATE = re.compile(r"[1-9][0-9]* [0-9.E]+")  # documents and seconds
_TOLD_BYTES = 2000  # of what it said at last


def compiled() -> str:
    """The class path, with our sources compiled; FileNotFoundError when Java or a library is missing."""
    libraries = [JARS / f"{name}.jar" for name in LIBRARIES]
    missing = [str(file) for file in libraries if not file.exists()]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)} not found: run `make bench-peers`, whose setup installs it")
    BUILD.mkdir(exist_ok=True)
    class_path = ":".join(map(str, libraries))
    subprocess.run(["javac", "-nowarn", "-cp", class_path, "-d", BUILD, *sorted((HERE / "java").glob("*.java"))], check=True)
    return f"{BUILD}:{class_path}"


@dataclass(frozen=True)
class Work:
    """What a Java process is given."""

    class_path: str
    token: Path  # of token_copy
    pin_file: Path
    labels: tuple[str, str]  # seal key, TSA key
    chain: Path
    documents: Path


@dataclass(frozen=True)
class _Running:
    """A process, and the file with what it says about itself."""

    process: subprocess.Popen[str]
    errors: IO[bytes]


class JavaPeers:
    """So many processes of one program, warm: the virtual machine compiles while it runs, so a first run is thrown away."""

    main = "Peer"

    def __init__(self, program: str, work: Work, processes: int) -> None:
        self._program, self._work, self._count = program, work, processes

    def __enter__(self) -> JavaPeers:
        with ExitStack() as stack:
            self._running = [self._start(stack) for _ in range(self._count)]
            for one in self._running:
                _answer(one, "ready")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._stack.close()

    def sample(self, file: Path) -> None:
        """Writes one signed document."""
        _ask(self._running[0], f"sample {file}")
        _answer(self._running[0], "written")

    def documents_per_s(self, seconds: float) -> float:
        """All processes at once."""
        for one in self._running:
            _ask(one, f"run {seconds}")
        answers = [_answer(one).split() for one in self._running]
        return sum(int(done) / float(elapsed_s) for done, elapsed_s in answers)

    def _start(self, stack: ExitStack) -> _Running:
        work, errors = self._work, stack.enter_context(TemporaryFile())  # noqa: SIM115  (the stack closes it)
        arguments = [self._program, work.token / "sunpkcs11.cfg", work.pin_file, *work.labels, work.chain, work.documents]
        process = subprocess.Popen(
            ["java", f"-Xmx{HEAP}", "-cp", work.class_path, self.main, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "SOFTHSM2_CONF": str(work.token / "softhsm2.conf")},
            start_new_session=True,
        )
        stack.callback(_end, process)
        return _Running(process, errors)


def write_documents(contents: Sequence[bytes], folder: Path) -> None:
    """The documents that the programs go through."""
    for number, content in enumerate(contents):
        (folder / f"{number:04d}.pdf").write_bytes(content)


def _ask(one: _Running, order: str) -> None:
    assert one.process.stdin is not None
    try:
        one.process.stdin.write(order + "\n")
        one.process.stdin.flush()
    except BrokenPipeError:
        raise _ended(one, f"it was told {order!r}") from None


def _answer(one: _Running, expected: str | None = None) -> str:
    assert one.process.stdout is not None
    line = one.process.stdout.readline()
    if not line:
        raise _ended(one, f"{expected or 'a rate'} was expected, and its output ended")
    answer = line.strip()
    if answer != expected if expected is not None else not _RATE.fullmatch(answer):
        raise _ended(one, f"it said {answer!r} where {expected or 'a rate'} was expected")
    return answer


def _ended(one: _Running, when: str) -> RuntimeError:
    """With its exit status and the end of what it printed to standard error: the fault of the program itself."""
    try:
        status = f"ended with status {one.process.wait(ENDS_S)}"
    except subprocess.TimeoutExpired:
        status = "goes on running"
    size_bytes = one.errors.seek(0, os.SEEK_END)
    one.errors.seek(max(0, size_bytes - _TOLD_BYTES))
    told = one.errors.read().decode("utf-8", "replace").strip() or "nothing on standard error"
    return RuntimeError(f"a Java program {status} when {when}; it said:\n{told}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()
