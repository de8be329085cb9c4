"""The ledger's index in a database: one tree, no gaps, nothing without its commit. On SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, MetaData, text

from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.ledger import store
from sealcore.platform.ledger.store import Draft
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import Entry, entry_hash, jti_hash


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = db.connect(database_url)
    metadata = MetaData()
    store.tables(metadata)
    with db.write(made) as connection:
        metadata.create_all(connection)
    yield made
    made.dispose()


def _draft(number: int, key: str | None = None, form: str = "F-2026-000001") -> Draft:
    entry = Entry("seal", number, jti_hash=jti_hash("jti"), index=number, signature_hash=number.to_bytes(32, "big"))
    return Draft.committing(entry, {"form": form, "people": "p"}, jti="jti", idempotency_key=key)


def _append(engine: Engine, *drafts: Draft) -> list[store.Appended]:
    with db.write(engine) as connection:
        return store.append(connection, drafts)


def _root_of_rows(engine: Engine) -> tuple[int, bytes]:
    with db.read(engine) as connection:
        head = store.head(connection)
        data = store.entries(connection, 0, head.size)
    assert merkle.root([entry_hash(one) for one in data]) == head.root
    return head.size, head.root


def test_an_empty_ledger_has_the_empty_root(engine: Engine) -> None:
    assert _root_of_rows(engine) == (0, merkle.EMPTY_ROOT)
    assert _append(engine) == []


def test_entries_get_consecutive_places_and_the_head_is_their_root(engine: Engine) -> None:
    first = _append(engine, *(_draft(number) for number in range(5)))
    second = _append(engine, *(_draft(number) for number in range(5, 12)))
    assert [place.index for place in first + second] == list(range(12))
    assert _root_of_rows(engine)[0] == 12


def test_a_rollback_leaves_no_gap(engine: Engine) -> None:
    _append(engine, _draft(0))
    with pytest.raises(RuntimeError), db.write(engine) as connection:
        store.append(connection, [_draft(1), _draft(2)])
        raise RuntimeError("the transaction fails after the append")
    assert [place.index for place in _append(engine, _draft(3))] == [1]
    assert _root_of_rows(engine)[0] == 2


def test_an_idempotency_key_counts_once(engine: Engine) -> None:
    (first,) = _append(engine, _draft(0, "k"))
    again, other, same_call = _append(engine, _draft(0, "k"), _draft(1, "l"), _draft(1, "l"))
    assert again == first
    assert (other.index, same_call) == (1, other)
    assert _root_of_rows(engine)[0] == 2
    with pytest.raises(VermilionError) as refusal:
        _append(engine, _draft(0, "k", form="F-2026-000002"))
    assert refusal.value.code is Code.CONFLICT


def test_entries_are_found_by_form_and_signature(engine: Engine) -> None:
    _append(engine, _draft(0), _draft(1, form="F-2026-000002"), _draft(2))
    with db.read(engine) as connection:
        assert [found.index for found in store.find(connection, form="F-2026-000001")] == [0, 2]
        (found,) = store.find(connection, signature_hash=(1).to_bytes(32, "big"))
        assert (found.index, found.form, found.entry.index) == (1, "F-2026-000002", 1)
        assert found.salts.keys() == {"form", "people"}
        assert store.find(connection, signature_hash=bytes(32 * [9])) == []
        with pytest.raises(VermilionError):
            store.find(connection)


def test_a_signature_is_found_in_whichever_block_it_is_and_never_by_its_beginning_alone(engine: Engine) -> None:
    per_block = 1 << store.BLOCK_BITS
    wanted = b"same" + bytes(28)

    def entry(number: int, signature: bytes) -> store.Encoded:
        return Draft(Entry("seal", number, signature_hash=signature)).encode()

    alike = {2: wanted, per_block - 1: b"same" + bytes([1] * 28), per_block: wanted, 2 * per_block + 5: wanted}
    signatures = [alike.get(number, number.to_bytes(32, "little")) for number in range(2 * per_block + 6)]
    with db.write(engine) as connection:
        store.append_new(connection, [entry(number, signature) for number, signature in enumerate(signatures)])
    with db.read(engine) as connection:
        assert [found.index for found in store.find(connection, signature_hash=wanted)] == [2, per_block, 2 * per_block + 5]
        assert [found.index for found in store.find(connection, signature_hash=signatures[per_block + 7])] == [per_block + 7]
    assert _root_of_rows(engine)[0] == len(signatures)


@pytest.mark.parametrize("names", [(), ("form",), ("people", "policy"), ("form", "people", "policy")])
def test_salts_come_back_and_one_that_is_deleted_leaves_the_others(names: tuple[str, ...]) -> None:
    salts = {name: bytes([number]) * 32 for number, name in enumerate(names)}
    assert store.decode_salts(store.encode_salts(salts)) == salts
    salts.pop("people", None)
    assert store.decode_salts(store.encode_salts(salts)) == salts


def test_a_range_outside_the_ledger_is_refused_and_a_missing_row_is_noticed(engine: Engine) -> None:
    _append(engine, *(_draft(number) for number in range(4)))
    with db.read(engine) as connection:
        assert store.entries(connection, 4, 4) == []
        for start, end in ((0, 5), (3, 2), (-1, 2)):
            with pytest.raises(VermilionError) as refusal:
                store.entries(connection, start, end)
            assert refusal.value.code is Code.INVALID_ARGUMENT
    with db.write(engine) as connection:
        connection.execute(text('DELETE FROM ledger_entries WHERE "index" = 2'))
    with db.read(engine) as connection, pytest.raises(VermilionError) as refusal:
        store.entries(connection, 0, 4)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


def test_a_damaged_head_row_stops_everything(engine: Engine) -> None:
    _append(engine, _draft(0))
    with db.write(engine) as connection:
        connection.execute(text("UPDATE ledger_head SET size = 2"))
    with pytest.raises(VermilionError) as refusal:
        _append(engine, _draft(1))
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


def test_concurrent_appenders_keep_one_tree(engine: Engine) -> None:
    workers, batches, batch = 6, 8, 3
    places: list[int] = []
    lock = threading.Lock()
    start = threading.Barrier(workers)

    def work(worker: int) -> None:
        start.wait()  # the very first append is contended too: the head row does not exist yet
        for number in range(batches):
            drafts = [_draft(worker * 1000 + number * batch + at, f"{worker}-{number}-{at}") for at in range(batch)]
            appended = _append(engine, *drafts)
            with lock:
                places.extend(place.index for place in appended)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(places) == list(range(workers * batches * batch))
    assert _root_of_rows(engine)[0] == len(places)
