"""The real store held to the protocol's executable model: the same steps, the same invariants, in any order, on both databases.

The model (``MODEL``) says which steps there are and what each may lead to. Each step is taken on the real gate,
register, store and Commit; what they answer must be one of the model's next steps, and the database must then say what the model's
state says. Where the model is not at hand, ``Restated`` below stands in for it. HSM calls are made up here: the model needs
their number only.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.protocol.ledger_entry import Entry, jti_hash
from signer.gate import AdmittedItem
from signer.model import SealedUse
from signer.pipeline.commit import Finished, commit
from signer.register import consistency
from signer.tables import suffixes, uses
from signer.uses.packing import decode
from signer.uses.store import Intent, UseStore, Wanted
from tests.conftest import REPOSITORY
from tests.signer.desk import LEASE_S, Desk
from tests.signer.office import Office, grant_request
from tests.support.fuzzing import examples

MODEL = REPOSITORY.parent / "shared" / "model" / "exactly_once.py"
DOCUMENTS = {"D": b"%PDF the approved bytes", "X": b"%PDF other bytes"}
EXAMPLES, STEPS = examples(16, 40), 40  # `make fuzz` runs this file over and over with new seeds
WORKERS = 2
FORWARD = 8  # how much more often a step goes forward than breaks
BOUNDS = {"REQUESTS": 12, "CRASHES": 8, "MAX_ATTEMPTS": 8}  # the model's own are for exploring all there is
IDLE = ("idle", None, 0, None)


class State(NamedTuple):
    """The model's state, in its own words (see there)."""

    row: Any = None
    log: Any = ()
    stopped: bool = False
    workers: Any = (IDLE,) * WORKERS
    calls: int = 0
    released: Any = frozenset()
    asked: int = 0
    crashes: int = 0


_State = State


class Restated:
    """What each step may lead to, said once more from docs/protocol.md, "Use"."""

    State = State  # as the model has it

    def steps(self, s: _State) -> Iterator[tuple[str, _State]]:
        if not s.stopped:
            yield "stop commits", s._replace(stopped=True)
        for i, (step, doc, attempt, _) in enumerate(s.workers):
            become = partial(_become, s, i)
            if step == "idle" and not s.stopped:
                for one in DOCUMENTS:
                    yield f"w{i} gates {one}", s._replace(workers=become("gated", one, 0, None), asked=s.asked + 1)
            if step != "idle":
                yield f"w{i} crashes in {step}", s._replace(workers=become(), crashes=s.crashes + 1)
            if step == "gated":
                yield from self._intend(s, i, doc, become)
            if step == "intended":
                yield f"w{i} calls HSM", s._replace(workers=become("signing", doc, attempt, None), calls=s.calls + 1)
            if step == "signing":
                yield f"w{i} has signature", s._replace(workers=become("signed", doc, attempt, f"s{s.calls}{doc}{attempt}{i}"))
            if step == "signed":
                yield from self._commit(s, i, become)
            if step == "committed":
                yield f"w{i} releases", s._replace(workers=become(), released=s.released | {(doc, s.workers[i][3])})

    @staticmethod
    def _intend(s: _State, i: int, doc: str, become: Callable[..., Any]) -> Iterator[tuple[str, _State]]:
        if s.row is None:
            yield f"w{i} intends", s._replace(row=("intended", doc, 1, i, None), workers=become("intended", doc, 1, None))
            return
        state, bound, attempt, _, suffix = s.row
        if bound != doc:
            yield f"w{i} refuses other bytes", s._replace(workers=become())
        elif state == "sealed":
            yield f"w{i} repeats the stored suffix", s._replace(workers=become("committed", doc, attempt, suffix))
        elif state == "voided":
            yield f"w{i} refuses: voided", s._replace(workers=become())
        else:
            yield f"w{i} answers in progress", s._replace(workers=become())
            row = ("intended", doc, attempt + 1, i, None)
            yield f"w{i} takes over", s._replace(row=row, workers=become("intended", doc, attempt + 1, None))

    @staticmethod
    def _commit(s: _State, i: int, become: Callable[..., Any]) -> Iterator[tuple[str, _State]]:
        _, doc, attempt, made = s.workers[i]
        state, bound, current, owner, _ = s.row
        if state != "intended" or current != attempt:
            yield f"w{i} discards: fenced", s._replace(workers=become())
        elif s.stopped:
            row = ("voided", bound, current, owner, None)
            yield f"w{i} voids", s._replace(row=row, log=(*s.log, ("void", attempt)), workers=become())
        else:
            row, log = ("sealed", bound, current, owner, made), (*s.log, ("seal", made, s.stopped))
            yield f"w{i} commits", s._replace(row=row, log=log, workers=become("committed", doc, attempt, made))

    @staticmethod
    def check(s: _State) -> None:
        seals = [entry for entry in s.log if entry[0] == "seal"]
        assert len(s.released) <= 1, "two different sealed documents released for one use"
        assert all(made in [entry[1] for entry in seals] for _, made in s.released), "released without a ledger entry"
        assert len(s.log) <= 1, "more than one end for one use"
        assert not any(entry[2] for entry in seals), "sealed after a stop had committed"
        assert s.row is None or s.calls <= s.row[2], "more HSM calls than attempts"


