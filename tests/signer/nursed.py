"""What a nursery (``tests/crash/nursery.py``) brings up for the tests of signer and log process: the services as they are.

signer            WORKER… -- --config FILE     WORKER… is the command of its workers
signer.worker     --line FD
signer.ceremony   --config FILE …
ledger            --config FILE
ledger.witness    --config FILE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import ledger.app
import ledger.settings
import ledger.witness
import sealcore.platform.service
import signer.app
import signer.ceremony
import signer.settings
import signer.worker.process
from tests.crash.nursery import Nursery, nurseries

_THE_NURSERY: list[Nursery] = []


def _signer(arguments: Sequence[str]) -> int:
    at = arguments.index("--")
    made = partial(signer.app.build, worker_command=arguments[:at])
    return sealcore.platform.service.main("signer", signer.settings.SignerSettings, made, arguments[at + 1 :])


def _ledger(arguments: Sequence[str]) -> int:
    return sealcore.platform.service.main("ledger", ledger.settings.LedgerSettings, ledger.app.build, arguments)


def _witness(arguments: Sequence[str]) -> int:
    return sealcore.platform.service.main("ledger.witness", ledger.witness.WitnessSettings, ledger.witness.build, arguments)


SERVICES: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "signer": _signer,
    "signer.worker": signer.worker.process.main,
    "signer.ceremony": signer.ceremony.main,
    "ledger": _ledger,
    "ledger.witness": _witness,
}


def main(name: str, arguments: Sequence[str]) -> int:
    """Runs the service of this name."""
    return SERVICES[name](arguments)


@contextmanager
def shared(folder: Path) -> Iterator[Nursery]:
    """One a test process, whichever folder's fixture asks for it."""
    if _THE_NURSERY:
        yield _THE_NURSERY[0]
        return
    with nurseries(folder, __name__) as (made,):
        _THE_NURSERY.append(made)
        yield made
        _THE_NURSERY.clear()
