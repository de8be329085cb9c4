"""The controller: kills processes of a working office by a seeded plan, brings them back, and has everything finished in the end.

    a kill     = a process, a step inside it, and which time it comes there; or a moment from outside; or a call into the HSM
    a season   = one office over one database, some hundred kills, then the batches are finished and the observers count

While the plan goes on, unfinished batches stay unfinished: the same use may lose its worker several times over.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from protos.vermilion.v1 import ledger_pb2
from sealcore.errors import Code
from sealcore.ids import service_uri
from tests.crash.client import Client, Journal, Work
from tests.crash.failpoints import Act
from tests.crash.observers import Batch, Counted, Observers, released_files
from tests.crash.scene import WORKERS, Scene, lives
from tests.signer.office import SEALS, UNIT, Office, document, grant_request, item_message, spki
from tests.signer.pdf.documents import simple
from tests.signer.station import TIMEOUT_S

WORKER_STEPS: Final = (
    "gated", "intend: rows written", "intended", "prepared", "signed", "timestamped", "read back",
    "commit begins", "commit: entries appended", "commit: uses ended", "committed", "answered",
)  # fmt: skip
FRONT_STEPS: Final = ("received", "dispatched", "relayed")
SANDBOX_STEPS: Final = ("received", "prepared")
LOG_STEPS: Final = ("tiles written", "signed", "state saved", "signed checkpoint written", "published")
HSM_STEPS: Final = ("seal key, before", "seal key, after", "timestamp key, before", "timestamp key, after")
FREEZE_STEPS: Final = ("intended", "signed", "timestamped", "read back", "commit begins")  # where no lock of the database is held
OUTSIDE: Final = ("worker", "front", "whole signer", "log process", "zygote")

DOCUMENTS: Final = 8  # of a batch
A_MESSAGE: Final = 3
BATCHES_AT_ONCE: Final = 2
PASSES: Final = 12  # streams until a failpoint must have been reached
FIRE_S: Final = 20.0
PATIENCE_S: Final = 30.0  # for batches that do not get on
MOMENT_S: Final = 0.12  # a kill from outside comes within this time


@dataclass(frozen=True)
class Kill:
    """One kill of the plan. ``process`` and ``step`` are what the table of kills counts."""

    process: str
    step: str
    times: int = 1


@dataclass
class Tally:
    """What was killed, by process and step, and how often what was asked for did not come about."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)
    documents: int = 0
    starts: int = 0

    @property
    def total(self) -> int:
        """All kills."""
        return self.kills.total()

    def add(self, other: Tally) -> None:
        """The kills of another season."""
        self.kills.update(other.kills)
        self.missed.update(other.missed)
        self.documents += other.documents
        self.starts += other.starts


def plan(dice: random.Random, count: int) -> list[Kill]:
    """So many kills: every process at every step first, as far as they reach, then drawn at random. Cheap ones are more frequent."""
    every = [
        *(Kill("worker", step) for step in WORKER_STEPS),
        *(Kill("worker in the HSM", step) for step in HSM_STEPS),
        *(Kill("whole signer", step) for step in (*WORKER_STEPS, *FRONT_STEPS)),
        *(Kill("front", step) for step in FRONT_STEPS),
        *(Kill("sandbox", step) for step in SANDBOX_STEPS),
        *(Kill("log process", step) for step in LOG_STEPS),
        *(Kill("from outside", process) for process in OUTSIDE),
        Kill("front, a worker frozen", dice.choice(FREEZE_STEPS)),
    ]
    weighted: list[tuple[Callable[[], Kill], int]] = [
        (lambda: Kill("worker", dice.choice(WORKER_STEPS), dice.randint(1, 4)), 55),
        (lambda: Kill("worker in the HSM", dice.choice(HSM_STEPS), dice.randint(1, DOCUMENTS)), 12),
        (lambda: Kill("log process", dice.choice(LOG_STEPS), dice.randint(1, 2)), 12),
        (lambda: Kill("from outside", dice.choice(OUTSIDE)), 10),
        (lambda: Kill("whole signer", dice.choice((*WORKER_STEPS, *FRONT_STEPS)), dice.randint(1, 3)), 4),
        (lambda: Kill("front", dice.choice(FRONT_STEPS), dice.randint(1, 4)), 4),
        (lambda: Kill("sandbox", dice.choice(SANDBOX_STEPS)), 2),
        (lambda: Kill("front, a worker frozen", dice.choice(FREEZE_STEPS)), 1),
    ]
    draws = [dice.choices([one for one, _ in weighted], [weight for _, weight in weighted])[0] for _ in range(max(0, count - len(every)))]
    kills = [*every, *(draw() for draw in draws)]
    dice.shuffle(kills)
    return kills[:count]


