"""A bulk stream at work: a reader that makes batches, workers that seal them, and the results on their way out."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.engine import Engine, Outcome
from signer.gate import Admission, ItemRequest
from signer.messages import refusals, request_of
from signer.stream import Assembly, ByteBudget

STALLED_S = 60.0  # a client that stops in the middle of a document does not hold memory for longer
BATCHES_A_STREAM = 2  # one is sealed while the next arrives

_T = TypeVar("_T")
Messages = AsyncIterator[signer_pb2.SealStreamRequest]


async def in_thread(executor: Executor, function: Callable[..., _T], *arguments: Any) -> _T:
    """Runs blocking work beside the event loop, with the request id that logs carry. It runs on when the caller is cancelled."""
    context = contextvars.copy_context()
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(executor, context.run, function, *arguments))


@dataclass(frozen=True)
class Sealing:
    """Sealing as the streams see it: the engine, its threads, and the bytes that may be held."""

    engine: Engine
    executor: Executor
    budget: ByteBudget
    batch: int
    largest_document_bytes: int

    async def seal(self, admission: Admission, requests: Sequence[ItemRequest]) -> list[Outcome]:
        """Seals a batch whose bytes are in the budget, and gives them back when the work is done, not when the client goes."""
        context = contextvars.copy_context()
        work = asyncio.get_running_loop().run_in_executor(self.executor, context.run, self.engine.run, admission, requests)
        size_bytes = sum(len(request.document) for request in requests)
        work.add_done_callback(lambda _: self.budget.give_back(size_bytes))
        return await asyncio.shield(work)


class BulkStream:
    """One stream under one token. Every queue is short and every byte is in the budget: who reads slowly is read slowly."""

    def __init__(self, sealing: Sealing, admission: Admission) -> None:
        self._sealing = sealing
        self._admission = admission
        self._assembly = Assembly()
        self._ready: asyncio.Queue[list[ItemRequest] | None] = asyncio.Queue(BATCHES_A_STREAM)
        self._done: asyncio.Queue[list[Outcome] | None] = asyncio.Queue(BATCHES_A_STREAM)
        self._held_bytes = 0  # of documents that are arriving or waiting; those being sealed are Sealing's to give back

    async def outcomes(self, messages: Messages) -> AsyncIterator[list[Outcome]]:
        """Outcomes as they come about, until every document that arrived has one."""
        tasks = [asyncio.create_task(self._read(messages)), *(asyncio.create_task(self._work()) for _ in range(BATCHES_A_STREAM))]
        ending = asyncio.create_task(self._end(tasks))
        try:
            while (outcomes := await self._done.get()) is not None:
                yield outcomes
            await ending  # raises what ended the stream before its time
        finally:
            for task in (*tasks, ending):
                task.cancel()
            await asyncio.gather(*tasks, ending, return_exceptions=True)
            self._give_back(self._held_bytes)

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        try:
            await asyncio.gather(*tasks)
        finally:
            await self._done.put(None)

    async def _work(self) -> None:
        while (batch := await self._ready.get()) is not None:
            self._held_bytes -= sum(len(request.document) for request in batch)
            await self._done.put(await self._sealing.seal(self._admission, batch))

    async def _read(self, messages: Messages) -> None:
        while (message := await self._next(messages)) is not None:
            match message.WhichOneof("kind"):
                case "items":
                    await self._items(message.items.items)
                case "chunk":
                    await self._chunk(message.chunk)
                case _:
                    raise VermilionError(Code.INVALID_ARGUMENT, "a stream has one token, first; then items and chunks")
        await self._drop_incomplete("the stream ended before the whole document had come")
        for _ in range(BATCHES_A_STREAM):
            await self._ready.put(None)

    async def _next(self, messages: Messages) -> signer_pb2.SealStreamRequest | None:
        coming = asyncio.ensure_future(anext(aiter(messages), None))
        try:
            if not self._assembly.is_empty:
                done, _ = await asyncio.wait({coming}, timeout=STALLED_S)
                if not done:
                    await self._drop_incomplete(f"nothing more of the document came for {STALLED_S:g} s")
            return await coming
        finally:
            coming.cancel()

    async def _items(self, items: Sequence[signer_pb2.Item]) -> None:
        """Takes room for all documents of a message at once: a stream that waits for room holds nothing meanwhile."""
        here: list[ItemRequest] = []
        refused: list[Outcome] = []
        for item in items:
            try:
                request = request_of(item)
                if request.document or not request.size_bytes:
                    here.append(request)
                else:
                    await self._begin(request)
            except VermilionError as refusal:
                refused.append(Outcome(item.index, refusal))
        try:
            await self._take(sum(len(request.document) for request in here))
        except VermilionError as refusal:
            refused += refusals(here, refusal)
            here = []
        if refused:
            await self._done.put(refused)
        for start in range(0, len(here), self._sealing.batch):
            await self._ready.put(here[start : start + self._sealing.batch])

    async def _begin(self, request: ItemRequest) -> None:
        most_bytes = self._sealing.largest_document_bytes
        if request.size_bytes > most_bytes:
            raise VermilionError(
                Code.DOCUMENT_TOO_LARGE,
                f"the document has {request.size_bytes} bytes; the limit is {most_bytes}",
                document=request.name or None,
            )
        if self._assembly.holds(request.index):
            raise VermilionError(Code.INVALID_ARGUMENT, "this index is arriving already")
        await self._take(request.size_bytes)
        self._assembly.begin(request)

    async def _chunk(self, chunk: signer_pb2.SealStreamRequest.Chunk) -> None:
        if not self._assembly.holds(chunk.index):
            return  # the rest of a document that was refused: its one result has gone out
        try:
            whole = self._assembly.add(chunk.index, chunk.offset, chunk.data)
        except VermilionError as refusal:
            dropped = self._assembly.drop(chunk.index)
            self._give_back(dropped.size_bytes)
            await self._done.put(refusals([dropped], refusal))
            return
        if whole is not None:
            await self._ready.put([whole])

    async def _drop_incomplete(self, reason: str) -> None:
        dropped = self._assembly.drop_all()
        if dropped:
            self._give_back(sum(request.size_bytes for request in dropped))
            await self._done.put(refusals(dropped, VermilionError(Code.INVALID_ARGUMENT, reason)))

    async def _take(self, size_bytes: int) -> None:
        await self._sealing.budget.take(size_bytes, wait=self._assembly.is_empty)
        self._held_bytes += size_bytes

    def _give_back(self, size_bytes: int) -> None:
        self._held_bytes -= size_bytes
        self._sealing.budget.give_back(size_bytes)
