"""Clients that read slowly, go away, or are cut off by the end of the service: bounded memory, nothing half done, nobody else held up."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code
from sealcore.ids import client_uri, uuid7
from tests.crash.failpoints import Act
from tests.crash.scene import Scene
from tests.signer.batches import entries_of, everything_sealed_once, in_background
from tests.signer.office import Approved, Office, document, grant_request, item_message
from tests.signer.pdf.documents import simple
from tests.signer.station import TIMEOUT_S, Results, typed
from tests.support.waiting import until

Scenes = Callable[..., Scene]
Request = signer_pb2.SealStreamRequest
MANY, A_MESSAGE = 2600, 10
PADDING_BYTES, LARGE_BYTES = 20_000, 60_000
WINDOW_DOCUMENTS = 768  # of one stream (``signer.front.stream``)
MOST_UNDER_WAY = 1000  # answers that gRPC and the kernel hold on both sides: some 8 MiB, whatever we do
MOST_GROWN_BYTES = 128 * 1024 * 1024  # of all processes together
QUIET_S = 0.7


def padded(number: int, size_bytes: int = PADDING_BYTES) -> bytes:
    """A document of about this size."""
    body = b"<< /Length %d >>\nstream\n%010d%b\nendstream" % (size_bytes + 10, number, b"x" * size_bytes)
    return simple(more={10: body})


def many(office: Office, count: int, **how: Any) -> Approved:
    """A large batch."""
    return office.approve([padded(number) for number in range(count)], seal="invoice", **how)


def messages(approved: Approved, a_message: int = A_MESSAGE) -> Iterator[Request]:
    """The whole batch."""
    items = approved.items
    yield Request(open=Request.Open(token=approved.token))
    for start in range(0, len(items), a_message):
        yield Request(items=Request.Items(items=items[start : start + a_message]))


def held_bytes(pids: Sequence[int]) -> int:
    """Memory of these processes; what they share is counted once."""
    rows = [row for pid in pids for row in Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines() if row.startswith("Pss:")]
    return sum(int(row.split()[1]) * 1024 for row in rows)


def test_who_does_not_read_is_not_read_from_and_the_others_go_on(scenes: Scenes) -> None:
    scene = scenes()
    station, office = scene.station, scene.office
    warm = many(office, 64)
    everything_sealed_once(station, warm, station.stream(warm.token, warm.items))
    processes = [scene.points.front, *scene.workers()]
    before_bytes, pulled = held_bytes(processes), 0
    grant = office.grant(MANY, seal="invoice")

    def pulling() -> Iterator[Request]:
        nonlocal pulled
        yield Request(open=Request.Open(token=grant.token))
        for start in range(0, MANY, A_MESSAGE):
            pulled = start + A_MESSAGE
            items = [item_message(grant_request(index, padded(index, LARGE_BYTES))) for index in range(start, pulled)]
            yield Request(items=Request.Items(items=items))

    call = station.signer().SealStream(pulling(), timeout=TIMEOUT_S)
    seen, since_s = -1, time.monotonic()
    deadline = since_s + TIMEOUT_S
    while pulled < WINDOW_DOCUMENTS or seen != pulled or time.monotonic() - since_s < QUIET_S:  # below, it is the machine that is slow
        assert time.monotonic() < deadline
        since_s = since_s if seen == pulled else time.monotonic()
        seen = pulled
        time.sleep(0.02)
    assert WINDOW_DOCUMENTS <= pulled < MANY  # it stands: nothing is read, so nothing more is taken in
    until(lambda: scene.metric("held_bytes") == 0)  # what was taken in may be under way; documents are let go as soon as they are sealed
    sealed = scene.metric("documents", code="sealed") - 64
    assert WINDOW_DOCUMENTS <= sealed <= WINDOW_DOCUMENTS + MOST_UNDER_WAY
    assert held_bytes(processes) - before_bytes < MOST_GROWN_BYTES < MANY * LARGE_BYTES
    other = client_uri(uuid7())
    mine = office.approve([document(f"Other {number}") for number in range(40)], sub=other)
    assert len(station.exchange(messages(mine), uri=other).sealed) == 40
    results = typed(lambda: Results.collect(call))
    assert sorted(results.sealed) == list(range(MANY)) == sorted(entry.index or 0 for entry in entries_of(station, grant))
    for index in range(0, MANY, 50):
        assert hashlib.sha256(padded(index, LARGE_BYTES) + results.suffixes[index]).digest() == results.sealed[index].sealed_sha256
    assert scene.metric("backpressure_seconds_count") >= 1
    assert held_bytes(processes) - before_bytes < MOST_GROWN_BYTES


def test_when_a_client_goes_what_was_begun_is_finished_the_rest_given_up_and_its_room_given_back(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    station, office = scene.station, scene.office
    approved, large = many(office, 60), office.approve([padded(0) + b" " * 3_000_000])
    scene.points.arm("signer", "worker", "signed", act=Act.HOLD)
    call = station.signer().SealStream(messages(approved), timeout=TIMEOUT_S)
    until(lambda: scene.metric("waiting_documents", lane="bulk") == 60 - A_MESSAGE)
    half = station.signer().SealStream(half_a_document(large), timeout=TIMEOUT_S)
    until(lambda: scene.metric("held_bytes") > 3_000_000)
    for one in (call, half):
        one.cancel()
    until(lambda: scene.metric("streams", end="CANCELLED") == 2)
    scene.points.disarm("signer")
    until(lambda: scene.metric("held_bytes") == scene.metric("waiting_documents") == scene.metric("streams_open") == 0)
    begun = {entry.index for entry in entries_of(station, approved)}
    assert begun == set(range(A_MESSAGE))  # what a worker had
    assert scene.metric("documents", code="CANCELLED") == 60 - A_MESSAGE
    again = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, again)
    assert {index for index, sealed in again.sealed.items() if sealed.repeated} == begun
    assert {sealed.attempts for sealed in again.sealed.values()} == {1}
    everything_sealed_once(station, large, station.exchange(messages(large)))


def half_a_document(approved: Approved) -> Iterator[Request]:
    """The first megabyte of it; then the client says nothing more."""
    (item,) = approved.items
    content, item.document = item.document, b""
    yield Request(open=Request.Open(token=approved.token))
    yield Request(items=Request.Items(items=[item]))
    yield Request(chunk=Request.Chunk(index=0, offset=0, data=content[: 1024 * 1024]))
    time.sleep(TIMEOUT_S)


def test_sigterm_answers_all_that_was_taken_in_and_refuses_the_rest(scenes: Scenes, database_url: str) -> None:
    scene = scenes(database_url, workers={"bulk": 1, "interactive": 0})
    station, approved, taken = scene.station, many(scene.office, 60), 40
    scene.points.arm("signer", "worker", "commit begins", act=Act.HOLD)

    def some_then_wait() -> Iterator[Request]:
        sent = 0
        for message in messages(approved):
            if sent == taken:
                until(lambda: scene.station.process is None or scene.metric("draining") == 1)
            sent += len(message.items.items)
            yield message

    results, ends = Results(), []

    def exchange() -> None:
        try:
            for answer in station.signer().SealStream(some_then_wait(), timeout=TIMEOUT_S):
                results.take(answer)
        except grpc.RpcError as fault:
            ends.append(fault)

    got = in_background(exchange)
    until(lambda: scene.metric("waiting_documents", lane="bulk") == taken - A_MESSAGE)
    process = station.process
    assert process is not None
    process.terminate()
    until(lambda: scene.metric("draining") == 1)
    assert scene.unready() == {"service"}
    scene.points.disarm("signer")
    got()
    assert process.wait(TIMEOUT_S) == 0
    assert sorted(results.sealed) == list(range(taken))  # drained: each document that was here has its result
    assert results.refused == {}
    assert len(ends) == 1  # and the stream says that there was more
    assert typed_code(ends[0]) is Code.SERVICE_UNAVAILABLE
    station.forget_channels()
    station.died()
    scene.start()
    assert {(use.index, use.state) for use in uses(scene, approved)} == {(index, "sealed") for index in range(taken)}
    everything_sealed_once(station, approved, station.stream(approved.token, approved.items))


def typed_code(fault: grpc.RpcError) -> Code:
    """The code of our own behind a failed call."""

    def fail() -> None:
        raise fault

    try:
        typed(fail)
    except Exception as error:  # noqa: BLE001
        return Code(error.code)  # type: ignore[attr-defined]
    raise AssertionError


def uses(scene: Scene, approved: Approved) -> list[signer_pb2.Use]:
    """The uses of a token, as its client sees them."""
    return list(typed(lambda: scene.station.signer().ListUses(signer_pb2.ListUsesRequest(jti=approved.claims.jti))).uses)
