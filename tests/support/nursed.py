"""What the run's nursery brings up (``programs.py``): what is imported here need not be when a program starts."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import sealcore.platform.service
import signer.app
import signer.settings
import signer.worker.process
import vermilion.cli.program
import vermilion.operation.programs
from sealcore.platform.log import configure
from tests.support.nursery import Nursery

MORE: Final = (
    *(
        "ca.app",
        "ca.issuance.findings",
        "ca.ceremony.steps",
        "ca.ocsp.app",
        "ledger.app",
        "ledger.settings",
        "ledger.witness",
        "signer.ceremony",
        "timestamp.app",
    ),
    *(
        "verify.files",
        "verify.sandbox",
        "verify.verifier",
        "vermilion.demo",
        "vermilion.use_cases.extending",
        "workflow.app",
        "workflow.directory.seed",
    ),
    *("hsm_config.keygen", "vermilion.ceremony.people_keys", "vermilion.ceremony.picture", "vermilion.ceremony.token_requests"),
    "tests.ca.office",
)
for module in MORE:
    importlib.import_module(module)


def _signer(arguments: Sequence[str]) -> int:
    """WORKER… -- ARGUMENT …, where WORKER… is the command of its workers."""
    at = arguments.index("--")
    made = partial(signer.app.build, worker_command=arguments[:at])
    return sealcore.platform.service.main("signer", signer.settings.SignerSettings, made, arguments[at + 1 :])


def _vermilion(arguments: Sequence[str]) -> int:
    """The command, in the folder and the environment that stand before its arguments; the steps of a ceremony come from here too."""
    place, *rest = arguments
    steps = Nursery(Path(sys.argv[1])).program("step of vermilion", place)
    vermilion.operation.programs.PYTHON = (sys.executable, *steps)
    _take(place)
    configure("vermilion", "CRITICAL")  # as its own ``main`` does
    return vermilion.cli.program.run(rest)


def _step(arguments: Sequence[str]) -> int:
    """A module as the main program, in the folder and the environment that stand before its name."""
    place, module, *rest = arguments
    _take(place)
    return _run(module, rest)


def _take(place: str) -> None:
    folder, environment = json.loads(place)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)


OTHERS: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "signer with workers": _signer,
    "signer.worker": signer.worker.process.main,
    "step of vermilion": _step,
    "vermilion": _vermilion,
}


def main(name: str, arguments: Sequence[str]) -> int:
    """In the forked child: runs one of ``OTHERS``, or else the module of this name as the main program."""
    return OTHERS[name](arguments) if name in OTHERS else _run(name, arguments)


def _run(name: str, arguments: Sequence[str]) -> int:
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


if Path(sys.argv[0]).name == "nursery.py":
    atexit.register(shutil.rmtree, Path(sys.argv[1]), ignore_errors=True)  # when the run is over, so is its folder
