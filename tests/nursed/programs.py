"""``python -m MODULE`` in a tenth of a second: forked from a nursery (``tests/crash/nursery.py``) that has imported what it imports.

A process of its own all the same, with its own arguments, standard streams, signals and exit status; its environment and folder are
the nursery's, so those of this test process at the first such start. The process that a test holds is a stub: to look into the
program's own entry in ``/proc``, start Python itself.
"""

from __future__ import annotations

import atexit
import runpy
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.crash.nursery import Nursery


def program(module: str, *arguments: str | Path, of: str = "") -> list[str]:
    """The command that stands for ``python -m MODULE ARGUMENT …``; ``of`` names the nursery, by default after the module's package."""
    return [sys.executable, *_nursery(of or module.partition(".")[0]).program(module, *map(str, arguments))]


@cache
def _nursery(family: str) -> Nursery:
    folder = Path(tempfile.mkdtemp(prefix=f"vmn-{family}-", dir="/tmp"))  # short, as a socket's path must be
    made = Nursery(folder, f"tests.nursed.{family}")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(made.close)
    made.ready()
    return made


def main(name: str, arguments: Sequence[str]) -> int:
    """In the forked child: runs the module as the main program."""
    sys.argv[:] = [name, *arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # runpy's, of a module that is imported already
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            if isinstance(end.code, str):
                sys.stderr.write(f"{end.code}\n")
                return 1
            return end.code or 0
    return 0


if Path(sys.argv[0]).name == "nursery.py":  # in the nursery: when its test process is gone without a word, so is the folder
    atexit.register(shutil.rmtree, Path(sys.argv[1]).parent, ignore_errors=True)
