"""Intend and Commit on both databases: each use once, whatever happens in between. No HSM: signatures are stand-ins here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.ids import client_uri, uuid7
from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.protocol.ledger_entry import COMMIT_WITHIN_S, Entry
from signer.model import SealedUse
from signer.pipeline.commit import commit
from signer.tables import epochs, insert_missing, suffix_parts, suffixes, uses
from signer.uses.retention import Retention
from signer.uses.store import Intent, UseStore, Wanted
from tests.signer.desk import LEASE_S, Desk, desk, finished, office, sealed
from tests.signer.office import Office, grant_request
from tests.signer.pdf.kit import Authority, Seal

__all__ = ["desk", "office"]  # the fixtures

DOCUMENTS = (b"%PDF one", b"%PDF two", b"%PDF three")


def test_an_attempt_that_slept_for_half_a_day_does_not_commit_and_the_next_one_does(desk: Desk) -> None:
    """Nobody has taken it over; but by now a stranger may have been told that no such seal is in the ledger."""
    approved = desk.office.approve(DOCUMENTS, exp=int(desk.clock.now().timestamp()) + 2 * COMMIT_WITHIN_S)
    late, in_time = (desk.intent(one) for one in (approved, desk.office.approve(DOCUMENTS)))
    desk.clock.advance(LEASE_S + COMMIT_WITHIN_S / 2 - 1)
    sealed(desk.commit(in_time)[0])
    desk.clock.advance(1)
    (ended,) = desk.commit(late)
    assert isinstance(ended, VermilionError) and ended.code is Code.USE_IN_PROGRESS
    assert sealed(desk.commit(desk.intent(approved))[0]).attempts == 2


def test_a_use_is_intended_committed_and_repeated_with_the_same_bytes(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    intents = [one for one in desk.uses.intend(desk.wanted(approved)) if isinstance(one, Intent)]
    assert [one.attempt for one in intents] == [1, 1, 1]
    first = [sealed(one) for one in desk.commit(*intents)]
    assert [one.ledger_index for one in first] == [1, 2, 3]
    again = [sealed(one) for one in desk.uses.intend(desk.wanted(approved))]
    assert [one.suffix for one in again] == [one.suffix for one in first]
    assert all(one.repeated for one in again)
    assert desk.entries() == ["seal"] * 3


def test_while_an_attempt_is_at_work_the_use_is_in_progress(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    desk.intent(approved)
    assert desk.refusal(approved) is Code.USE_IN_PROGRESS
    assert desk.refusal(approved, desk.signer("signer-2")) is Code.USE_IN_PROGRESS


def test_a_batch_that_names_a_use_twice_works_on_it_once(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    first, second = desk.uses.intend(desk.wanted(approved, 0, 0))
    assert isinstance(first, Intent)
    assert isinstance(second, VermilionError)
    assert second.code is Code.USE_IN_PROGRESS


def test_a_released_attempt_is_taken_over_at_once_by_anyone(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    desk.uses.release([desk.intent(approved)])
    taken = desk.intent(approved, desk.signer("signer-2"))
    assert taken.attempt == 2
    assert sealed(desk.commit(taken)[0]).attempts == 2


def test_a_takeover_after_the_lease_fences_the_first_attempt_off(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    slow = desk.intent(approved)
    desk.clock.advance(LEASE_S + 1)
    fast = desk.intent(approved, desk.signer("signer-2"))
    (late,) = desk.commit(slow, mark=b"late")
    assert isinstance(late, VermilionError)
    assert late.code is Code.USE_IN_PROGRESS
    kept = sealed(desk.commit(fast, mark=b"fast")[0])
    (later,) = desk.commit(slow, mark=b"later")
    assert isinstance(later, VermilionError)
    assert sealed(desk.uses.intend(desk.wanted(approved, 0))[0]).suffix == kept.suffix
    assert desk.entries() == ["seal"]


def test_a_process_that_came_back_takes_over_what_its_predecessor_left(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    first = desk.intent(approved)
    second = desk.intent(approved, desk.signer("signer-1"))
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.frozen == first.frozen
    assert desk.refusal(approved, desk.signer("signer-3")) is Code.USE_IN_PROGRESS


def test_what_a_dead_worker_left_is_taken_over_at_once_and_what_a_living_one_holds_is_not(desk: Desk) -> None:
    boot = uuid7()
    dead, alive, third = (desk.signer("signer-1", boot=boot, worker=name) for name in ("w1", "w2", "w3"))
    first, second = desk.office.approve(DOCUMENTS), desk.office.approve(DOCUMENTS)
    attempt = desk.intent(first, dead)
    desk.intent(second, alive)
    assert desk.refusal(first, third) is Code.USE_IN_PROGRESS
    third.declare_dead("w1")
    taken = desk.intent(first, third)
    assert taken.attempt == 2
    assert desk.refusal(second, third) is Code.USE_IN_PROGRESS
    assert desk.refusal(first, alive) is Code.USE_IN_PROGRESS  # it belongs to the third now
    (late,) = desk.commit(attempt)
    assert isinstance(late, VermilionError)
    assert sealed(desk.commit(taken)[0]).attempts == 2


def test_a_worker_of_the_same_name_in_another_signer_is_not_meant(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    desk.intent(approved, desk.signer("signer-2", worker="w1"))
    ours = desk.signer("signer-1", worker="w2")
    ours.declare_dead("w1")
    assert desk.refusal(approved, ours) is Code.USE_IN_PROGRESS


@pytest.mark.parametrize("part", ["instance", "boot", "worker"])
def test_the_parts_of_an_owners_name_cannot_run_together(desk: Desk, part: str) -> None:
    names: dict[str, Any] = {"instance": "signer-1", "boot": "b", "worker": "w", part: "a/b"}
    with pytest.raises(VermilionError) as refused:
        UseStore(desk.engine, desk.clock, lease_s=LEASE_S, **names)
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_the_steps_inside_the_transactions_are_told_before_they_end(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    seen: list[tuple[str, list[str]]] = []

    def reached(step: str) -> None:
        states = Retention(desk.engine, desk.clock).of_token(approved.claims.jti, approved.claims.sub)
        seen.append((step, [one.state for one in states]))

    store = UseStore(desk.engine, desk.clock, instance="signer-1", boot="b", worker="w", lease_s=LEASE_S, reached=reached)
    intent = desk.intent(approved, store)
    commit(desk.engine, desk.clock, desk.suffixes, [finished(intent)], reached=reached)
    assert seen == [("intend: rows written", []), ("commit: entries appended", ["intended"]), ("commit: uses ended", ["intended"])]


def test_a_batch_of_several_clients_and_admissions_is_judged_item_by_item(desk: Desk) -> None:
    """A seal is stopped and goes on: what passed the gate before it is refused beside what passed afterwards."""
    old, new, grant = desk.office.approve(DOCUMENTS), desk.office.approve(DOCUMENTS), desk.office.grant(3)
    before = [*desk.wanted(old), Wanted(desk.item(grant, grant_request(0, DOCUMENTS[0])), desk.proposal())]
    desk.stop("grant", grant.claims.jti)
    answers = desk.uses.intend([*before, *desk.wanted(new)])
    assert [type(one) for one in answers] == [Intent, Intent, Intent, VermilionError, Intent, Intent, Intent]
    ended = desk.commit(*(one for one in answers if isinstance(one, Intent)))
    assert [sealed(one).index for one in ended] == [0, 1, 2, 0, 1, 2]
    assert desk.entries() == ["seal"] * 6


def test_of_two_admissions_of_one_token_only_the_one_from_before_the_stop_is_refused(desk: Desk) -> None:
    grant = desk.office.grant(4, seal="official")
    items = [Wanted(desk.item(grant, grant_request(index, DOCUMENTS[0])), desk.proposal()) for index in range(4)]
    client = ("client", grant.claims.sub)
    with db.write(desk.engine) as connection:  # a stop that was lifted, as the register writes it
        insert_missing(connection, epochs, [{"kind": client[0], "subject": client[1], "epoch": 1}])
    later: Any = {**items[0].item.admission.epochs, client: 1}
    moved = replace(items[0].item.admission, epochs=later)
    batch = [items[0], *(Wanted(replace(one.item, admission=moved), one.proposal) for one in items[1:3]), items[3]]
    answers = desk.uses.intend(batch)
    assert [one.code if isinstance(one, VermilionError) else type(one) for one in answers] == [
        Code.PERMISSION_DENIED, Intent, Intent, Code.PERMISSION_DENIED,
    ]  # fmt: skip
    with db.write(desk.engine) as connection:
        connection.execute(delete(epochs).where(epochs.c.kind == "client"))


def test_a_batch_that_names_an_attempt_twice_ends_it_once(desk: Desk) -> None:
    intent = desk.intent(desk.office.approve(DOCUMENTS))
    first, second = desk.commit(intent, intent)
    assert sealed(first)
    assert isinstance(second, VermilionError)
    assert second.code is Code.USE_IN_PROGRESS
    assert desk.entries() == ["seal"]


def test_a_batch_in_which_every_state_meets_gives_each_its_own_answer(desk: Desk) -> None:
    approved = desk.office.approve([b"%%PDF %d" % number for number in range(6)])
    done, mine, others, left = (desk.wanted(approved, place) for place in range(4))
    kept = sealed(desk.commit(*(one for one in desk.uses.intend(done) if isinstance(one, Intent)))[0])
    desk.uses.intend(mine)
    desk.signer("signer-2").intend(others)
    (given_up,) = desk.uses.intend(left)
    assert isinstance(given_up, Intent)
    desk.uses.release([given_up])
    answers = desk.uses.intend(desk.wanted(approved, 5, 0, 1, 2, 3, 4, 4))
    assert [(one.attempt, one.item.index) for one in answers if isinstance(one, Intent)] == [(1, 5), (2, 3), (1, 4)]
    assert sealed(answers[1]).suffix == kept.suffix
    assert [one.code for one in answers if isinstance(one, VermilionError)] == [Code.USE_IN_PROGRESS] * 3
    assert len(desk.commit(*(one for one in answers if isinstance(one, Intent)))) == 3
    assert desk.entries() == ["seal"] * 4


def test_a_takeover_keeps_what_was_frozen_unless_it_can_no_longer_be_made(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    first = desk.intent(approved)
    desk.clock.advance(LEASE_S + 1)
    same = desk.intent(approved)
    assert same.frozen == first.frozen
    desk.clock.advance(LEASE_S + 1)
    (renewed,) = desk.uses.intend([Wanted(desk.item(approved), desk.proposal("c2"))])
    assert isinstance(renewed, Intent)
    assert renewed.frozen.certificate_sha256 == "c2"
    assert renewed.frozen.signing_time_us == first.frozen.signing_time_us


def test_a_grants_index_belongs_to_the_first_bytes_and_marks(desk: Desk) -> None:
    grant = desk.office.grant(5)
    request = grant_request(2, DOCUMENTS[0])
    (intended,) = desk.uses.intend([Wanted(desk.item(grant, request), desk.proposal())])
    assert isinstance(intended, Intent)
    assert desk.refusal(grant, request=grant_request(2, DOCUMENTS[1])) is Code.USE_BOUND_TO_OTHER_BYTES
    assert desk.refusal(grant, request=grant_request(2, DOCUMENTS[0], desk.office.visible())) is Code.USE_BOUND_TO_OTHER_BYTES
    desk.commit(intended)
    assert desk.refusal(grant, request=grant_request(2, DOCUMENTS[1])) is Code.USE_BOUND_TO_OTHER_BYTES


def test_the_leaf_of_a_grant_use_is_salted_since_its_hash_becomes_public(desk: Desk) -> None:
    grant = desk.office.grant(5)
    leaves = []
    for index in (0, 1):
        (intended,) = desk.uses.intend([Wanted(desk.item(grant, grant_request(index, DOCUMENTS[0])), desk.proposal())])
        assert isinstance(intended, Intent)
        leaves.append((intended.leaf_hash, intended.item.binding))
    assert leaves[0][0] != leaves[1][0]
    assert leaves[0][1] == leaves[1][1]


def test_an_expired_token_begins_nothing_but_gives_back_what_it_sealed(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS[:2])
    kept = sealed(desk.commit(desk.intent(approved))[0])
    items = desk.wanted(approved)
    desk.clock.advance(3 * 3600)
    first, second = desk.uses.intend(items)
    assert sealed(first).suffix == kept.suffix
    assert isinstance(second, VermilionError)
    assert second.code is Code.TOKEN_EXPIRED


def test_an_attempt_begun_in_time_commits_after_the_tokens_end(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    intent = desk.intent(approved)
    desk.clock.advance(3 * 3600)
    assert sealed(desk.commit(intent)[0])


@pytest.mark.parametrize("kind", ["seal", "grant"])
def test_a_stop_between_intend_and_commit_voids_the_use_for_good(desk: Desk, kind: str) -> None:
    grant = desk.office.grant(5)
    request = grant_request(0, DOCUMENTS[0])
    item = desk.item(grant, request)
    (intent,) = desk.uses.intend([Wanted(item, desk.proposal())])
    assert isinstance(intent, Intent)
    desk.stop(kind, grant.claims.seal if kind == "seal" else grant.claims.jti)
    (ended,) = desk.commit(intent)
    assert isinstance(ended, VermilionError)
    assert ended.code is Code.USE_VOIDED
    assert desk.entries() == ["void"]
    (again,) = desk.uses.intend([Wanted(item, desk.proposal())])
    assert isinstance(again, VermilionError)
    assert again.code is Code.USE_VOIDED
    (twice,) = desk.commit(intent)
    assert isinstance(twice, VermilionError)
    assert desk.entries() == ["void"]


def test_a_stop_between_gate_and_intend_refuses_without_a_row(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    wanted = desk.wanted(approved, 0)
    desk.stop("seal", approved.claims.seal)
    (refused,) = desk.uses.intend(wanted)
    assert isinstance(refused, VermilionError)
    assert refused.code is Code.SEAL_SUSPENDED
    with db.read(desk.engine) as connection:
        assert connection.execute(select(uses)).all() == []


def test_a_stop_of_another_seal_or_grant_stops_nothing_else(desk: Desk) -> None:
    intent = desk.intent(desk.office.approve(DOCUMENTS))
    desk.stop("seal", desk.office.seals["invoice"].id)
    desk.stop("grant", uuid7())
    assert sealed(desk.commit(intent)[0])


def test_another_token_under_a_used_id_is_refused(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    desk.intent(approved)
    other = desk.office.approve(DOCUMENTS, jti=approved.claims.jti, form="TEST-2026-000099")
    (refused,) = desk.uses.intend(desk.wanted(other, 1))
    assert isinstance(refused, VermilionError)
    assert refused.code is Code.TOKEN_MALFORMED


def race(workers: int, work: Callable[[int], object]) -> list[object]:
    """The results of ``work`` by threads that begin together."""
    results: list[object] = [None] * workers
    together = threading.Barrier(workers)

    def run(number: int) -> None:
        together.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_many_workers_that_race_for_a_use_exactly_one_gets_it(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    signers = [desk.signer(f"signer-{number}") for number in range(8)]
    wanted = desk.wanted(approved, 0)
    results = race(len(signers), lambda number: signers[number].intend(wanted)[0])
    assert sum(isinstance(one, Intent) for one in results) == 1
    assert {one.code for one in results if isinstance(one, VermilionError)} == {Code.USE_IN_PROGRESS}


def test_two_attempts_that_race_to_commit_leave_one_document_and_one_entry(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    for place in range(3):
        (slow,) = desk.uses.intend(desk.wanted(approved, place))
        desk.clock.advance(LEASE_S + 1)
        (fast,) = desk.signer("signer-2").intend(desk.wanted(approved, place))
        assert isinstance(slow, Intent)
        assert isinstance(fast, Intent)
        attempts: Sequence[Intent] = (slow, fast)
        results = race(2, lambda number, attempts=attempts: desk.commit(attempts[number])[0])  # type: ignore[misc]
        assert sum(isinstance(one, SealedUse) for one in results) == 1
    assert desk.entries() == ["seal"] * 3


def test_commits_that_race_with_a_stop_end_sealed_before_it_or_void_after_it(desk: Desk) -> None:
    approved = [desk.office.approve([content], seal="official") for content in (b"%%PDF %d" % number for number in range(6))]
    intents = [desk.intent(one) for one in approved]
    seal = desk.office.seals["official"].id

    def work(number: int) -> object:
        if number == 3:
            desk.stop("seal", seal)
            return None
        return desk.commit(intents[number])[0]

    results = race(6, work)
    with db.read(desk.engine) as connection:
        data = ledger_store.entries(connection, 1, ledger_store.head(connection).size)
    kinds = [Entry.decode(one).kind for one in data]
    assert sum(isinstance(one, SealedUse) for one in results) == kinds.count("seal")
    assert "seal" not in kinds[kinds.index("act") :]
    assert "void" not in kinds[: kinds.index("act")]


def test_many_writers_leave_one_gapless_ledger(desk: Desk) -> None:
    approved = [desk.office.approve([b"%%PDF %d %d" % (number, place) for place in range(5)]) for number in range(6)]

    def work(number: int) -> object:
        intents = desk.signer(f"signer-{number}").intend(desk.wanted(approved[number]))
        return desk.commit(*(one for one in intents if isinstance(one, Intent)))

    race(6, work)
    assert desk.entries() == ["seal"] * 30


def test_bytes_are_kept_until_acknowledged_and_at_least_seven_days(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS[:2])
    intents = [one for one in desk.uses.intend(desk.wanted(approved)) if isinstance(one, Intent)]
    items = desk.wanted(approved)
    desk.commit(*intents)
    kept = Retention(desk.engine, desk.clock)
    assert kept.acknowledge(approved.claims.jti, [0, 7], desk.office.client) == 1
    assert kept.delete_due() == 0
    desk.clock.advance(8 * 24 * 3600)
    assert kept.delete_due() == 1
    first, second = desk.uses.intend(items)
    assert isinstance(first, VermilionError)
    assert first.code is Code.SEALED_BYTES_EXPIRED
    assert sealed(second).repeated


def test_a_client_sees_and_acknowledges_its_own_uses_alone(desk: Desk) -> None:
    approved = desk.office.approve(DOCUMENTS)
    desk.commit(desk.intent(approved))
    kept = Retention(desk.engine, desk.clock)
    assert [(one.index, one.state, one.attempts) for one in kept.of_token(approved.claims.jti, desk.office.client)] == [(0, "sealed", 1)]
    assert kept.of_token(uuid7(), desk.office.client) == []
    for peek in (
        lambda: kept.of_token(approved.claims.jti, client_uri(uuid7())),
        lambda: kept.acknowledge(approved.claims.jti, [0], "urn:x"),
    ):
        with pytest.raises(VermilionError) as refused:
            peek()
        assert refused.value.code is Code.PERMISSION_DENIED


def test_a_full_disk_is_said_and_the_use_stays_open(tmp_path: Path, office: Office) -> None:
    desk = Desk(f"sqlite:///{tmp_path / 'small.db'}", office)
    approved = office.approve(DOCUMENTS)
    intent = desk.intent(approved)
    with desk.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(VermilionError) as refused:
        desk.commit(intent, mark=bytes(200_000))
    assert refused.value.code is Code.STORAGE_FULL
    assert desk.entries() == []
    desk.engine.dispose()
    bigger = db.connect(f"sqlite:///{tmp_path / 'small.db'}")
    assert sealed(commit(bigger, desk.clock, desk.suffixes, [finished(intent)])[0])
    bigger.dispose()


def test_what_suffixes_have_in_common_is_stored_once_and_by_a_transaction_that_ended_well(desk: Desk, tmp_path: Path) -> None:
    approved = desk.office.approve(DOCUMENTS)
    cms = Seal(Authority(tmp_path), Algorithm.P256).cms(bytes(32))
    mark = b"<" + cms.hex().encode() + b"0" * 400 + b">"
    one, two, three = (each for each in desk.uses.intend(desk.wanted(approved)) if isinstance(each, Intent))

    def fails(step: str) -> None:
        if step == "commit: uses ended":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit(desk.engine, desk.clock, desk.suffixes, [finished(one, mark)], reached=fails)
    assert parts(desk) == []
    first = [sealed(each) for each in (*desk.commit(one, mark=mark), *desk.commit(two, three, mark=mark))]
    assert len(parts(desk)) == 2 and sum(map(len, parts(desk))) > 1000
    again = [sealed(each) for each in desk.signer("signer-2").intend(desk.wanted(approved))]
    assert [each.suffix for each in again] == [each.suffix for each in first] and all(each.suffix.endswith(mark) for each in first)
    with db.read(desk.engine) as connection:
        assert max(len(each) for each in connection.execute(select(suffixes.c.content)).scalars()) < len(cms) / 2
    with db.write(desk.engine) as connection:
        connection.execute(delete(suffix_parts))
    with pytest.raises(VermilionError) as damaged:
        desk.uses.intend(desk.wanted(approved))
    assert damaged.value.code is Code.LEDGER_INCONSISTENT


def parts(desk: Desk) -> list[bytes]:
    """What stored suffixes have in common."""
    with db.read(desk.engine) as connection:
        return [bytes(each) for each in connection.execute(select(suffix_parts.c.content)).scalars()]
