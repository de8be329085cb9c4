"""The stream of an examination: documents in, what sealing would say of each out. A lane of its own, behind a rate for each client."""

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
from sealcore.platform.error_messages import to_message
from signer.api.threads import in_thread
from signer.front.budget import ByteBudget
from signer.front.fatal import FatalDocuments
from signer.front.framing import MOST_ITEMS
from signer.gate import require_own_pictures, require_size
from signer.metrics import SignerMetrics
from signer.pdf.plan import ContentPolicy, Plan
from signer.pipeline.dry_run import MOST_TOGETHER, Examining, Judgement, Question
from signer.pipeline.fairness import FairThreads
from signer.register.model import Seal
from signer.register.store import RegisterStore
from signer.settings import ExamineSettings
from signer.worker.messages import request_of

PATIENCE_S: Final = 60.0  # with a client that does not go on
HOLE_BYTES: Final = 16 * 1024  # of the update that is thrown away
SECOND_COUNTS_AS: Final = 1000  # documents: what a client makes the sandbox work counts as well
_FIELD: Final = "Vermilion-Examined"

Messages = AsyncIterator[signer_pb2.ExamineRequest]
_T = TypeVar("_T")


class Rate:
    """How many documents each client may still have examined; it fills up again over a minute."""

    def __init__(self, documents_a_minute: int) -> None:
        self._most = float(documents_a_minute)
        self._left: dict[str, tuple[float, float]] = {}  # client → documents, when

    def take(self, client: str, count: float, now_s: float) -> None:
        """OVERLOADED where nothing is left; the last few may be overdrawn."""
        left, since_s = self._left.get(client, (self._most, now_s))
        left = min(self._most, left + (now_s - since_s) * self._most / 60)
        self._left[client] = (left, now_s)
        if left <= 0:
            raise VermilionError(Code.OVERLOADED, f"a client has at most {self._most:.0f} documents a minute examined")
        self.charge(client, count)

    def charge(self, client: str, count: float) -> None:
        """What a client that was let in has used."""
        left, since_s = self._left[client]
        self._left[client] = (left - count, since_s)


@dataclass(frozen=True)
class _Asked:
    item: signer_pb2.Item
    document: bytes


