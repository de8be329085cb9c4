"""What a service tells others: nothing is lost, nobody waits behind what another receiver cannot take, and order where it matters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, select, update
from structlog.testing import capture_logs

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, on_commit, read, write
from sealcore.platform.log import request_id
from sealcore.platform.outbox import Item, Outbox
from sealcore.platform.rpc.errors import UnreachableError

LONG_S = 60.0  # far longer than a test: nothing here waits for it
BATCH = 2  # so that a few rows are several batches
METADATA = MetaData()
NOTES = Table(
    "notes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("receiver", String, nullable=False),
    Column("state", String, nullable=False, server_default="pending"),
    Column("request_id", String),
)
AWAY = UnreachableError(Code.SERVICE_UNAVAILABLE, "no answer")
BUSY = VermilionError(Code.REVOCATION_UNAVAILABLE, "no CRL")
REFUSED = VermilionError(Code.INVALID_ARGUMENT, "no")
UNFORESEEN = ValueError("nobody foresaw it")


class Notes:
    """A table of notes, and their receivers: ``faults`` says what a receiver, or one note, meets with."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.faults: dict[str | int, Exception] = {}
        self.unreadable: set[int] = set()
        self.asked: list[int] = []
        self.received: list[int] = []
        self.request_ids: list[str | None] = []
        self.on_call: Callable[[], object] = lambda: None
        self._arrived = threading.Condition()

    def tell(self, *receivers: str, **values: str) -> None:
        with write(self._engine) as connection:
            for receiver in receivers:
                connection.execute(insert(NOTES).values(receiver=receiver, **values))

    def states(self) -> list[str]:
        with read(self._engine) as connection:
            return list(connection.execute(select(NOTES.c.state).order_by(NOTES.c.id)).scalars())

    def wait_for(self, *ids: int) -> None:
        """Until these have been received."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: set(ids) <= set(self.received), timeout=LONG_S)

    def set_aside(self, item: Item, fault: VermilionError) -> None:
        self._close(item, f"refused {fault.code}")

    # --- as a box

    def pending(self, after: int, away: Set[str]) -> Sequence[Item]:
        wanted = select(NOTES).where(NOTES.c.state == "pending", NOTES.c.id > after, NOTES.c.receiver.not_in(away)).order_by(NOTES.c.id)
        with read(self._engine) as connection:
            return [Item(row.id, row.receiver, "note", row) for row in connection.execute(wanted.limit(BATCH))]

    def request_id(self, item: Item) -> str | None:
        if item.id in self.unreadable:
            raise UNFORESEEN
        told: str | None = item.row.request_id
        return told

    def hand_over(self, item: Item) -> int:
        self.asked.append(item.id)
        self.request_ids.append(request_id())
        self.on_call()
        for key in (item.id, item.receiver):
            if key in self.faults:
                raise self.faults[key]
        with self._arrived:
            self.received.append(item.id)
            self._arrived.notify_all()
        return len(self.received)

    def delivered(self, item: Item, ledger_index: int | None) -> None:
        self._close(item, f"done {ledger_index}")

    def _close(self, item: Item, state: str) -> None:
        with write(self._engine) as connection:
            connection.execute(update(NOTES).where(NOTES.c.id == item.id).values(state=state))


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    structlog.reset_defaults()
    engine = connect(f"sqlite:///{tmp_path / 'notes.db'}")
    METADATA.create_all(engine)
    yield Notes(engine)
    engine.dispose()


def in_order(notes: Notes) -> Outbox:
    return Outbox("notes", notes, interval_s=0.01, first_retry_s=0.01, longest_pause_s=0.01)


def with_a_person(notes: Notes) -> Outbox:
    return Outbox("notes", notes, interval_s=0.01, first_retry_s=0.02, longest_pause_s=0.02, set_aside=notes.set_aside)


@pytest.mark.parametrize("kind", [in_order, with_a_person])
def test_all_that_is_pending_arrives_oldest_first(notes: Notes, kind: Callable[[Notes], Outbox]) -> None:
    notes.tell("signer", "signer", "signer", "signer", "signer")
    assert kind(notes).deliver()
    assert notes.received == [1, 2, 3, 4, 5] and notes.states() == [f"done {index}" for index in range(1, 6)]
    assert kind(notes).deliver() and notes.received == [1, 2, 3, 4, 5], "nothing is delivered twice"


@pytest.mark.parametrize("kind", [in_order, with_a_person])
def test_a_receiver_that_is_away_is_asked_once_a_pass_and_the_others_get_theirs(notes: Notes, kind: Callable[[Notes], Outbox]) -> None:
    notes.tell("signer", "ca", "signer", "ca", "signer")
    notes.faults["signer"] = AWAY
    outbox = kind(notes)
    with capture_logs() as logs:
        assert not outbox.deliver()
        assert not outbox.deliver()
        assert (notes.received, notes.asked.count(1)) == ([2, 4], 1 if kind is with_a_person else 2)
        del notes.faults["signer"]
        assert outbox.deliver()
        assert sorted(notes.received) == [1, 2, 3, 4, 5]
        notes.tell("signer")
        notes.faults["signer"] = AWAY
        assert not outbox.deliver()
    assert len(logs) == 2, "an outage is said once, and the next one again"
    assert all((line["log_level"], line["code"]) == ("warning", "SERVICE_UNAVAILABLE") for line in logs)


def test_nobody_waits_behind_an_item_over_which_its_receiver_hangs(notes: Notes) -> None:
    notes.tell("signer", "signer", "signer")
    notes.faults[1] = AWAY
    outbox = with_a_person(notes)
    assert not outbox.deliver() and notes.received == []
    assert not outbox.deliver() and notes.received == [2, 3]


@pytest.mark.parametrize("fault", [AWAY, BUSY, REFUSED, UNFORESEEN])
def test_where_order_matters_nothing_overtakes_what_cannot_be_delivered(notes: Notes, fault: Exception) -> None:
    notes.tell("ledger", "ledger", "ledger", "other")
    notes.faults[2] = fault
    outbox = in_order(notes)
    for _ in range(3):
        assert not outbox.deliver()
    assert notes.received == [1, 4] and notes.states()[1:3] == ["pending", "pending"]
    del notes.faults[2]
    assert outbox.deliver() and notes.received == [1, 4, 2, 3]


def test_what_is_refused_for_good_is_set_aside_for_a_person_with_its_code(notes: Notes) -> None:
    notes.tell("signer", "signer")
    notes.faults[1] = REFUSED
    assert with_a_person(notes).deliver(), "nothing is pending"
    assert notes.states() == ["refused INVALID_ARGUMENT", "done 1"]


@pytest.mark.parametrize("fault", [BUSY, UNFORESEEN])
def test_what_cannot_be_taken_now_is_tried_again_and_holds_nobody_up(notes: Notes, fault: Exception) -> None:
    notes.tell("signer", "signer", "signer")
    notes.faults[1] = fault
    outbox = with_a_person(notes)
    assert not outbox.deliver()
    assert notes.received == [2, 3] and notes.states()[0] == "pending"
    del notes.faults[1]
    assert outbox.deliver() and notes.received == [2, 3, 1]


def test_a_row_that_nobody_can_read_holds_nobody_up_unless_order_matters(notes: Notes) -> None:
    notes.tell("signer", "signer", "signer")
    notes.unreadable.add(2)
    assert not in_order(notes).deliver() and notes.received == [1]
    assert not with_a_person(notes).deliver() and notes.received == [1, 3]


def test_a_death_between_the_call_and_our_commit_repeats_the_delivery(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.tell("signer")
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(notes, "delivered", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with_a_person(notes).deliver()
    assert notes.states() == ["pending"]
    assert with_a_person(notes).deliver() and notes.received == [1, 1]


def test_a_call_carries_the_id_of_the_request_that_it_comes_from(notes: Notes) -> None:
    notes.tell("signer", request_id="asked-by-a-client")
    notes.tell("signer")
    with_a_person(notes).deliver()
    first, second = notes.request_ids
    assert first == "asked-by-a-client" and second not in (None, first)


@pytest.mark.parametrize("kind", [in_order, with_a_person])
def test_in_the_background_it_finds_what_is_new_and_a_receiver_that_comes_back(notes: Notes, kind: Callable[[Notes], Outbox]) -> None:
    notes.faults["signer"] = AWAY
    outbox = kind(notes)
    outbox.start()
    try:
        notes.tell("signer", "ca")
        notes.wait_for(2)
        del notes.faults["signer"]
        notes.tell("ca", "signer")
        notes.wait_for(1, 3, 4)
    finally:
        outbox.stop()
    assert sorted(notes.received) == [1, 2, 3, 4]


@pytest.fixture
def told(notes: Notes) -> Iterator[Outbox]:
    """An outbox that looks by itself at its start and never again: it has to be told."""
    made = Outbox("notes", notes, interval_s=LONG_S * 100, first_retry_s=0.01, longest_pause_s=0.01, set_aside=notes.set_aside)
    on_commit(notes._engine, made.wake)
    yield made
    made.stop()


def test_what_was_there_at_the_start_is_delivered_and_then_what_is_committed(notes: Notes, told: Outbox) -> None:
    notes.tell("signer", "ca")
    told.start()
    notes.wait_for(1, 2)
    for number in range(3, 30):
        notes.tell("signer")
        notes.wait_for(number)
    assert notes.received == list(range(1, 30))


def test_what_is_committed_while_a_pass_is_running_is_delivered_after_it(notes: Notes, told: Outbox) -> None:
    called, release = threading.Event(), threading.Event()

    def hold() -> None:
        called.set()
        release.wait(LONG_S)

    notes.on_call = hold
    told.start()
    notes.tell("signer")
    assert called.wait(LONG_S)
    notes.tell("ca")
    release.set()
    notes.wait_for(1, 2)


def test_what_was_told_of_while_a_receiver_was_away_is_delivered_when_it_is_back(notes: Notes, told: Outbox) -> None:
    notes.faults["signer"] = AWAY
    told.start()
    notes.tell("signer", "ca")
    notes.wait_for(2)
    notes.tell("signer", "ca")
    notes.wait_for(4)
    del notes.faults["signer"]
    notes.wait_for(1, 3)


def test_a_transaction_that_is_rolled_back_tells_nobody(notes: Notes) -> None:
    commits: list[None] = []
    on_commit(notes._engine, lambda: commits.append(None))
    with pytest.raises(ZeroDivisionError), write(notes._engine):
        raise ZeroDivisionError
    assert not commits
    notes.tell("signer")
    with write(notes._engine, urgent=True):
        pass
    with read(notes._engine):
        pass
    assert len(commits) == 2


def test_a_stop_ends_after_the_delivery_in_progress(notes: Notes) -> None:
    called, release = threading.Event(), threading.Event()

    def hold() -> None:
        called.set()
        release.wait(LONG_S)

    notes.on_call = hold
    notes.tell("signer", "signer", "signer")
    outbox = with_a_person(notes)
    outbox.start()
    assert called.wait(LONG_S)
    stopping = threading.Thread(target=outbox.stop)
    stopping.start()
    while not outbox._task.stopping:
        threading.Event().wait(0.001)
    release.set()
    stopping.join(LONG_S)
    assert not stopping.is_alive() and notes.received == [1] and notes.states() == ["done 1", "pending", "pending"]
