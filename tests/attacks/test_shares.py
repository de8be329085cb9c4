"""What one client takes of what all share: memory for documents, open calls, the lane of examinations. Others are served beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.platform.rpc.server import MOST_CALLS
from signer.front.arriving import LEAST_BYTES_A_SECOND, STALLED_S, Arriving
from signer.front.budget import ByteBudget
from signer.pipeline.fairness import FairThreads
from tests.attacks.examining import Chunk, Items, Request, examine, item, items
from tests.crash.fixtures import house, scenes
from tests.crash.scene import Scene
from tests.signer.batches import batch, entries_of, everything_sealed_once
from tests.signer.office import document
from tests.signer.pdf.documents import simple
from tests.signer.station import TIMEOUT_S, Results, stream_messages, typed
from tests.support.waiting import until

__all__ = ["house", "scenes"]
Scenes = Callable[..., Scene]
Sealing = signer_pb2.SealStreamRequest
MEBIBYTE: Final = 1024 * 1024


def others_are_served(scene: Scene) -> None:
    """Another client seals one document while it waits, and a batch."""
    other = client_uri(uuid7())
    assert scene.station.seal(scene.office.approve([document("Waited for")], sub=other), uri=other).attempts == 1
    theirs = batch(scene.office, sub=other)
    results = scene.station.exchange(stream_messages(theirs.token, theirs.items), uri=other)
    everything_sealed_once(scene.station, theirs, results)


def test_what_a_client_announces_and_does_not_send_keeps_nobody_else_out(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 1}, limits={"document_bytes": 4 * MEBIBYTE, "in_flight_bytes": 8 * MEBIBYTE})
    approved = scene.office.approve([document("Never sent")])
    announced = [item(index, 2 * MEBIBYTE) for index in range(16)]
    over = threading.Event()

    def stalled() -> Iterator[Sealing]:
        yield Sealing(open=Sealing.Open(token=approved.token))
        yield Sealing(items=Sealing.Items(items=announced))
        over.wait(TIMEOUT_S)

    calls = [scene.station.signer().SealStream(stalled(), timeout=TIMEOUT_S) for _ in range(8)]
    until(lambda: scene.metric("held_bytes") == 4 * MEBIBYTE and scene.metric("streams_open") == len(calls))
    others_are_served(scene)
    over.set()
    for call in calls:
        assert {one.error.code for answer in call for one in answer.results.refused} <= {Code.OVERLOADED, Code.INVALID_ARGUMENT}
    until(lambda: scene.metric("held_bytes") == 0)


def test_a_client_has_so_many_calls_open_and_others_theirs(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 1})
    over = threading.Event()

    def silent() -> Iterator[Sealing]:
        over.wait(TIMEOUT_S)
        yield from ()

    calls = [scene.station.signer().SealStream(silent(), timeout=TIMEOUT_S) for _ in range(MOST_CALLS)]
    until(lambda: scene.metric("rpc_open") >= MOST_CALLS)
    with pytest.raises(VermilionError) as refused:
        typed(lambda: scene.station.signer().ListUses(signer_pb2.ListUsesRequest(jti=uuid7()), timeout=TIMEOUT_S))
    assert refused.value.code is Code.OVERLOADED
    others_are_served(scene)
    over.set()
    for call in calls:
        with contextlib.suppress(grpc.RpcError):
            list(call)
    until(lambda: typed(lambda: scene.station.signer().ListUses(signer_pb2.ListUsesRequest(jti=uuid7()), timeout=TIMEOUT_S)) is not None)


WITH_FEW_DESCRIPTORS: Final = (
    "import resource, runpy\nresource.setrlimit(resource.RLIMIT_NOFILE, (320, 320))\nrunpy.run_module('signer', run_name='__main__')\n"
)


def test_connections_without_certificate_take_no_descriptor_that_workers_need(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 1})
    assert scene.station.stop() == 0
    scene.station.start("-c", WITH_FEW_DESCRIPTORS)
    scene.station.channel(scene.office.client)
    with contextlib.ExitStack() as idle:
        for _ in range(400):
            idle.enter_context(socket.create_connection(("127.0.0.1", scene.station.port), TIMEOUT_S))
        assert scene.station.seal(scene.office.approve([document("Meanwhile")])).attempts == 1
        assert scene.station.process is not None
        front = scene.station.process.pid
        worker = int(Path(f"/proc/{front}/task/{front}/children").read_text("ascii").split()[0])
        assert scene.kill(worker)
        until(lambda: scene.metric("worker_deaths") == 1 and not scene.unready())
        mine = batch(scene.office)
        results = scene.station.stream(mine.token, mine.items)  # over the connection that is there
        assert scene.metric("worker_deaths") == 1
    everything_sealed_once(scene.station, mine, results)
    others_are_served(scene)


# --- examinations ----------------------------------------------------------------------------------------------------------------


def costly(number: int) -> bytes:
    """A document that the sandbox takes half a second over."""
    return simple(catalog=b"/Number %d /Digits %b" % (number, b"1" * 350_000))


def test_whoever_has_costly_documents_examined_lets_others_in_between(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    opening = Request(open=Request.Open(seal=scene.office.seals["contract"].id))
    examine(scene, items(document("The sandbox starts")))
    flood = scene.station.signer().Examine(iter([opening, items(*map(costly, range(10)))]), timeout=TIMEOUT_S)
    until(lambda: len(scene.zygotes()) > 1)  # a child of it is at work
    assert examine(scene, items(document("Small")), uri=client_uri(uuid7())) == {0: ""}
    assert flood.is_active(), "it was served before all of the other's"
    flood.cancel()


def test_a_client_that_leaves_in_the_middle_keeps_its_place_until_what_it_asked_is_done(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    examine(scene, items(document("The sandbox starts")))
    opening = Request(open=Request.Open(seal=scene.office.seals["contract"].id))
    told: list[str] = []
    for number in range(10):
        call = scene.station.signer().Examine(iter([opening, items(costly(number))]), timeout=TIMEOUT_S)
        until(lambda call=call: not call.is_active() or len(scene.zygotes()) > 1)  # type: ignore[misc]
        call.cancel()
        try:
            examine(scene, items(document("Small")))
        except VermilionError as refused:
            told.append(str(refused.code))
    assert "OVERLOADED" in told
    assert examine(scene, items(document("Small")), uri=client_uri(uuid7())) == {0: ""}


def test_a_large_document_that_never_comes_keeps_no_large_one_of_others_out(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0}, limits={"document_bytes": 8 * MEBIBYTE})
    opening, over = Request(open=Request.Open(seal=scene.office.seals["contract"].id)), threading.Event()
    begun = threading.Event()

    def stalled() -> Iterator[Request]:
        yield opening
        yield Request(items=Items(items=[item(0, 8 * MEBIBYTE)]))
        yield Request(chunk=Chunk(index=0, offset=0, data=b"%"))
        begun.set()
        over.wait(TIMEOUT_S)

    call = scene.station.signer().Examine(stalled(), timeout=TIMEOUT_S)
    assert begun.wait(TIMEOUT_S)
    large = document("Large") + b"%" * (5 * MEBIBYTE)
    pieces = [
        Request(chunk=Chunk(index=0, offset=offset, data=large[offset : offset + MEBIBYTE])) for offset in range(0, len(large), MEBIBYTE)
    ]
    announced = Request(items=Items(items=[item(0, len(large))]))
    assert list(examine(scene, announced, *pieces, uri=client_uri(uuid7()))) == [0]
    over.set()
    with contextlib.suppress(grpc.RpcError):
        list(call)


# --- the sandbox -----------------------------------------------------------------------------------------------------------------


def test_whoever_has_documents_that_cost_the_sandbox_much_lets_others_in_between(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    other, count = client_uri(uuid7()), 10
    costly_ones = scene.office.approve([simple(catalog=b"/Number %d /Digits <%b>" % (number, b"4" * 400_000)) for number in range(count)])
    flood = scene.station.signer().SealStream(stream_messages(costly_ones.token, costly_ones.items), timeout=TIMEOUT_S)
    results = Results()
    results.take(next(flood))
    theirs = scene.office.approve([simple(catalog=b"/AcroForm 77 0 R")], sub=other)  # which takes no time, but the sandbox
    got = scene.station.exchange(stream_messages(theirs.token, theirs.items), uri=other)
    assert sorted(got.sealed) == [0]
    assert flood.is_active() and len(entries_of(scene.station, costly_ones)) < count, "it was served before all of the other's"
    flood.cancel()


class Time:
    """Goes on by what a piece of work says that it takes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.order: list[str] = []

    def work(self, name: str, took_s: float) -> None:
        """One piece of work."""
        self.order.append(name)
        self.now_s += took_s