class Season:
    """One office from its ceremony to the counting. ``say`` is told after each kill."""

    def __init__(
        self, scene: Scene, dice: random.Random, *, say: Callable[[Tally], None] = lambda _tally: None, patience_s: float = PATIENCE_S
    ) -> None:
        self._scene, self._dice, self._say, self._patience_s = scene, dice, say, patience_s
        self._office: Office = scene.office
        self._journal = Journal(scene.folder)
        self._client = Client(scene.station, self._journal)
        self._works: list[Work] = []
        self._finished: list[Work] = []
        self._passer_by = _PasserBy(scene)
        self.tally = Tally()

    # --- the plan

    def open(self) -> None:
        """The office begins to work."""
        self._scene.open()
        self._scene.station.signer()  # connects
        self._passer_by.start()

    def close(self) -> None:
        """Ends the office, if it runs."""
        self._passer_by.stop()
        self._scene.close()
        self._client.close()
        self._journal.close()

    def run(self, kills: Sequence[Kill]) -> None:
        """Carries the plan out, then finishes every batch."""
        for kill in kills:
            self.carry_out(kill)
            self._say(self.tally)
        self.finish()

    def carry_out(self, kill: Kill) -> None:
        """One kill, and what it takes to go on afterwards."""
        ways: dict[str, Callable[[Kill], bool]] = {
            "worker": lambda one: self._at_step("worker", one, Act.KILL),
            "whole signer": lambda one: self._at_step("worker" if one.step in WORKER_STEPS else "front", one, Act.KILL_ALL),
            "front": lambda one: self._at_step("front", one, Act.KILL),
            "sandbox": self._in_the_sandbox,
            "worker in the HSM": self._in_the_hsm,
            "log process": self._log_process,
            "from outside": self._from_outside,
            "front, a worker frozen": self._front_over_a_frozen_worker,
        }
        done = ways[kill.process](kill)
        (self.tally.kills if done else self.tally.missed)[kill.process, kill.step] += 1
        self._bring_back()

    def finish(self) -> None:
        """Until every document of every batch has its end, or nothing moves any more."""
        self._scene.points.disarm("signer")
        self._scene.points.disarm("ledger")
        self._scene.wrapped.clear()
        left, moved_s = -1, time.monotonic()
        while left and time.monotonic() - moved_s < self._patience_s:
            self._bring_back()
            self._client.begin([work for work in self._works if work.left][:BATCHES_AT_ONCE], a_message=A_MESSAGE)()
            before, left = left, sum(len(work.left) for work in self._works)
            moved_s = time.monotonic() if left != before else moved_s
        self._retire()

    def work_until(self, condition: Callable[[], bool]) -> None:
        """Seals, whatever becomes of it, until the condition holds."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            self._client.begin(self._busy(), a_message=A_MESSAGE)()
            self._retire()

    # --- what a safeguard is there for, each provoked once

    def late_riser(self) -> None:
        """A worker sleeps in front of its commit; after the lease others seal the batch; then it wakes and commits."""
        self.finish()
        self._waits(lambda: self._scene.metric("workers", lane="bulk") == WORKERS)  # one to sleep, one to take over
        work = self._new_work()
        self._works.append(work)
        self._scene.points.arm("signer", "worker", "commit begins", act=Act.FREEZE)
        first = self._client.begin([work], a_message=DOCUMENTS)
        frozen = self._scene.frozen()
        self._waits(lambda: self._sent(work))
        self._scene.wake(frozen)
        first()
        self._retire()

    def _sent(self, work: Work) -> bool:
        """Sends what is left, in one parcel so that it goes to the worker that is awake; whether nothing is left now."""
        self._client.send(work, work.left, a_message=DOCUMENTS)
        return not work.left

    def other_bytes(self) -> None:
        """Under a grant's index that is sealed, the client asks for another document."""
        self.finish()
        work = self._new_work(grant=True)
        self._works.append(work)
        self._client.begin([work])()
        others = self._new_work(like=work)
        self._client.send(others, others.items)
        self._retire()

    def stop_under_way(self) -> None:
        """A batch has its signatures; its grant is stopped; then the batch comes to its commit."""
        self.finish()
        work = self._new_work(grant=True)
        self._works.append(work)
        self._client.send(work, work.items[:2])
        self._scene.points.arm("signer", "worker", "commit begins", act=Act.FREEZE)
        rest = self._client.begin([work], a_message=DOCUMENTS)
        frozen = self._scene.frozen()
        work.stopped_at = self._scene.station.register().Stop(self._office.stop("grant", work.jti)).ledger_index
        self._scene.wake(frozen)
        rest()
        self._retire()

    def undisturbed(self, batches: int) -> tuple[int, int]:
        """Seals so many batches while nothing dies: attempts, as the client was told, and calls of the HSM with seal keys."""
        self.finish()
        before = self._seal_key_calls()
        works = [self._new_work() for _ in range(batches)]
        for work in works:
            self._client.begin([work])()
        self._finished += works
        return sum(attempts for work in works for attempts in work.attempts.values()), self._seal_key_calls() - before

    def _seal_key_calls(self) -> int:
        signatures = self._scene.wrapped.signatures()
        return sum(signatures[label].begun for label in SEALS.values() if label in signatures)

    def count(self) -> Counted:
        """Ends the office and has the observers count."""
        self._journal.write("over")
        deadline = time.monotonic() + FIRE_S
        head = self._head()
        while self._passer_by.newest < head and time.monotonic() < deadline:
            time.sleep(0.02)
        self.close()
        self.tally.documents = sum(len(work.sealed) for work in self._finished)
        self.tally.starts = self._scene.starts
        keys = {label: hashlib.sha256(spki(self._office.public_keys[label])).digest() for label in (*SEALS.values(), UNIT)}
        log = self._scene.log
        observers = Observers(self._journal.file, self._journal.bytes, log.public, self._scene.house.log_key, keys)
        batches = [_expected(work) for work in (*self._finished, *self._works)]
        return observers.count(batches, self._passer_by.seen, self._scene.wrapped.signatures())

    def sealed_files(self, count: int) -> Iterator[bytes]:
        """Some of the sealed documents, as the client has them on disk."""
        documents = {(work.jti, item.index): item.document for work in self._finished for item in work.items}
        yield from released_files(self._journal.file, self._journal.bytes, documents, self._dice, count)

    # --- ways to kill

    def _at_step(self, role: str, kill: Kill, act: Act) -> bool:
        self._scene.points.arm("signer", role, kill.step, times=kill.times, act=act)
        pid = self._until(lambda: self._scene.points.fired("signer"))
        self._scene.points.disarm("signer")
        return pid is not None and self._scene.was_killed(pid)

    def _in_the_sandbox(self, kill: Kill) -> bool:
        """A child that reads one document. Nothing else ends: the document is refused, and sent again."""
        self._works.insert(0, self._new_work(beside=True))
        self._scene.points.arm("signer", "sandbox", kill.step)
        pid = self._until(lambda: self._scene.points.fired("signer"))
        self._scene.points.disarm("signer")
        return pid is not None and not lives(pid)

    def _in_the_hsm(self, kill: Kill) -> bool:
        key, _, moment = kill.step.partition(", ")
        work = self._works[0] if self._works else self._new_work()
        if work not in self._works:
            self._works.insert(0, work)
        label = SEALS[work.seal] if key == "seal key" else UNIT
        before = len(self._scene.house.ended())
        rule = self._scene.wrapped.kill("C_Sign", key=label, after=kill.times - 1, forwarded=moment == "after")
        happened = self._until(lambda: rule.acted or None)
        self._scene.wrapped.clear()
        return happened is not None and self._waits(lambda: any(one.signal == 9 for one in self._scene.house.ended()[before:]))

    def _log_process(self, kill: Kill) -> bool:
        log = self._scene.log
        assert log.process is not None
        self._scene.points.arm("ledger", "ledger", kill.step, times=kill.times)
        pid = self._until(lambda: self._scene.points.fired("ledger"))
        self._scene.points.disarm("ledger")
        return pid is not None and log.died() == -9

    def _from_outside(self, kill: Kill) -> bool:
        """At any moment, whatever is being done."""
        scene = self._scene
        if kill.step == "zygote" and not scene.zygotes():
            self._works.insert(0, self._new_work(beside=True))
        wait = self._client.begin(self._busy(), a_message=A_MESSAGE)
        time.sleep(self._dice.uniform(0, MOMENT_S))
        match kill.step:
            case "worker":
                workers = scene.workers()
                done = bool(workers) and scene.kill(self._dice.choice(workers))
            case "zygote":
                done = self._waits(lambda: bool(scene.zygotes())) and scene.kill(scene.zygotes()[0])
            case "front":
                done = scene.kill(scene.points.front)
            case "whole signer":
                scene.kill_all()
                done = scene.was_killed(scene.points.front)
            case _:
                done = scene.kill(scene.points.log) and scene.log.died() == -9
        wait()
        self._retire()
        return done

    def _front_over_a_frozen_worker(self, kill: Kill) -> bool:
        """A worker sleeps through the end of its front and wakes when its uses have long been sealed by others."""
        scene = self._scene
        scene.points.arm("signer", "worker", kill.step, act=Act.FREEZE)
        wait = self._client.begin(self._busy(), a_message=A_MESSAGE)
        if not self._waits(lambda: scene.points.fired("signer") is not None):
            scene.points.disarm("signer")
            wait()
            return False
        frozen = scene.frozen()
        done = scene.kill(scene.points.front)
        wait()
        self._bring_back()
        for _ in range(PASSES):
            self._client.begin([work for work in self._works if work.left][:BATCHES_AT_ONCE])()
        self._scene.wake(frozen)
        self._waits(lambda: not lives(frozen))
        return done

    # --- in between

    def _until(self, fired: Callable[[], int | None]) -> int | None:
        """Sends batches until it has happened."""
        for _ in range(PASSES):
            wait = self._client.begin(self._busy(), a_message=A_MESSAGE)
            wait()
            self._retire()
            if (pid := fired()) is not None or not self._scene.signer_lives:
                return pid
        self._waits(lambda: fired() is not None, FIRE_S / 10)
        return fired()

    def _busy(self) -> list[Work]:
        while len(self._works) < BATCHES_AT_ONCE:
            self._works.append(self._new_work())
        if self._dice.random() < 0.1:  # two streams of one batch: each use goes to one of them
            return [self._works[0], self._works[0]]
        return self._works[:BATCHES_AT_ONCE]

    def _bring_back(self) -> None:
        station = self._scene.station
        if station.process is not None and not self._scene.signer_lives:
            station.died()
        if station.process is None:
            station.forget_channels()
            self._scene.start()
            station.signer()  # connects: later, a kill could come in between
        log = self._scene.log
        if log.process is not None and log.process.poll() is not None:
            log.died()
        if log.process is None:
            log.start()

    def _retire(self) -> None:
        """Batches that are finished make room; one in five is sent once more, whole."""
        done = [work for work in self._works if not work.left]
        self._works = [work for work in self._works if work.left]
        self._finished += done
        for work in done:
            if self._dice.random() < 0.2 and self._scene.signer_lives:
                self._client.send(work, [item for item in work.items if item.index in work.sealed])

    def _new_work(self, *, beside: bool = False, grant: bool = False, like: Work | None = None) -> Work:
        """A manifest or a grant, for a seal with an RSA key or one with a P-256 key.

        ``beside``: with one document for the sandbox; ``like``: other documents under the same grant.
        """
        dice, office = self._dice, self._office
        seal = dice.choice(("contract", "invoice"))
        documents = [document(f"Crash {dice.getrandbits(48):012x}") for _ in range(DOCUMENTS)]
        if beside:
            documents[-1] = simple(catalog=b"/AcroForm 77 0 R /Crash (%012x)" % dice.getrandbits(48))  # a form that is not there
        if grant or like is not None or dice.random() < 0.25:
            approved = like.approved if like is not None else office.grant(DOCUMENTS, seal=seal)
            return Work(approved, [item_message(grant_request(index, content)) for index, content in enumerate(documents)], seal)
        approved = office.approve(documents, seal=seal)
        return Work(approved, approved.items, seal)

    def _head(self) -> int:
        return int(self._scene.station.ledger(service_uri("ledger")).Head(ledger_pb2.HeadRequest()).size)

    @staticmethod
    def _waits(condition: Callable[[], bool], seconds: float = FIRE_S) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True


def _expected(work: Work) -> Batch:
    """What the ledger must say of a batch in the end: everything sealed, or, of one that was stopped, what the client was told."""
    if work.stopped_at is None:
        return Batch(work.jti, frozenset(item.index for item in work.items))
    void = frozenset(index for index, why in work.refused.items() if why.code is Code.USE_VOIDED)
    return Batch(work.jti, void | work.sealed.keys(), void, work.stopped_at)


class _PasserBy:
    """Somebody who looks at the published checkpoint again and again, and remembers."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="passer-by", daemon=True)
        self.seen: list[bytes] = []
        self.newest = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            note = self._scene.log.checkpoint
            if note is not None and (not self.seen or self.seen[-1] != note):
                self.seen.append(note)
                self.newest = int(note.split(b"\n", 2)[1])
