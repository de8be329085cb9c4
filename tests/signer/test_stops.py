"""Stop: an officer suspends a seal or withdraws a grant, straight at the signer, while a batch runs. Nothing commits after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code
from tests.crash.failpoints import Act
from tests.crash.scene import Scene
from tests.signer.batches import COUNT, entries_of, in_background, ledger_of
from tests.signer.office import document, grant_request, item_message
from tests.signer.pdf.documents import simple
from tests.signer.station import Results, typed

Scenes = Callable[..., Scene]
MANY = 600
BEFORE_STOP = 60  # released, and the stream at full speed
REASONS = {"seal": {Code.SEAL_SUSPENDED, Code.USE_VOIDED}, "grant": {Code.GRANT_WITHDRAWN, Code.USE_VOIDED}}


@pytest.mark.parametrize("kind", ["seal", "grant"])
def test_a_stop_in_mid_batch_voids_what_is_not_committed(scenes: Scenes, database_url: str, kind: str) -> None:
    """The batch has its signatures; the stop commits; then the batch comes to its commit."""
    scene = scenes(database_url)
    office, station = scene.office, scene.station
    grant = office.grant(COUNT)
    items = [item_message(grant_request(index, document(f"Stop {index}"))) for index in range(COUNT)]
    subject = grant.claims.seal if kind == "seal" else grant.claims.jti
    before = station.stream(grant.token, items[:2])
    scene.points.arm("signer", "worker", "commit begins", act=Act.FREEZE)
    got = in_background(lambda: station.stream(grant.token, items[2:], a_message=COUNT))
    frozen = scene.frozen()
    stopped = typed(lambda: station.register().Stop(office.stop(kind, subject)))
    scene.wake(frozen)
    results = got()
    assert {refused.code for refused in results.refused.values()} == {Code.USE_VOIDED}
    assert len(results.refused) == COUNT - 2
    kinds = {entry.index: entry.kind for entry in entries_of(station, grant)}
    assert kinds == {**dict.fromkeys((0, 1), "seal"), **dict.fromkeys(range(2, COUNT), "void")}
    assert [entry.kind for entry in ledger_of(station)[stopped.ledger_index + 1 :]] == ["void"] * (COUNT - 2)
    assert sorted(before.sealed) == [0, 1]
    assert scene.metric("stops", kind=kind) == 1
    assert scene.metric("documents", code="USE_VOIDED") == COUNT - 2


@pytest.mark.parametrize("kind", ["seal", "grant"])
def test_a_stop_ends_a_stream_at_full_speed_and_the_ledger_shows_where(
    scenes: Scenes, database_url: str, kind: str, say: Callable[[str], None]
) -> None:
    scene = scenes(database_url, limits={"lease_s": 60, "hsm_s": 15.0})
    office, station = scene.office, scene.station
    grant = office.grant(MANY, seal="contract")
    content = simple()
    subject = grant.claims.seal if kind == "seal" else grant.claims.jti
    statement = office.stop(kind, subject)
    station.register().ListSeals(signer_pb2.ListSealsRequest())  # the officer's connection is there

    def messages() -> Iterator[signer_pb2.SealStreamRequest]:
        request = signer_pb2.SealStreamRequest
        yield request(open=request.Open(token=grant.token))
        for start in range(0, MANY, 10):
            items = [
                item_message(grant_request(index, content.replace(b"300 400", b"%03d 400" % index))) for index in range(start, start + 10)
            ]
            yield request(items=request.Items(items=items))

    results, stop_s, stopped = Results(), 0.0, None
    for answer in station.signer().SealStream(messages(), timeout=120):
        results.take(answer)
        if stopped is None and len(results.sealed) >= BEFORE_STOP:
            began_s = time.monotonic()
            stopped = typed(lambda: station.register().Stop(statement))
            stop_s = time.monotonic() - began_s
    assert stopped is not None
    say(f"stop of a {kind} under full load: answered after {1000 * stop_s:.0f} ms, its entry the {stopped.ledger_index + 1}th")
    assert sorted([*results.sealed, *results.refused]) == list(range(MANY))
    assert {refused.code for refused in results.refused.values()} <= REASONS[kind]
    assert results.refused, "the stop came too late to stop anything: send more"
    ledger = ledger_of(station)
    assert (ledger[stopped.ledger_index].kind, {entry.kind for entry in ledger[stopped.ledger_index + 1 :]} - {"void"}) == ("act", set())
    sealed = {entry.index for entry in entries_of(station, grant) if entry.kind == "seal"}
    assert sealed == results.sealed.keys()  # nothing more is sealed than was released
    void = {entry.index for entry in entries_of(station, grant) if entry.kind == "void"}
    assert void == {index for index, refused in results.refused.items() if refused.code is Code.USE_VOIDED}
