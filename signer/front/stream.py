"""A stream at the front: what arrives is divided into groups, answers go out as they come, and no client holds more than its share of memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.front.arriving import Arriving
from signer.front.budget import ByteBudget
from signer.front.dispatcher import Dispatcher
from signer.front.framing import Framed, Items, Kind, chunk_of, framed, items_of
from signer.front.group import MOST_DOCUMENTS, Group, Lane
from signer.metrics import SignerMetrics
from signer.model import Call
from signer.worker.jobs import SentGroup
from signer.worker.messages import LARGEST_RESULTS_BYTES, holds_results, joined, refusals, serialised

MOST_JOINED = 16  # answers taken from the queue at once
LAST_WORD_S = 0.1
WINDOW_DOCUMENTS = 768  # of one stream, received and not yet answered: a client that reads slowly is read slowly
WINDOW_BYTES = 64 * 1024 * 1024
MOST_ARRIVING = 16  # documents of one stream that are not complete
MOST_IN_MEMORY = 256  # documents of all streams that came in chunks: each has a descriptor, of which a process has 1024

Messages = AsyncIterator[bytes]


class Streams:
    """Serves the calls that bring documents, within one budget of bytes for all of them."""

    def __init__(self, dispatcher: Dispatcher, budget: ByteBudget, metrics: SignerMetrics, *, largest_document_bytes: int) -> None:
        self.dispatcher = dispatcher
        self.budget = budget
        self.metrics = metrics
        self.largest_document_bytes = largest_document_bytes
        self.least_bytes = budget.most_bytes // MOST_IN_MEMORY  # what a document in chunks counts for at least
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """Streams receive nothing more, and end when all that they received is answered."""
        self.stopping.set()

    async def stream(self, call: Call, messages: Messages) -> AsyncIterator[bytes]:
        """A stream's answers."""
        self.metrics.streams_open.inc()
        end = "CANCELLED"
        try:
            async for answer in Stream(self, call).answers(messages):
                yield answer
            end = "OK"
        except VermilionError as fault:
            end = str(fault.code)
            raise
        finally:
            self.metrics.streams_open.dec()
            self.metrics.streams.labels(end).inc()

    async def one(self, call: Call, item: signer_pb2.Item) -> signer_pb2.SealStreamResponse:
        """One document, for a caller that waits for it."""
        if (refusal := self.dispatcher.fatal.refusal(item.document_sha256, item)) is not None:
            self.metrics.outcomes({str(refusal.code): 1})
            raise refusal
        answer: asyncio.Future[Sequence[bytes]] = asyncio.get_running_loop().create_future()
        size_bytes = len(item.document)
        # The message has been received already, so this bounds what is worked on; gRPC's own cap
        # bounds the message.
        await self.budget.take(call.client, size_bytes, wait=True)

        def receive(parts: Sequence[bytes], _count: int) -> None:
            self.budget.give_back(call.client, size_bytes)
            if not answer.done():
                answer.set_result(parts)

        items = signer_pb2.SealStreamRequest.Items(items=[item]).SerializeToString()
        group = Group(SentGroup(call, items), [item.index], size_bytes, receive)
        self.dispatcher.submit(group, Lane.INTERACTIVE)
        try:
            parts = await answer
        finally:
            group.given_up = True
        return signer_pb2.SealStreamResponse.FromString(parts[0])


@dataclass(frozen=True, slots=True)
class _Answer:
    """Serialised responses for some documents. ``size_bytes``: of a group whose last answers these are; else 0."""

    parts: Sequence[bytes]
    documents: int
    size_bytes: int


