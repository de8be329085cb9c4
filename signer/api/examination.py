"""The stream of an examination: takes documents, answers whether each could be sealed. It has threads of its own, and a rate limit for each client."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, Kind, VermilionError
from sealcore.platform.rpc.error_messages import to_message
from signer.api.threads import in_thread
from signer.front.budget import ByteBudget
from signer.front.fatal import FatalDocuments
from signer.front.framing import MOST_ITEMS
from signer.gate import require_own_pictures, require_size
from signer.metrics import SignerMetrics
from signer.pdf.plan import ContentPolicy, Plan
from signer.pipeline.dry_run import MOST_TOGETHER, Candidate, DryRun, Judgement
from signer.pipeline.fairness import FairThreads
from signer.register.model import Seal
from signer.register.store import RegisterStore
from signer.settings import ExamineSettings
from signer.worker.messages import request_of

IDLE_S: Final = 60.0  # a client that sends nothing for so long is refused
HOLE_BYTES: Final = 16 * 1024  # of the update that is thrown away
SECOND_COUNTS_AS: Final = 1000  # documents: time in the sandbox counts towards a client's rate as well
_FIELD: Final = "Vermilion-Examined"

Messages = AsyncIterator[signer_pb2.ExamineRequest]
_T = TypeVar("_T")


class Rate:
    """How many documents each client may still have examined: a token bucket that refills over a minute."""

    def __init__(self, documents_a_minute: int) -> None:
        self._most = float(documents_a_minute)
        self._left: dict[str, tuple[float, float]] = {}  # client → documents, when

    def take(self, client: str, count: float, now_s: float) -> None:
        """OVERLOADED when nothing is left. The last request may overdraw."""
        left, since_s = self._left.get(client, (self._most, now_s))
        left = min(self._most, left + (now_s - since_s) * self._most / 60)
        self._left[client] = (left, now_s)
        if left <= 0:
            raise VermilionError(Code.OVERLOADED, f"a client has at most {self._most:.0f} documents a minute examined")
        self.charge(client, count)

    def charge(self, client: str, count: float) -> None:
        """Deducts what a client has used whose request was taken."""
        left, since_s = self._left[client]
        self._left[client] = (left - count, since_s)


@dataclass(frozen=True)
class _Document:
    item: signer_pb2.Item
    content: bytes


class Examination:
    """Serves the streams on the event loop; the sandbox works in threads, of which there is a fixed number."""

    def __init__(
        self,
        register: RegisterStore,
        fatal: FatalDocuments,
        metrics: SignerMetrics,
        settings: ExamineSettings,
        dry_run: DryRun,
        *,
        largest_document_bytes: int,
    ) -> None:
        self._register, self._fatal, self._metrics = register, fatal, metrics
        self._largest_document_bytes = largest_document_bytes
        self._rate = Rate(settings.documents_a_minute)
        self._budget = ByteBudget(
            2 * largest_document_bytes, largest_document_bytes, lambda _held: None
        )  # room for a large one of two clients each
        self._dry_run = dry_run
        self._threads = FairThreads(settings.at_once, "examine")
        self._clients: set[str] = set()
        self._working: dict[str, asyncio.Future[Any]] = {}

    def check(self) -> None:
        """SERVICE_UNAVAILABLE while the sandbox reads nothing; sealing uses the same one."""
        self._dry_run.check()

    def close(self) -> None:
        """Ends the sandbox and gives up what is being examined."""
        self._threads.close(finish=False)
        self._dry_run.close()

    async def answers(self, client: str, messages: Messages) -> AsyncIterator[signer_pb2.ExamineResponse]:
        """The answers on one stream; a client has one stream at a time."""
        # One stream each: otherwise a client multiplies its share of the sandbox by opening more.
        if client in self._clients:
            raise VermilionError(Code.OVERLOADED, "documents of this client are being examined already")
        self._clients.add(client)
        try:
            opening = await _next(messages)
            if opening is None or opening.WhichOneof("kind") != "open":
                raise VermilionError(Code.INVALID_ARGUMENT, "an examination begins with the seal")
            seal = self._register.current().seal(opening.open.seal)
            while (message := await _next(messages)) is not None:
                if message.WhichOneof("kind") == "chunk":
                    continue  # the rest of a document that was too large; its answer was sent
                if message.WhichOneof("kind") != "items":
                    raise VermilionError(Code.INVALID_ARGUMENT, "after the seal come items, and chunks of the last one of them")
                items = list(message.items.items)
                if len(items) > MOST_ITEMS:
                    raise VermilionError(Code.INVALID_ARGUMENT, f"a message of a stream holds at most {MOST_ITEMS} items")
                here = [_Document(item, item.document) for item in items if item.document or not item.size_bytes]
                for start in range(0, len(here), MOST_TOGETHER):
                    yield await self._answer(client, seal, here[start : start + MOST_TOGETHER])
                for item in items:
                    if item.size_bytes and not item.document:
                        yield await self._large(client, seal, item, messages)
        finally:
            self._leave(client)

    async def _large(self, client: str, seal: Seal, item: signer_pb2.Item, messages: Messages) -> signer_pb2.ExamineResponse:
        """A document whose bytes follow in chunks."""
        if item.size_bytes > self._largest_document_bytes:
            return await self._answer(client, seal, [_Document(item, b"")])  # refused by the size that it states: its chunks need not come
        await self._budget.take(client, item.size_bytes, wait=True)
        try:
            content = bytearray()
            async with asyncio.timeout(2 * IDLE_S):
                while len(content) < item.size_bytes:
                    message = await _next(messages)
                    chunk = message.chunk if message is not None else signer_pb2.SealStreamRequest.Chunk()
                    end = len(content) + len(chunk.data)
                    if not chunk.data or chunk.index != item.index or chunk.offset != len(content) or end > item.size_bytes:
                        raise VermilionError(Code.INVALID_ARGUMENT, f"a chunk does not follow the {len(content)} bytes received so far")
                    content += chunk.data
            return await self._answer(client, seal, [_Document(item, bytes(content))])
        except TimeoutError:
            raise VermilionError(Code.DEADLINE_EXCEEDED, "the document was not sent in time") from None
        finally:
            self._budget.give_back(client, item.size_bytes)

    async def _answer(self, client: str, seal: Seal, documents: Sequence[_Document]) -> signer_pb2.ExamineResponse:
        self._rate.take(client, len(documents), time.monotonic())
        judged = await self._judged(client, seal, documents)
        response = signer_pb2.ExamineResponse()
        for one, judgement in zip(documents, judged, strict=True):
            self._metrics.examined.labels(str(judgement.refusal.code) if judgement.refusal else "ok").inc()
            answer = response.examined.add(index=one.item.index, warnings=judgement.warnings)
            if judgement.refusal is not None:
                answer.error.CopyFrom(to_message(judgement.refusal))
        return response

    async def _judged(self, client: str, seal: Seal, documents: Sequence[_Document]) -> list[Judgement]:
        """Each document that needs a child of its own waits for another turn, so that no client waits for more than one of each other."""
        known = await self._worked(client, lambda: [self._candidate_or_refusal(seal, one) for one in documents])
        candidates = [one for one in known if isinstance(one, Candidate)]
        found = iter(await self._worked(client, lambda: self._dry_run.together(candidates)) if candidates else ())
        judged: list[Judgement] = []
        for one, document in zip(known, documents, strict=True):
            judgement: Judgement | None
            if isinstance(one, Judgement):
                judgement = one
            elif (judgement := next(found)) is None:
                judgement = await self._worked(client, partial(self._dry_run.alone, one))
            judged.append(_named(judgement, document.item.name))
        return judged

    async def _worked(self, client: str, work: Callable[[], _T]) -> _T:
        """Runs it in a thread when the client's turn comes. The client is charged for the time even if it has gone meanwhile."""

        def timed() -> _T:
            began_s = time.monotonic()
            try:
                return work()
            finally:
                took_s = time.monotonic() - began_s
                # On the loop, where all of ``Rate`` runs: it has no lock.
                loop.call_soon_threadsafe(self._rate.charge, client, took_s * SECOND_COUNTS_AS)

        loop = asyncio.get_running_loop()
        working = self._working[client] = asyncio.ensure_future(in_thread(self._threads.of(client), timed))
        return await asyncio.shield(working)

    def _leave(self, client: str) -> None:
        """Lets the client open a stream again: now or, if it left in the middle, when the work that it caused is done."""
        working = self._working.pop(client, None)
        if working is None or working.done():
            self._clients.discard(client)
        else:
            # A client that leaves and comes back would otherwise have two pieces of work running.
            working.add_done_callback(lambda _: self._clients.discard(client))

    def _candidate_or_refusal(self, seal: Seal, document: _Document) -> Candidate | Judgement:
        try:
            return self._candidate(seal, document)
        except VermilionError as refusal:
            # What is our own fault (no sandbox, no database) is no judgement on a document.
            if refusal.kind not in (Kind.DOCUMENT, Kind.INVALID, Kind.FORBIDDEN):
                raise
            return Judgement(refusal=refusal)

    def _candidate(self, seal: Seal, document: _Document) -> Candidate:
        """Planned as the gate and the engine would plan it; raises what the gate would."""
        request = request_of(document.item)
        require_size(request, self._largest_document_bytes)
        require_own_pictures(seal, request)
        refusal = self._fatal.refusal(hashlib.sha256(document.content).digest(), document.item)
        if refusal is not None:
            raise refusal
        placement = request.placement
        plan = Plan(
            field_name=_FIELD,
            signing_time=datetime.now(UTC).replace(microsecond=0),
            placement=placement,
            pictures={mark.picture_sha256: self._register.attachment(mark.picture_sha256) for mark in placement.marks},
            hole_size_bytes=HOLE_BYTES,
            content_policy=ContentPolicy(seal.content_policy),
            writer_version="examined",
            owner_name=seal.name,
        )
        return Candidate(document.content, plan)


def _named(judgement: Judgement, name: str) -> Judgement:
    fault = judgement.refusal
    if fault is None or fault.document:
        return judgement
    return Judgement(refusal=VermilionError(fault.code, fault.reason, document=name or None, rule=fault.rule))


async def _next(messages: Messages) -> signer_pb2.ExamineRequest | None:
    try:
        return await asyncio.wait_for(anext(aiter(messages), None), IDLE_S)
    except TimeoutError:
        raise VermilionError(Code.DEADLINE_EXCEEDED, f"nothing came for {IDLE_S:g} s") from None