class Examination:
    """Takes streams in, on the event loop; the sandbox is asked in threads of its own, so many at once."""

    def __init__(
        self,
        register: RegisterStore,
        fatal: FatalDocuments,
        metrics: SignerMetrics,
        settings: ExamineSettings,
        *,
        largest_document_bytes: int,
    ) -> None:
        self._register, self._fatal, self._metrics = register, fatal, metrics
        self._largest_document_bytes = largest_document_bytes
        self._rate = Rate(settings.documents_a_minute)
        self._budget = ByteBudget(2 * largest_document_bytes, largest_document_bytes, lambda _held: None)  # a large one of two clients
        self._examining = Examining()
        self._threads = FairThreads(settings.at_once, "examine")
        self._clients: set[str] = set()
        self._working: dict[str, asyncio.Future[Any]] = {}

    def close(self) -> None:
        """Ends the sandbox; what is being examined is given up."""
        self._threads.close(finish=False)
        self._examining.close()

    async def answers(self, client: str, messages: Messages) -> AsyncIterator[signer_pb2.ExamineResponse]:
        """The answers to one stream; a client has one at a time."""
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
                    continue  # the rest of a document that is too large: its answer has gone out
                if message.WhichOneof("kind") != "items":
                    raise VermilionError(Code.INVALID_ARGUMENT, "after the seal come items, and chunks of the last one of them")
                items = list(message.items.items)
                if len(items) > MOST_ITEMS:
                    raise VermilionError(Code.INVALID_ARGUMENT, f"a message of a stream holds at most {MOST_ITEMS} items")
                here = [_Asked(item, item.document) for item in items if item.document or not item.size_bytes]
                for start in range(0, len(here), MOST_TOGETHER):
                    yield await self._answer(client, seal, here[start : start + MOST_TOGETHER])
                for item in items:
                    if item.size_bytes and not item.document:
                        yield await self._large(client, seal, item, messages)
        finally:
            self._leave(client)

    async def _large(self, client: str, seal: Seal, item: signer_pb2.Item, messages: Messages) -> signer_pb2.ExamineResponse:
        """A document in chunks, which follow at once."""
        if item.size_bytes > self._largest_document_bytes:
            return await self._answer(client, seal, [_Asked(item, b"")])  # judged by what it says; its chunks may not come
        await self._budget.take(client, item.size_bytes, wait=True)
        try:
            content = bytearray()
            async with asyncio.timeout(2 * PATIENCE_S):
                while len(content) < item.size_bytes:
                    message = await _next(messages)
                    chunk = message.chunk if message is not None else signer_pb2.SealStreamRequest.Chunk()
                    end = len(content) + len(chunk.data)
                    if not chunk.data or chunk.index != item.index or chunk.offset != len(content) or end > item.size_bytes:
                        raise VermilionError(Code.INVALID_ARGUMENT, f"a chunk does not follow the {len(content)} bytes that are here")
                    content += chunk.data
            return await self._answer(client, seal, [_Asked(item, bytes(content))])
        except TimeoutError:
            raise VermilionError(Code.DEADLINE_EXCEEDED, "the document does not come") from None
        finally:
            self._budget.give_back(client, item.size_bytes)

    async def _answer(self, client: str, seal: Seal, asked: Sequence[_Asked]) -> signer_pb2.ExamineResponse:
        self._rate.take(client, len(asked), time.monotonic())
        judged = await self._judged(client, seal, asked)
        response = signer_pb2.ExamineResponse()
        for one, judgement in zip(asked, judged, strict=True):
            self._metrics.examined.labels(str(judgement.refusal.code) if judgement.refusal else "ok").inc()
            answer = response.examined.add(index=one.item.index, warnings=judgement.warnings)
            if judgement.refusal is not None:
                answer.error.CopyFrom(to_message(judgement.refusal))
        return response

    async def _judged(self, client: str, seal: Seal, asked: Sequence[_Asked]) -> list[Judgement]:
        """Each document that costs more than a glance waits for its turn anew: nobody waits for more than one of each other client."""
        put = await self._worked(client, lambda: [self._put(seal, one) for one in asked])
        questions = [one for one in put if isinstance(one, Question)]
        found = iter(await self._worked(client, lambda: self._examining.together(questions)) if questions else ())
        judged: list[Judgement] = []
        for one, each in zip(put, asked, strict=True):
            judgement = one if isinstance(one, Judgement) else next(found)
            if judgement is None:
                assert isinstance(one, Question)
                judgement = await self._worked(client, partial(self._examining.alone, one))
            judged.append(_named(judgement, each.item.name))
        return judged

    async def _worked(self, client: str, work: Callable[[], _T]) -> _T:
        """In a thread, in turn. Its time is the client's, and so is its place in line, also when the client has gone meanwhile."""

        def timed() -> _T:
            began_s = time.monotonic()
            try:
                return work()
            finally:
                took_s = time.monotonic() - began_s
                loop.call_soon_threadsafe(self._rate.charge, client, took_s * SECOND_COUNTS_AS)

        loop = asyncio.get_running_loop()
        working = self._working[client] = asyncio.ensure_future(in_thread(self._threads.of(client), timed))
        return await asyncio.shield(working)

    def _leave(self, client: str) -> None:
        """The client may ask again; one that left in the middle, once what it asked is done."""
        working = self._working.pop(client, None)
        if working is None or working.done():
            self._clients.discard(client)
        else:
            working.add_done_callback(lambda _: self._clients.discard(client))

    def _put(self, seal: Seal, asked: _Asked) -> Question | Judgement:
        """What to ask of a document, or what is known of it already."""
        try:
            return self._question(seal, asked)
        except VermilionError as refusal:
            if refusal.kind not in (Kind.DOCUMENT, Kind.INVALID, Kind.FORBIDDEN):
                raise
            return Judgement(refusal=refusal)

    def _question(self, seal: Seal, asked: _Asked) -> Question:
        """As the gate and the engine would put it; raises what the gate would."""
        request = request_of(asked.item)
        require_size(request, self._largest_document_bytes)
        require_own_pictures(seal, request)
        refusal = self._fatal.refusal(hashlib.sha256(asked.document).digest(), asked.item)
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
        return Question(asked.document, plan)


def _named(judgement: Judgement, name: str) -> Judgement:
    fault = judgement.refusal
    if fault is None or fault.document:
        return judgement
    return Judgement(refusal=VermilionError(fault.code, fault.reason, document=name or None, rule=fault.rule))


async def _next(messages: Messages) -> signer_pb2.ExamineRequest | None:
    try:
        return await asyncio.wait_for(anext(aiter(messages), None), PATIENCE_S)
    except TimeoutError:
        raise VermilionError(Code.DEADLINE_EXCEEDED, f"nothing came for {PATIENCE_S:g} s") from None
