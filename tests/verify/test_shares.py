"""What one address may hold of the verification service, and that others are served beside it: files on their way in, and those that wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import httpx
import pytest
from pydantic import ValidationError

from protos.vermilion.v1 import verify_pb2, verify_pb2_grpc
from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.errors import status_of
from tests.support.waiting import WITHIN_S, until
from tests.verify.conftest import RunningService
from tests.verify.office import Office
from verify import examine
from verify.arrivals import Arrival, Arrivals, overloaded
from verify.crls import CrlStore
from verify.report import Report
from verify.service import Metrics, Verification
from verify.settings import Limits

KIB: Final = 1024
OTHER: Final = "127.0.0.2"


def limits(**changed: Any) -> Limits:
    return Limits.model_validate({"document_bytes": 64 * KIB, "wait_s": 0.05, **changed})


async def refusal(work: Any) -> Code:
    with pytest.raises(VermilionError) as refused:
        await work
    return refused.value.code


@contextlib.asynccontextmanager
async def holding(arrivals: Arrivals, address: str, count: int) -> AsyncIterator[Arrival]:
    """A document of which so much has come and no more comes."""
    async with arrivals.arrival(address) as arrival:
        await arrival.take(count)
        yield arrival


def test_a_document_more_than_an_address_may_send_at_once_is_refused_at_once_and_told_why() -> None:
    async def run() -> None:
        arrivals = Arrivals(limits(uploads_of_one=1))
        async with arrivals.arrival("a"):
            with pytest.raises(VermilionError, match=r"from your address .* \(1 at once\)"):
                await arrivals.arrival("a").__aenter__()
            async with arrivals.arrival("b"):
                pass

    asyncio.run(run())


def test_an_address_holds_its_share_and_no_more() -> None:
    async def run() -> None:
        arrivals = Arrivals(limits(held=8, held_of_one=2))
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(holding(arrivals, "a", 64 * KIB))
            mine = await stack.enter_async_context(arrivals.arrival("a"))
            assert await refusal(mine.take(1)) is Code.OVERLOADED
            other = await stack.enter_async_context(arrivals.arrival("b"))
            await other.take(64 * KIB)
            assert arrivals.held_bytes == 3 * 64 * KIB
        assert arrivals.held_bytes == 0

    asyncio.run(run())


def test_whoever_waits_for_room_of_its_own_gets_it_when_there_is_some() -> None:
    async def run() -> None:
        arrivals = Arrivals(limits(wait_s=WITHIN_S))
        first = arrivals.arrival("a")
        await (await first.__aenter__()).take(128 * KIB)
        async with arrivals.arrival("a") as second:
            waiting = asyncio.create_task(second.take(KIB))
            await asyncio.sleep(0)
            assert not waiting.done()
            await first.__aexit__(None, None, None)
            await waiting
            assert arrivals.held_bytes == KIB

    asyncio.run(run())


@pytest.mark.parametrize("short", ["bytes", "places"])
def test_when_all_is_taken_the_slowest_of_the_address_with_the_most_gives_way(short: str) -> None:
    async def run() -> None:
        arrivals = Arrivals(limits(held=2, held_of_one=2, wait_s=WITHIN_S) if short == "bytes" else limits(uploads=3, wait_s=WITHIN_S))
        ended: list[tuple[str, Code]] = []
        begun = asyncio.Semaphore(0)

        async def slow(name: str, count: int) -> None:
            try:
                async with arrivals.arrival("many") as arrival, arrival.arriving():
                    await arrival.take(count)
                    begun.release()
                    await asyncio.Event().wait()
            except VermilionError as fault:
                ended.append((name, fault.code))

        tasks = [asyncio.create_task(slow(name, count)) for name, count in (("slow", 20 * KIB), ("fast", 60 * KIB), ("faster", 48 * KIB))]
        for _ in tasks:
            await begun.acquire()
        async with arrivals.arrival("few") as arrival:
            await arrival.take(16 * KIB)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert ended == [("slow", Code.OVERLOADED)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert arrivals.held_bytes == 0

    asyncio.run(run())


def test_many_addresses_with_one_slow_document_each_keep_nobody_out() -> None:
    async def run() -> None:
        arrivals = Arrivals(limits(uploads=4, grace_s=400, upload_s=800))
        ended: list[Code] = []
        begun: list[Arrival] = []

        async def slow(address: str) -> None:
            try:
                async with arrivals.arrival(address) as arrival, arrival.arriving():
                    begun.append(arrival)
                    await asyncio.Event().wait()
            except VermilionError as fault:
                ended.append(fault.code)

        tasks = [asyncio.create_task(slow(f"192.0.2.{number}")) for number in range(4)]
        while len(begun) < len(tasks):
            await asyncio.sleep(0)
        assert await refusal(arrivals.arrival("198.51.100.1").__aenter__()) is Code.OVERLOADED, "nobody has shown to be slow yet"
        for each in begun:
            each._began_s -= 200
        async with arrivals.arrival("198.51.100.1"):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert ended == [Code.OVERLOADED]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_an_upload_that_dribbles_ends_and_our_own_delay_is_not_its_fault() -> None:
    async def run() -> None:
        arrivals = Arrivals(limits(grace_s=0.05, upload_rate=1000))

        async def dribble() -> None:
            async with arrivals.arrival("a") as arrival, arrival.arriving():
                while True:
                    await arrival.take(1)
                    await asyncio.sleep(0.01)

        assert await refusal(dribble()) is Code.DEADLINE_EXCEEDED

    asyncio.run(run())


def test_a_queue_that_one_address_filled_has_room_for_others(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go, running = threading.Event(), threading.Semaphore(0)
    few = limits(workers=1, queue=3)
    trust = office.trust()
    crls = CrlStore(trust, (), None)
    verification = Verification(trust, crls, None, examine.read, limits=few, metrics=Metrics(), clock=FixedClock(datetime.now(UTC)))
    report = Report.__new__(Report)
    object.__setattr__(report, "verdict", "unreadable")

    def work(_document: bytes, _name: str, _language: str) -> Report:
        running.release()
        may_go.wait(WITHIN_S)
        return report

    monkeypatch.setattr(verification, "_verify", work)

    async def run() -> None:
        mine = [asyncio.create_task(verification.check(b"", "", "en", "many")) for _ in range(5)]
        await asyncio.to_thread(running.acquire)
        assert not running.acquire(blocking=False), "one address leaves a place to others"
        assert await refusal(verification.check(b"", "", "en", "many")) is Code.OVERLOADED
        others = [asyncio.create_task(verification.check(b"", "", "en", "few")) for _ in range(2)]
        await asyncio.to_thread(running.acquire)
        may_go.set()
        assert await asyncio.gather(*others) == [report, report]
        outcomes = await asyncio.gather(*mine, return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, VermilionError)]
        assert [one.code for one in refused] == [Code.OVERLOADED] * 2 and len(mine) == 5

    asyncio.run(run())


# --- against the service


@contextlib.contextmanager
def slow_uploads(service: RunningService, count: int) -> Iterator[list[socket.socket]]:
    """Uploads that say that they are large, and go no further than their first piece."""
    port = httpx.URL(service.url).port
    size = service.settings.limits.document_bytes
    head = f"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {size}\r\n\r\n"
    piece = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.pdf"\r\n\r\n' + bytes(8 * KIB)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), WITHIN_S)) for _ in range(count)]
        for each in opened:
            each.sendall(head.encode() + piece)
        yield opened


def verdict(service: RunningService, source: str) -> str:
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(transport=transport, trust_env=False, timeout=WITHIN_S) as client:
        answer = client.post(f"{service.url}/v1/verify", files={"file": ("x.pdf", b"junk")}).json()
        return str(answer.get("verdict", answer.get("code")))


def held_bytes(service: RunningService) -> float:
    assert service.settings.metrics is not None
    text = httpx.get(f"http://{service.settings.metrics.target}/metrics", trust_env=False).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("vermilion_verify_held_bytes "))


def test_slow_uploads_of_one_address_block_nobody_else(service: RunningService) -> None:
    few = service.settings.limits.uploads_of_one
    with slow_uploads(service, 64) as opened:
        until(lambda: held_bytes(service) >= few * 8 * KIB)
        turned_away = [one for one in opened if _has_answer(one)]
        assert all(b" 429 " in one.recv(65536)[:20] for one in turned_away) and len(turned_away) <= 64 - few
        assert verdict(service, OTHER) == "unreadable"
        assert verdict(service, "127.0.0.1") == "OVERLOADED"
    until(lambda: held_bytes(service) == 0)
    assert verdict(service, "127.0.0.1") == "unreadable"


def _has_answer(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.setblocking(True)


def test_documents_over_grpc_are_held_within_the_same_share(service: RunningService) -> None:
    limits_ = service.settings.limits
    over = threading.Event()

    def stuck() -> Iterator[Any]:
        for _ in range(limits_.document_bytes // (512 * KIB) - 1):
            yield verify_pb2.VerifyRequest(name="x.pdf", data=bytes(512 * KIB))
        over.wait(WITHIN_S)

    with contextlib.ExitStack() as stack:
        calls = []
        for _ in range(8):
            channel = stack.enter_context(grpc.insecure_channel(service.rpc_target, [("grpc.use_local_subchannel_pool", 1)]))
            stub = verify_pb2_grpc.VerifierStub(channel)
            calls += [stub.Verify.future(stuck(), timeout=WITHIN_S) for _ in range(4)]
        until(lambda: held_bytes(service) > limits_.document_bytes)
        until(lambda: sum(one.done() for one in calls) >= len(calls) - limits_.uploads_of_one)
        assert held_bytes(service) <= limits_.held_bytes_of_one
        assert verdict(service, OTHER) == "unreadable"
        over.set()
        codes = [one.exception().code() if one.exception() else grpc.StatusCode.OK for one in calls]
    assert status_of(overloaded()) in codes
    until(lambda: held_bytes(service) == 0)


def test_shares_that_do_not_fit_a_document_are_no_settings() -> None:
    with pytest.raises(ValidationError):
        Limits(held_of_one=1)
    assert Limits(held=2, held_of_one=3).held_bytes == Limits(held_of_one=3).held_bytes_of_one
