"""Two signers on one PostgreSQL database, each a process of its own: one count of uses, and one tree."""

from __future__ import annotations

from collections import defaultdict

import pytest

from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import Entry, entry_hash, jti_hash
from signer.register import consistency
from tests.signer.desk import Desk
from tests.signer.office import Office
from tests.signer.storing import Storing

DOCUMENTS, THREADS, ROUNDS, KEYS = 30, 4, 2, 60
NAMES = ("left", "right")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """People and seals without an HSM."""
    return Office.in_software(tmp_path_factory.mktemp("office"))


def test_of_hundreds_of_replays_on_two_replicas_one_passes_and_both_keep_one_tree(postgresql_url: str, office: Office) -> None:
    desk = Desk(postgresql_url, office)
    approved = office.approve([b"%%PDF %d" % number for number in range(DOCUMENTS)])
    keys = [f"key {number}" for number in range(KEYS)]
    with Storing(postgresql_url, "left") as left, Storing(postgresql_url, "right") as right:
        replicas = (left, right)
        for replica in replicas:
            replica.tell("replay", approved.token, approved.claims.sub, approved.requests, threads=THREADS, rounds=ROUNDS)
        with Storing(postgresql_url, "left-appends") as first, Storing(postgresql_url, "right-appends") as second:
            for appender in (first, second):
                appender.tell("append", keys, threads=2)
            appended = [place for appender in (first, second) for place in appender.answer()]
        answers = [one for replica in replicas for one in replica.answer()]
        again = left.do("replay", approved.token, approved.claims.sub, approved.requests, threads=1, rounds=1)

    assert len(answers) == DOCUMENTS * THREADS * ROUNDS * len(NAMES)
    assert {code for _, (kind, code, *_) in answers if kind == "refused"} <= {"USE_IN_PROGRESS"}
    sealed = defaultdict(list)
    for index, (kind, *rest) in [*answers, *again]:
        if kind == "sealed":
            sealed[index].append(rest)
    for index in range(DOCUMENTS):
        assert len({suffix for suffix, _, _ in sealed[index]}) == 1  # everyone got the same bytes,
        assert sum(not repeated for _, _, repeated in sealed[index]) == 1  # which exactly one has made
    assert all(kind == "sealed" for _, (kind, *_) in again)

    places = dict(appended)
    assert len(appended) == 4 * KEYS
    assert len(places) == len(set(places.values())) == KEYS
    with db.read(desk.engine) as connection:
        head = ledger_store.head(connection)
        entries = ledger_store.entries(connection, 0, head.size)  # raises where one is missing
    assert merkle.root([entry_hash(data) for data in entries]) == head.root
    kinds = [Entry.decode(data) for data in entries]
    assert sorted(one.index for one in kinds if one.jti_hash == jti_hash(approved.claims.jti) and one.index is not None) == list(
        range(DOCUMENTS)
    )
    assert sum(one.kind == "audit" for one in kinds) == KEYS
    assert head.size == 1 + DOCUMENTS + KEYS  # the seed, each use once, each key once
    consistency.check(desk.engine, None)
    desk.engine.dispose()