def _become(s: Any, i: int, *worker: Any) -> Any:
    """The workers, with this one in another step; idle when none is named."""
    return (*s.workers[:i], worker or IDLE, *s.workers[i + 1 :])


def _suffix(made: str) -> bytes:
    """The appended bytes that the model's signature stands for."""
    return f"suffix {made}".encode()


def model() -> ModuleType | Restated:
    """The shared model with wider bounds, or our own words for it."""
    if not MODEL.is_file():
        print("exactly once: held to the steps as restated in this test")
        return Restated()
    spec = importlib.util.spec_from_file_location("exactly_once_model", MODEL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, bound in BOUNDS.items():
        setattr(module, name, bound)
    print("exactly once: held to the steps of shared/model/exactly_once.py")
    return module


class KilledError(Exception):
    """A worker's end in the middle of a transaction."""


class Worker:
    """A worker process: its store, and what it has in hand."""

    def __init__(self, desk: Desk, boot: str, name: str) -> None:
        self.name = name
        self.dies_at: str | None = None
        self.store = UseStore(desk.engine, desk.clock, instance="signer-1", boot=boot, worker=name, lease_s=LEASE_S, reached=self.reached)
        self.item: AdmittedItem | None = None
        self.intent: Intent | None = None

    def reached(self, step: str) -> None:
        """Dies there, if it is to."""
        if step == self.dies_at:
            raise KilledError(step)


class ExactlyOnce(RuleBasedStateMachine):
    """One use of a grant, two workers, and everything that may happen to them."""

    def __init__(self, desk: Desk, the_model: ModuleType | Restated) -> None:
        super().__init__()
        self.desk, self.model = desk, the_model
        self.state = the_model.State()
        desk.clock = FixedClock(datetime.datetime.now(datetime.UTC))  # the one before has run ahead of the tokens' time
        self.leases_left = 1000 // LEASE_S
        self.grant = desk.office.grant(1)
        self.boots = 1
        self.started = 0
        self.workers = [self._new_worker() for _ in range(WORKERS)]
        self.released: set[tuple[str, bytes]] = set()
        with db.read(desk.engine) as connection:
            self.start = ledger_store.head(connection).size

    # --- the steps -------------------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """One rule for all: Hypothesis leaves whole rules out of a run, and without any one of these steps none leads anywhere."""
        step, *arguments = data.draw(st.sampled_from(list(self._possible())))
        getattr(self, step)(*arguments)

    def _possible(self) -> Iterator[tuple[Any, ...]]:
        """What may happen next; what goes forward more than once, so that it happens more often than what breaks."""
        may_attempt = self.state.row is None or self.state.row[2] < BOUNDS["MAX_ATTEMPTS"]
        may_crash = may_attempt and self.state.crashes + WORKERS <= BOUNDS["CRASHES"]
        for i, (step, *_) in enumerate(self.state.workers):
            if step == "idle" and self.state.asked < BOUNDS["REQUESTS"]:
                yield from [("gate", i, "D")] * FORWARD + [("gate", i, "X")]
            elif step in ("intended", "signing", "committed"):
                yield from [({"intended": "call_hsm", "signing": "have_signature", "committed": "release"}[step], i)] * FORWARD
            elif step in ("gated", "signed"):
                yield from [({"gated": "intend", "signed": "commit"}[step], i, None)] * FORWARD
            if step != "idle" and may_crash:
                yield "crash", i
                if step == "gated":
                    yield "intend", i, "intend: rows written"
                if step == "signed":
                    yield from (("commit", i, at) for at in ("commit: entries appended", "commit: uses ended"))
                if step in ("intended", "signing", "signed"):
                    yield "give_up", i
        if may_crash:
            yield ("crash_all",)
        if self.leases_left and may_attempt and self.state.row is not None:
            yield from [("lease_runs_out",)] * FORWARD
        if not self.state.stopped and self.state.asked > 1:  # early in its life there is little that a stop can spoil
            yield ("stop",)
        yield ("nothing",)

    def nothing(self) -> None:
        """Time passes."""

    def gate(self, i: int, doc: str) -> None:
        request = grant_request(0, DOCUMENTS[doc])
        if self.state.stopped:
            with pytest.raises(VermilionError) as refused:
                self.desk.item(self.grant, request)
            assert refused.value.code is Code.GRANT_WITHDRAWN
            return
        self.workers[i].item = self.desk.item(self.grant, request)
        self._take(f"w{i} gates {doc}")

    def intend(self, i: int, dies_at: str | None) -> None:
        worker = self.workers[i]
        assert worker.item is not None
        worker.dies_at = dies_at
        try:
            (answer,) = worker.store.intend([Wanted(worker.item, self.desk.proposal())])
        except KilledError:
            self._crash(i)
            return
        if isinstance(answer, Intent):
            worker.intent = answer
            self._take(f"w{i} intends" if answer.attempt == 1 else f"w{i} takes over")
            assert self.state.workers[i][2] == answer.attempt
        elif isinstance(answer, SealedUse):
            self._take(f"w{i} repeats the stored suffix")
            assert answer.repeated
            assert answer.suffix == _suffix(self.state.workers[i][3])
        elif answer.code is Code.GRANT_WITHDRAWN:  # the store may refuse earlier than the model: a step that changes nothing
            assert self.state.stopped
            assert self.state.row is None or self.state.row[0] == "intended"
            self.state = self.state._replace(workers=_become(self.state, i))
        else:
            self._take(
                {
                    Code.USE_BOUND_TO_OTHER_BYTES: f"w{i} refuses other bytes",
                    Code.USE_VOIDED: f"w{i} refuses: voided",
                    Code.USE_IN_PROGRESS: f"w{i} answers in progress",
                }[answer.code]
            )

    def call_hsm(self, i: int) -> None:
        self._take(f"w{i} calls HSM")

    def have_signature(self, i: int) -> None:
        self._take(f"w{i} has signature")

    def commit(self, i: int, dies_at: str | None) -> None:
        worker = self.workers[i]
        assert worker.intent is not None
        worker.dies_at = dies_at
        suffix = _suffix(self.state.workers[i][3])
        digest = hashlib.sha256(suffix).digest()
        try:
            finished = Finished(worker.intent, suffix, digest, digest, digest, ())
            (answer,) = commit(self.desk.engine, self.desk.clock, self.desk.suffixes, [finished], reached=worker.reached)
        except KilledError:
            self._crash(i)
            return
        if isinstance(answer, SealedUse):
            self._take(f"w{i} commits")
            assert answer.suffix == suffix
        else:
            self._take({Code.USE_VOIDED: f"w{i} voids", Code.USE_IN_PROGRESS: f"w{i} discards: fenced"}[answer.code])

    def release(self, i: int) -> None:
        _, doc, _, made = self.state.workers[i]
        self._take(f"w{i} releases")
        self.released.add((doc, _suffix(made)))

    def crash(self, i: int) -> None:
        """A worker dies, and the front tells the others and the next one."""
        self._crash(i)

    def crash_all(self) -> None:
        """The whole signer dies and comes back under its name: nobody is told anything."""
        for i, (step, *_) in enumerate(self.state.workers):
            if step != "idle":
                self._take(f"w{i} crashes in {step}")
        self.boots += 1
        self.workers = [self._new_worker() for _ in range(WORKERS)]

    def give_up(self, i: int) -> None:
        """A failure that a worker survives ends its attempt: for the model a crash of that one document."""
        intent = self.workers[i].intent
        assert intent is not None
        self.workers[i].store.release([intent])
        self._take(f"w{i} crashes in {self.state.workers[i][0]}")

    def lease_runs_out(self) -> None:
        """The owner is hung, or slow, and goes on afterwards."""
        self.leases_left -= 1
        self.desk.clock.advance(LEASE_S + 1)

    def stop(self) -> None:
        """An officer's stop."""
        self.desk.stop("grant", self.grant.claims.jti)
        self._take("stop commits")

    # --- what must hold after each ---------------------------------------------------------------------------------------------

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        self.model.check(self.state)
        jti = self.grant.claims.jti
        with db.read(self.desk.engine) as connection:
            row = connection.execute(select(uses).where(uses.c.jti == jti)).one_or_none()
            kept = select(suffixes.c.content).where(suffixes.c.ledger_index == (row.ledger_index if row is not None else -1))
            stored = connection.execute(kept).scalar_one_or_none()
            entries = [Entry.decode(data) for data in ledger_store.entries(connection, self.start, ledger_store.head(connection).size)]
        if self.state.row is None:
            assert row is None
        else:
            assert row is not None
            state, doc, attempt, _, made = self.state.row
            assert (row.state, row.attempt) == (state, attempt)
            assert row.binding == self.bindings[doc]
            assert (None if stored is None else decode(stored, {}).whole()) == (None if made is None else _suffix(made))
        mine = [(entry.kind, entry.attempts, entry.signature_hash) for entry in entries if entry.jti_hash == jti_hash(jti)]
        assert [one for one in mine if one[0] != "act"] == [
            ("seal", self.state.row[2], hashlib.sha256(_suffix(end[1])).digest()) if end[0] == "seal" else ("void", end[1], None)
            for end in self.state.log
        ]
        assert self.released == {(doc, _suffix(made)) for doc, made in self.state.released}

    # --- the model's side ------------------------------------------------------------------------------------------------------

    @property
    def bindings(self) -> dict[str, bytes]:
        """What the gate binds each document to; the same for every grant."""
        if not hasattr(self.desk, "bindings"):
            grant = self.desk.office.grant(1)
            made = {doc: self.desk.item(grant, grant_request(0, content)).binding for doc, content in DOCUMENTS.items()}
            self.desk.bindings = made  # type: ignore[attr-defined]
        found: dict[str, bytes] = self.desk.bindings  # type: ignore[attr-defined]
        return found

    def _take(self, label: str) -> None:
        following = dict(self.model.steps(self.state))
        assert label in following, f"the store did {label!r}; the model allows {sorted(following)}"
        self.state = following[label]

    def _crash(self, i: int) -> None:
        self._take(f"w{i} crashes in {self.state.workers[i][0]}")
        died = self.workers[i].name
        self.workers[i] = self._new_worker()
        for worker in self.workers:
            worker.store.declare_dead(died)

    def _new_worker(self) -> Worker:
        self.started += 1
        return Worker(self.desk, f"boot-{self.boots}", f"worker-{self.started}")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """People and seals without an HSM."""
    return Office.in_software(tmp_path_factory.mktemp("office"))


def test_the_store_takes_no_step_that_the_model_does_not_know(database_url: str, office: Office) -> None:
    desk, the_model = Desk(database_url, office), model()
    run_state_machine_as_test(
        cast("type[ExactlyOnce]", lambda: ExactlyOnce(desk, the_model)),  # Hypothesis takes any factory
        settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)),
    )
    desk.register.load()
    consistency.check(desk.engine, None)
    desk.engine.dispose()