def test_clients_get_the_same_time_however_dear_their_work_is() -> None:
    time = Time()
    threads, begin = FairThreads(1, "fair", monotonic_s=lambda: time.now_s), threading.Event()
    futures: list[Any] = [threads.add("first", begin.wait)]
    futures += [threads.add("dear", partial(time.work, f"dear {number}", 20.0)) for number in range(4)]
    futures += [threads.add("cheap", partial(time.work, f"cheap {number}", 5.0)) for number in range(6)]
    begin.set()
    wait(futures)
    first, later = [f"cheap {number}" for number in range(4)], [f"cheap {number}" for number in range(4, 6)]
    assert time.order == ["dear 0", *first, "dear 1", *later, "dear 2", "dear 3"]
    time.order.clear()
    begin.clear()
    futures = [threads.add("new", begin.wait), threads.add("dear", partial(time.work, "dear 4", 1.0))]
    futures += [threads.add("new", partial(time.work, f"new {number}", 1.0)) for number in range(30)]
    begin.set()
    wait(futures)
    assert time.order.index("dear 4") <= 21, "who had much waits for it, and who had nothing has saved nothing up"
    threads.close(finish=True)


def test_of_two_threads_one_client_has_one_while_another_waits() -> None:
    threads, begin, go_on = FairThreads(2, "fair"), threading.Event(), threading.Event()
    long = [threads.add("long", go_on.wait) for _ in range(1)]
    held = threads.add("short", begin.wait)
    more, short = threads.add("long", go_on.wait), threads.add("short", lambda: "done")
    begin.set()
    assert held.result() and short.result() == "done" and not more.done()
    threads.of("long").submit(go_on.set)
    go_on.set()
    wait([*long, more])
    given_up = FairThreads(1, "fair")
    running = given_up.add("a", go_on.wait)
    given_up.close(finish=False)
    running.result()


