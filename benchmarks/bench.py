"""What every measure works with: the options, the main office, further offices, and how to make a run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rich.console import Console

from benchmarks import processes
from benchmarks.load import Order
from benchmarks.office import BenchOffice, Stage
from benchmarks.remote import Remote, event
from benchmarks.sender import Sender, Sent
from benchmarks.signing import Limit, Turns

WARM_UP_DOCUMENTS: Final = 384
WARM_UP_S: Final = 1.5
FEWEST_DOCUMENTS: Final = 192
PORTS_APART: Final = 100


@dataclass(frozen=True)
class Options:
    """How long and how often; ``quick`` makes the offices' preparations small too, for a look at whether all of it works."""

    runs: int = 3
    seconds: float = 8.0
    quick: bool = False
    ports_from: int = 12_000
    soak_documents: int = 200_000


@dataclass(frozen=True)
class Run:
    """A load that was sent, what it cost the signer meanwhile, and the HSM limit right before and after it."""

    sent: Sent
    cpu_s: dict[str, float]  # by part of the signer
    stages: dict[str, Stage]
    limit: Turns | None

    @property
    def of_limit(self) -> float:
        """Sealed documents over the HSM limit."""
        assert self.limit is not None
        return self.sent.per_s / self.limit.per_s

    @property
    def cpu_s_each(self) -> float:
        """CPU seconds of the signer a document, HSM included."""
        return sum(self.cpu_s.values()) / self.sent.documents


class Client:
    """A load client of an office, and how fast that office has been with it so far."""

    def __init__(self, bench: Bench, office: BenchOffice, remote: Remote, stop: Any) -> None:
        self._bench, self._office, self.remote, self.stop = bench, office, remote, stop
        self._rates: dict[tuple[str, str], float] = {}

    def documents_for(self, algorithm: str, what: str, seconds: float) -> int:
        """How many documents last so long; warm-up runs tell the first time: a few documents, then a second and a half's worth."""
        if (algorithm, what) not in self._rates:
            documents = WARM_UP_DOCUMENTS
            for _ in range(1 if self._bench.options.quick else 2):
                self.remote.call("prepare", self.order(algorithm, what, documents))
                self._rates[algorithm, what] = self._sent(self.remote.call("send")).per_s
                documents = max(documents, int(self._rates[algorithm, what] * WARM_UP_S))
        return max(FEWEST_DOCUMENTS, int(self._rates[algorithm, what] * seconds))

    def order(self, algorithm: str, what: str, documents: int) -> Order:
        """An order under a series of its own."""
        return Order(self._office.seal(algorithm).kind, what, documents, self._bench.series())

    def run(self, algorithm: str, what: str, *, seconds: float, limit: Limit | None = None) -> Run:
        """Prepares, waits until all is quiet, then measures: half of the yardstick, the load, the other half."""
        self.remote.call("prepare", self.order(algorithm, what, self.documents_for(algorithm, what, seconds)))
        self._office.quiet()
        turns = [limit.measure(seconds / 2)] if limit is not None else []
        # Asked in this order, before and after: reading the metrics costs the front tens of milliseconds, which belong to no document.
        stages = self._office.stages()
        cpu_s = self._office.signer_cpu()
        sent = self._sent(self.remote.call("send"))
        cpu_s = processes.difference(self._office.signer_cpu(), cpu_s)
        stages = _difference(self._office.stages(), stages)
        if limit is not None:
            self._office.quiet()
            turns.append(limit.measure(seconds / 2))
        self._rates[algorithm, what] = sent.per_s
        return Run(sent, cpu_s, stages, _mean(turns))

    def _sent(self, sent: Sent) -> Sent:
        if sent.refused:
            raise RuntimeError(f"the signer refused documents of the load: {sent.refused}; see {self._office.layout.log('signer')}")
        return sent


class Bench:
    """One benchmark from beginning to end. Context manager: what was started ends with it, and its folder goes.

    After a failure (``keep``) the folder stays, with the services' logs.
    """

    def __init__(self, folder: Path, options: Options, console: Console) -> None:
        self.options, self._console = options, console
        self._folder = folder.absolute()
        self._stack = ExitStack()
        self._main: BenchOffice | None = None
        self._offices = self._series = 0
        self.durable: dict[str, str] = {}
        self.keep = False

    def __enter__(self) -> Bench:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, value, trace)
        if not self.keep and (kind is None or kind is KeyboardInterrupt):
            shutil.rmtree(self._folder, ignore_errors=True)

    def say(self, what: str) -> None:
        """A line of progress."""
        self._console.print(f"  {what}", style="quiet")

    def series(self) -> str:
        """A new name for a load, so that no document of the run is like another."""
        self._series += 1
        return f"{int(time.time()) % 10**8:08d}{self._series:04d}"

    @property
    def office(self) -> BenchOffice:
        """The main office: SQLite, as many bulk workers as cores. Made and started when first asked for."""
        if self._main is None:
            self._main = self._stack.enter_context(self.new_office("main"))
            self.note_durability(self._main)
        return self._main

    def new_office(self, name: str, *, database_url: str | None = None, without: Collection[str] = ()) -> BenchOffice:
        """Another office, made and not started."""
        self.say(f"key ceremony of the office “{name}” …")
        self._offices += 1
        ports_from = self.options.ports_from + self._offices * PORTS_APART
        return BenchOffice(self._folder / name, ports_from=ports_from, database_url=database_url, without=without).make()

    def note_durability(self, office: BenchOffice) -> None:
        """Asserts that commits are durable, and says so."""
        self.durable[office.layout.state.name] = said = office.durability()
        self.say(f"office “{office.layout.state.name}” runs; durable: {said}")

    @contextmanager
    def client(self, office: BenchOffice) -> Iterator[Client]:
        """A load client in a process of its own."""
        stop = event()
        with Remote(Sender, office.layout.state, stop) as remote:
            yield Client(self, office, remote, stop)


def _mean(turns: list[Turns]) -> Turns | None:
    if not turns:
        return None
    return Turns(sum(one.per_s for one in turns) / len(turns), sum(one.cpu_s for one in turns) / len(turns))


def _difference(after: dict[str, Stage], before: dict[str, Stage]) -> dict[str, Stage]:
    nothing = Stage(0.0, 0.0)
    return {
        name: Stage(stage.cpu_s - before.get(name, nothing).cpu_s, stage.documents - before.get(name, nothing).documents)
        for name, stage in after.items()
    }
