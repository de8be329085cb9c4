"""``make check``: what can be known of a change in about a minute. Lint, types and layers of the whole, and the tests nearest to it.

Types and layers are looked at beside the tests, on another core. Tests that the time does not reach are named at the end, with
the command that runs them: the whole suite is ``make test``.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from tools.nearest import Uses, nearest

ROOT: Final = Path(__file__).resolve().parents[1]
BIN: Final = Path(sys.executable).parent
TESTS_S: Final = 35.0  # from the end of collection; begin no test after that, but for those of the nearest file. What has begun is finished
ALWAYS: Final = "tests/repository"  # these are about every file
LISTED: Final = 8  # name no more files than that; beyond, their folders


class Budget:
    """A pytest plugin that runs ``files`` in their order, begins no test once the time is over, and remembers what was left.

    The time begins when everything has been imported, which takes long on a busy machine or the first time. The first file that has
    tests is run in any case: a check that begins none has said nothing of the change.
    """

    def __init__(self, seconds: float, files: Sequence[str] = ()) -> None:
        self._seconds, self._end = seconds, math.inf
        self._position = {path: position for position, path in enumerate(files)}
        self._nearest: str | None = None
        self.left: dict[str, int] = {}
        self.begun = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """In the order of ``files``; the suite's own order is for all of it."""
        items.sort(key=lambda item: self._position.get(_path(item), 0))
        self._nearest = _path(items[0]) if items else None
        self._end = time.monotonic() + self._seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """True says to pytest that this test is dealt with."""
        path = _path(item)
        if path == self._nearest or time.monotonic() < self._end:
            self.begun += 1
            return None
        self.left[path] = self.left.get(path, 0) + 1
        return True


def changed_since(reference: str, root: Path = ROOT) -> list[str]:
    """Files that differ from where this branch left ``reference``, committed or not, new ones too; deleted ones not."""
    base = _git(root, "merge-base", "HEAD", reference)[0]
    return sorted({*_git(root, "diff", "--name-only", "--diff-filter=d", base), *_git(root, "ls-files", "--others", "--exclude-standard")})


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="make check", description=__doc__)
    parser.add_argument("--since", default="main")
    parser.add_argument("--seconds", type=float, default=TESTS_S)
    parser.add_argument("--packages", nargs="*", default=[], help="whose types are looked at")
    parser.add_argument("--long-tests", nargs="*", default=[], help="files and folders of tests that are never begun")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        changed = changed_since(chosen.since)
    except subprocess.CalledProcessError as fault:
        print(
            f"git does not say what has changed since {chosen.since}: {fault.stderr.strip()}\nSINCE=… names another commit to compare with"
        )
        return 1
    print(f"{len(changed)} file(s) changed since {chosen.since}")
    packages = [word for package in chosen.packages for word in ("-p", package)]
    fine = all(
        _show(name, process)
        for name, process in [("lint", _start("ruff", "check", ".")), ("format", _start("ruff", "format", "--check", "."))]
    )
    beside = [("types", _start("mypy", *packages)), ("layers", _start("lint-imports")), (ALWAYS, _start("python", "-m", "pytest", ALWAYS))]
    passed, begun = _run_tests(changed, tuple(chosen.long_tests), chosen.seconds)
    fine &= passed
    for name, process in beside:
        fine &= _show(name, process)
    print(f"check: {'fine' if fine else 'NOT FINE, see above'}, {time.monotonic() - began:.0f} s")
    if not begun:
        print(f"no test was begun but those of {ALWAYS}: of the change itself this says nothing")
    return 0 if fine else 1


def _run_tests(changed: Sequence[str], long_tests: tuple[str, ...], seconds: float) -> tuple[bool, int]:
    """Whether what was run passed, and how many tests were begun."""
    uses = Uses.read(ROOT, [path for path in {*_git(ROOT, "ls-files"), *changed} if (ROOT / path).is_file()])
    tests = [test for test in nearest(changed, uses) if not test.startswith(ALWAYS)]
    budget = Budget(seconds, tests)
    quick = [test for test in tests if not test.startswith(long_tests)]
    # pytest without a file would run them all
    status = pytest.main(["-x", *quick], plugins=[budget]) if quick else pytest.ExitCode.OK
    left = [*budget.left, *(test for test in tests if test.startswith(long_tests))]
    if left:
        named = left if len(left) <= LISTED else sorted({str(PurePosixPath(test).parent) for test in left})
        print(f"not run for lack of time: {len(left)} of {len(tests)} files of tests. They run by\n  make test T='{' '.join(named)}'")
    return status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), budget.begun


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath).as_posix()


def _show(name: str, process: subprocess.Popen[str]) -> bool:
    """Waits for ``process`` and shows what it has found; whether that was nothing."""
    text = process.communicate()[0]
    if process.returncode:
        print(f"{name}:\n{text}")
    return not process.returncode


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([BIN / program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _git(root: Path, *arguments: str) -> list[str]:
    return subprocess.run(
        ["git", "-c", "core.quotePath=off", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