# --- the budget itself -----------------------------------------------------------------------------------------------------------


def in_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_the_line_passes_by_whoever_has_their_share_and_nobody_else() -> None:
    async def work() -> None:
        budget = ByteBudget(10, 5, lambda _held: None)
        await budget.take("greedy", 5, wait=True)
        waiting = asyncio.create_task(budget.take("greedy", 1, wait=True))
        await asyncio.sleep(0)
        await budget.take("modest", 3, wait=True)
        first = asyncio.create_task(budget.take("large", 4, wait=True))
        await asyncio.sleep(0)
        second = asyncio.create_task(budget.take("small", 1, wait=True))
        await asyncio.sleep(0)
        assert not (waiting.done() or first.done() or second.done()), "nobody overtakes one who waits for room"
        with pytest.raises(VermilionError) as refused:
            await budget.take("hasty", 1, wait=False)
        assert refused.value.code is Code.OVERLOADED
        budget.give_back("modest", 3)
        await asyncio.gather(first, second)
        assert not waiting.done()
        budget.give_back("greedy", 5)
        await waiting

    in_loop(work)


def test_who_is_cancelled_in_line_or_just_served_leaves_nothing_taken() -> None:
    async def work() -> None:
        held: list[float] = []
        budget = ByteBudget(10, 10, held.append)
        await budget.take("one", 10, wait=True)
        gone, next_ = (asyncio.create_task(budget.take(name, 6, wait=True)) for name in ("gone", "next"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        budget.give_back("one", 10)
        next_.cancel()  # granted, and cancelled before it heard of it
        await asyncio.gather(gone, next_, return_exceptions=True)
        assert held[-1] == 0
        await budget.take("what weighs more than all", 11, wait=True)
        budget.give_back("what weighs more than all", 11)
        assert held[-1] == 0

    in_loop(work)


def test_a_document_has_as_long_as_its_bytes_take_and_not_longer() -> None:
    arriving = Arriving()
    arriving.begin(signer_pb2.Item(index=0, size_bytes=100 * LEAST_BYTES_A_SECOND))
    assert arriving.patience_s == STALLED_S
    for offset in range(int(STALLED_S + 100)):  # a byte a second
        assert arriving.drop_late() == []
        arriving.add(Sealing.Chunk(index=0, offset=offset, data=b"%"))
        arriving.waited(1.0)
    arriving.waited(1.0)
    assert [one.index for one in arriving.drop_late()] == [0]
    assert arriving.is_empty and arriving.patience_s is None