class Stream:
    """One stream under one token."""

    def __init__(self, streams: Streams, call: Call) -> None:
        self._streams = streams
        self._call = call
        self._arriving = Arriving()
        self._answers: asyncio.Queue[_Answer | None] = asyncio.Queue()
        self._groups: set[Group] = set()
        self._out_documents = 0  # received, and not yet answered to the client
        self._out_bytes = 0
        self._arriving_bytes = 0
        self._cut_short = False
        self._moved = asyncio.Event()

    async def answers(self, messages: Messages) -> AsyncIterator[bytes]:
        """Serialised responses as they become ready, until every document that arrived has its result."""
        reading = asyncio.create_task(self._read(messages))
        try:
            ended = False
            while not ended:
                ready = [await self._answers.get()]
                while len(ready) < MOST_JOINED and not self._answers.empty():
                    ready.append(self._answers.get_nowait())
                ended = None in ready
                answers = [one for one in ready if one is not None]
                for message in _merged([part for one in answers for part in one.parts]):
                    yield message
                # After the client took them (the generator goes on when gRPC has room): a client that
                # does not read is not read from.
                self._out_documents -= sum(one.documents for one in answers)
                self._out_bytes -= sum(one.size_bytes for one in answers)
                self._moved.set()
            await reading  # raises what ended the stream early
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            for group in self._groups:
                group.given_up = True
            self._arriving.drop_all()
            self._give_back_arriving(self._arriving_bytes)

    async def _read(self, messages: Messages) -> None:
        try:
            while (message := await self._next(messages)) is not None:
                one = framed(message)
                match one.kind:
                    case Kind.ITEMS:
                        await self._items(one)
                    case Kind.CHUNK:
                        self._chunk(chunk_of(one))
                        self._drop(self._arriving.drop_late(), "the document comes too slowly")
                    case _:
                        raise VermilionError(Code.INVALID_ARGUMENT, "a stream has one token, first; then items and chunks")
            self._drop(self._arriving.drop_all(), "the stream ended before the whole document had come")
        finally:
            # Also when reading has failed: what was accepted is worked on, and its results are due.
            await self._all_answered()
            self._answers.put_nowait(None)
        if self._cut_short:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "the service stops; documents without a result were not begun")

    async def _all_answered(self) -> None:
        while self._groups:
            self._moved.clear()
            await self._moved.wait()

    async def _next(self, messages: Messages) -> bytes | None:
        """The next message; None at the end of the stream, or when the service stops."""
        # Backpressure: without a read, gRPC's window fills and the client waits.
        if not self._has_room:
            await self._wait_for_room()
        began_s = time.monotonic()
        coming = asyncio.ensure_future(anext(aiter(messages), None))
        stopping = asyncio.ensure_future(self._streams.stopping.wait())
        try:
            done, _ = await asyncio.wait({coming, stopping}, timeout=self._arriving.patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self._drop(self._arriving.drop_all(), "nothing more of the document came in time")
                done, _ = await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if coming not in done:  # the service stops; a client that had sent everything need not know
                done, _ = await asyncio.wait({coming}, timeout=LAST_WORD_S)
                self._cut_short = not done or coming.result() is not None
                return None
            return coming.result()
        finally:
            self._arriving.waited(time.monotonic() - began_s)
            coming.cancel()
            stopping.cancel()

    async def _wait_for_room(self) -> None:
        with self._streams.metrics.backpressure_seconds.time():
            while not self._has_room:
                self._moved.clear()
                await self._moved.wait()

    @property
    def _has_room(self) -> bool:
        return self._out_documents < WINDOW_DOCUMENTS and self._out_bytes < WINDOW_BYTES

    async def _items(self, message: Framed) -> None:
        items = items_of(message)
        here: list[int] = []
        begun: list[signer_pb2.Item] = []
        fatal = self._streams.dispatcher.fatal
        for place, item in enumerate(items.items):
            if fatal and (refusal := fatal.refusal(item.document_sha256, item)) is not None:
                self._refuse([item.index], refusal)
                continue
            size_bytes = item.size_bytes
            # More than the item itself can hold: its bytes follow in chunks.
            if size_bytes > items.size_bytes(place) or (size_bytes and not item.document):
                begun.append(item)
            else:
                here.append(place)
        if here:
            await self._accept(items, here)
        for item in begun:
            await self._begin(item)

    async def _accept(self, items: Items, places: list[int]) -> None:
        """Reserves memory for all documents of a message at once: a stream that waits for memory then holds none."""
        try:
            size_bytes = sum(items.size_bytes(place) for place in places)
            # Never waits while it holds part of a document: two streams could hold what the other
            # waits for.
            await self._streams.budget.take(self._call.client, size_bytes, wait=self._arriving.is_empty)
        except VermilionError as refusal:
            self._refuse([items.items[place].index for place in places], refusal)
            return
        for first in range(0, len(places), MOST_DOCUMENTS):
            some = places[first : first + MOST_DOCUMENTS]
            data = items.serialised(some)
            self._submit(data, [items.items[place].index for place in some], len(data))

    async def _begin(self, item: signer_pb2.Item) -> None:
        try:
            most_bytes = self._streams.largest_document_bytes
            if item.size_bytes > most_bytes:
                raise VermilionError(
                    Code.DOCUMENT_TOO_LARGE,
                    f"the document has {item.size_bytes} bytes; the limit is {most_bytes}",
                    document=item.name or None,
                )
            if self._arriving.holds(item.index):
                raise VermilionError(Code.INVALID_ARGUMENT, "this index is arriving already")
            if item.document:
                raise VermilionError(Code.INVALID_ARGUMENT, "a document comes whole or in chunks, not both")
            if self._arriving.count >= MOST_ARRIVING:
                raise VermilionError(Code.OVERLOADED, f"at most {MOST_ARRIVING} documents of a stream arrive in chunks at a time")
            await self._streams.budget.take(self._call.client, self._weight_bytes(item), wait=self._arriving.is_empty)
        except VermilionError as refusal:
            self._refuse([item.index], refusal)
            return
        self._arriving_bytes += self._weight_bytes(item)
        self._arriving.begin(item)

    def _weight_bytes(self, item: signer_pb2.Item) -> int:
        # A floor for each, because small documents in chunks cost a descriptor rather than bytes.
        return max(item.size_bytes, self._streams.least_bytes)

    def _chunk(self, chunk: signer_pb2.SealStreamRequest.Chunk) -> None:
        if not self._arriving.holds(chunk.index):
            return  # the rest of a document that was refused; its one result was sent
        try:
            whole = self._arriving.add(chunk)
        except VermilionError as refusal:
            dropped = self._arriving.drop(chunk.index)
            self._give_back_arriving(self._weight_bytes(dropped))
            self._refuse([dropped.index], refusal)
            return
        if whole is not None:
            item, descriptor = whole
            self._arriving_bytes -= self._weight_bytes(item)
            items = signer_pb2.SealStreamRequest.Items(items=[item]).SerializeToString()
            self._submit(items, [item.index], self._weight_bytes(item), descriptor)

    def _submit(self, items: bytes | memoryview, indexes: list[int], size_bytes: int, descriptor: int | None = None) -> None:
        """``size_bytes`` were reserved in the budget, and are returned with the last answer, not when the client goes away."""

        def receive(parts: Sequence[bytes], count: int) -> None:
            if not group.open_count:
                self._streams.budget.give_back(self._call.client, size_bytes)
                self._groups.discard(group)
                self._moved.set()
            self._answers.put_nowait(_Answer(parts, count, 0 if group.open_count else size_bytes))

        group = Group(SentGroup(self._call, items, descriptor), indexes, size_bytes, receive)
        self._groups.add(group)
        self._out_documents += len(indexes)
        self._out_bytes += size_bytes
        self._streams.dispatcher.submit(group, Lane.BULK)

    def _refuse(self, indexes: Sequence[int], refusal: VermilionError) -> None:
        self._streams.metrics.outcomes({str(refusal.code): len(indexes)})
        self._out_documents += len(indexes)
        self._answers.put_nowait(_Answer(serialised(refusals(indexes, refusal)), len(indexes), 0))

    def _drop(self, dropped: Sequence[signer_pb2.Item], reason: str) -> None:
        if dropped:
            self._give_back_arriving(sum(map(self._weight_bytes, dropped)))
            self._refuse([item.index for item in dropped], VermilionError(Code.INVALID_ARGUMENT, reason))

    def _give_back_arriving(self, size_bytes: int) -> None:
        self._arriving_bytes -= size_bytes
        self._streams.budget.give_back(self._call.client, size_bytes)


def _merged(parts: Sequence[bytes]) -> Iterator[bytes]:
    """The same results in fewer messages: each message costs a tenth of a millisecond in gRPC."""
    run: list[bytes] = []
    size_bytes = 0
    for part in parts:
        if run and (size_bytes + len(part) > LARGEST_RESULTS_BYTES or not holds_results(part)):
            yield joined(run)
            run, size_bytes = [], 0
        if holds_results(part):
            run.append(part)
            size_bytes += len(part)
        else:
            yield part
    if run:
        yield joined(run)
