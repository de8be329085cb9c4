"""What a nursery of the harness brings up: the signer's front, its workers, the log process. As they are, with failpoints inside.

front    FAILPOINTS WORKER… -- --config FILE     WORKER… is the command of its workers
worker   FAILPOINTS VARIATION --channel FD          VARIATION is JSON, see ``Variation``
ledger   FAILPOINTS --config FILE
ceremony --config FILE --seed FILE …
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.crash.failpoints import Failpoints

_RESTART_PAUSE_S: Final = 0.02  # a worker of this office always dies young


@dataclass(frozen=True)
class Variation:
    """In what a worker differs from one in service.

    mutant        what is broken in it on purpose (``mutants``)
    more_pages    an SQLite database that cannot grow by more than so many pages, as on a full disk
    environment   further variables, for a preloaded shim
    """

    mutant: str = ""
    more_pages: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> str:
        """As it is handed over."""
        return json.dumps(asdict(self))


def front(arguments: Sequence[str]) -> int:
    """The signer's front."""
    import signer.front.dispatcher
    from sealcore.platform.service import main
    from signer.app import build
    from signer.settings import SignerSettings

    place, *command = arguments[: arguments.index("--")]
    points = Failpoints(Path(place))
    points.lead()
    signer.front.dispatcher.RESTART_PAUSE_S = _RESTART_PAUSE_S

    def made(settings: SignerSettings, *, clock: Any) -> Any:
        return build(settings, clock=points, worker_command=command, reached=points.of("front"))

    return main("signer", SignerSettings, made, arguments[arguments.index("--") + 1 :])


def worker(arguments: Sequence[str]) -> int:
    """A worker of the signer."""
    from signer.worker.process import main
    from tests.crash import mutants
    from tests.crash.sandboxed import use_failpoints

    place, told, *rest = arguments
    points, variation = Failpoints(Path(place)), Variation(**json.loads(told))
    points.follow()
    points.be_born()
    use_failpoints(points.path)
    os.environ.update(variation.environment)
    if variation.mutant:
        (mutants.BROKEN | mutants.DEADLY | mutants.TAKEN_OVER)[variation.mutant]()
    if variation.more_pages is not None:
        _cramp(variation.more_pages)
    return main(rest, reached=points.of("worker"), clock=points)


def _cramp(pages: int) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def limit(connection: Any, _record: Any) -> None:
        """``max_page_count`` makes SQLite answer SQLITE_FULL, as a full disk does; of this connection."""
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={count + pages}")


def ledger(arguments: Sequence[str]) -> int:
    """The log process."""
    from ledger.app import build
    from ledger.settings import LedgerSettings
    from sealcore.platform.service import main

    place, *rest = arguments
    points = Failpoints(Path(place))
    points.keep_log()
    return main("ledger", LedgerSettings, partial(build, reached=points.of("ledger")), rest)


def ceremony(arguments: Sequence[str]) -> int:
    """The signer's part of the key ceremony."""
    from signer.ceremony import main

    return main(arguments)


SERVICES: Final[dict[str, Callable[[Sequence[str]], int]]] = {"front": front, "worker": worker, "ledger": ledger, "ceremony": ceremony}


def main(name: str, arguments: Sequence[str]) -> int:
    """Runs the service of this name."""
    return SERVICES[name](arguments)
