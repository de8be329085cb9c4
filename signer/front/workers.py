"""The worker processes: started, watched, spoken to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.log import get as get_log
from sealcore.platform.prefork import Child, Prefork
from signer.front.group import Group, Lane
from signer.front.overruns import Overrun
from signer.settings import SignerSettings
from signer.worker.channel import Channel, Slot, from_descriptor, pair
from signer.worker.in_progress import DocumentsInProgress
from signer.worker.jobs import write_job

STANDARD_COMMAND: Final = ("-m", "signer.worker")
CHANNEL: Final = "--channel"
START_S: Final = 60.0  # a busy machine imports slowly
END_S: Final = 5.0
YOUNG_S: Final = 5.0


@dataclass(frozen=True)
class PoolContext:
    """What all workers of a front share.

    boot              identifies this start of the front
    command           arguments for the Python interpreter, to spawn a worker
    prefork           forked processes for the first workers; None when all of them are spawned
    latest_time_file  holds the latest time of the timestamp unit that they share
    dead              names of workers that died: their uses may be taken over at once
    """

    settings: SignerSettings
    boot: str
    command: Sequence[str]
    prefork: Prefork | None
    latest_time_file: Path
    dead: list[str]

    def begin(self, channel: int) -> Child:
        """A process with its end of the channel."""
        forked = None if self.prefork is None else self.prefork.start(channel)
        return forked or Child.spawn([*self.command, CHANNEL], channel)


@dataclass(frozen=True)
class Unanswered:
    """A group that a worker had not answered when it died. ``begun`` is false when it was only queued there."""

    group: Group
    begun: bool


@dataclass(eq=False)
class Worker:
    """One process. Used on the event loop only.

    ended               set once it is gone, for whatever reason
    documents_at_death  SHA-256 of the documents that it was reading then
    """

    name: str
    lane: Lane
    process: Child
    channel: Channel
    slots: list[Slot]
    in_progress: DocumentsInProgress
    free: Callable[[], None]
    overrun: Callable[[Overrun], None]
    threads: int = 1
    alive: bool = False
    started_s: float = math.inf
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    documents_at_death: frozenset[bytes] = frozenset()
    died_young: bool = True
    _free: list[int] = field(default_factory=list)
    _jobs: dict[int, list[Group]] = field(default_factory=dict)
    _slots_of_jobs: dict[int, int] = field(default_factory=dict)  # of those that it works on or has queued
    _number: int = 0
    _ending: bool = False
    _ready: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _queries: dict[str, asyncio.Future[bytes]] = field(default_factory=dict)

    @classmethod
    def start(cls, context: PoolContext, lane: Lane, free: Callable[[], None], overrun: Callable[[Overrun], None]) -> Worker:
        """Starts the process and returns at once: ``ready`` waits until it serves.

        free     called whenever it can take a job
        overrun  called with each document that it reports to have exceeded the sandbox's limits
        """
        settings, name = context.settings, str(uuid7())
        with ExitStack() as opened:
            ours, theirs = pair()
            opened.callback(ours.close)
            slots: list[Slot] = []
            # One more than threads: the next job lies ready in shared memory when a thread ends
            # one.
            for _ in range(settings.workers.threads + 1):
                slots.append(Slot.create())
                opened.callback(slots[-1].close)
            in_progress = DocumentsInProgress.create()
            opened.callback(in_progress.close)
            with theirs:
                process = context.begin(theirs.fileno())
            # If anything below fails, the process must not live on without a supervisor.
            opened.callback(process.kill)
            worker = cls(
                name,
                lane,
                process,
                Channel(ours),
                slots,
                in_progress,
                free,
                overrun,
                settings.workers.threads,
                _free=list(range(len(slots))),
            )
            message = {
                "settings": settings.model_dump_json(exclude_unset=True),
                "boot": context.boot,
                "worker": name,
                "latest": str(context.latest_time_file),
                "urgent": lane is Lane.INTERACTIVE,
                "dead": context.dead,
            }
            with contextlib.suppress(OSError):  # it died at once, which is noticed as at any other time
                worker.channel.send(message, [*(slot.descriptor for slot in slots), in_progress.descriptor])
            asyncio.get_running_loop().add_reader(ours.fileno(), worker._receive)
            opened.pop_all()
        return worker

    async def ready(self) -> None:
        """Waits until it serves; raises the reason when it does not."""
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), START_S)
        except TimeoutError:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "a worker of the signer does not start") from None

    @property
    def is_free(self) -> bool:
        """Whether it takes another job: it has one slot more than threads, so that the next job is there when one ends."""
        return self.alive and bool(self._free)

    @property
    def is_idle(self) -> bool:
        """Whether it has no job."""
        return self.alive and len(self._free) == len(self.slots)

    def give(self, groups: list[Group]) -> None:
        """Sends it a job; raises the reason when these groups cannot be written as one."""
        slot = self._free[-1]
        message, descriptors = write_job(self.slots[slot], self._number + 1, slot, [group.sent for group in groups])
        # Only now: a job that cannot be written must leave slot and number as they were.
        self._free.pop()
        self._number += 1
        self._jobs[self._number], self._slots_of_jobs[self._number] = groups, slot
        try:
            self.channel.send(message, descriptors)
        except OSError:  # the job is dispatched again when the worker has ended
            self.process.kill()

    def unanswered(self) -> list[Unanswered]:
        """What it had not answered when it ended, the first time that this is pending. A thread takes one job after the other."""
        # In the order given. The first ``threads`` of them were being worked on, and one may have
        # been the cause of death; the rest never began.
        queued = list(self._slots_of_jobs)[self.threads :]
        unanswered = [
            Unanswered(group, number not in queued) for number, groups in self._jobs.items() for group in groups if group.open_count
        ]
        self._jobs.clear()
        return unanswered

    def send(self, message: dict[str, Any]) -> None:
        """Sends it any other message; does nothing when it is gone."""
        with contextlib.suppress(OSError):
            self.channel.send(message)

    async def ask(self, what: str, timeout_s: float, **details: str) -> bytes:
        """Its answer to a query (``process``: alive, metrics, keys, request); SERVICE_UNAVAILABLE when it does not answer in time.

        A refusal by the worker is raised. Equal queries at the same time share one answer.
        """
        query = json.dumps([what, details], sort_keys=True)
        pending = self._queries.get(query)
        if pending is None or pending.done():
            pending = self._queries[query] = asyncio.get_running_loop().create_future()
            self.send({"ask": what, "query": query, **details})
        try:
            return await asyncio.wait_for(asyncio.shield(pending), timeout_s)
        except TimeoutError:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "a worker of the signer does not answer") from None

    async def require_alive(self, timeout_s: float) -> None:
        """Kills the process when it does not answer: a frozen worker would keep its documents for ever."""
        try:
            await self.ask("alive", timeout_s)
        except VermilionError:
            if self.alive:
                get_log("workers").error("worker gives no sign of life and is ended", worker=self.name, seconds=timeout_s)
                self.process.kill()  # ``_receive`` will see it

    async def stop(self) -> None:
        """Lets it finish its jobs and end; kills it when it does not."""
        self._ending = True
        self.send({"stop": True})
        try:
            await asyncio.to_thread(self.process.wait, END_S)
        except TimeoutError:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        self._release()

    def _receive(self) -> None:
        """Handles its next message. A worker that sends nonsense is killed, and its documents go to another."""
        try:
            received = self.channel.receive()
            if received is not None:
                self._handle(*received)
                return
        except Exception as fault:  # noqa: BLE001  (whatever a worker sends, the front goes on)
            get_log("workers").error("worker is not understood and is ended", worker=self.name, exc_info=fault)
        self._gone()

    def _handle(self, message: Any, descriptors: list[int]) -> None:
        match message:
            case {"answer": number, "group": place, "indexes": indexes, "parts": parts}:
                self._jobs[number][place].take(_split(from_descriptor(descriptors[0]), parts), indexes)
                self._drop_if_done(number)
            case {"done": number, "answers": answers}:
                slot = self._slots_of_jobs[number]
                for place, indexes, parts, at in answers:
                    self._jobs[number][place].take(_split(bytes(self.slots[slot].answers[at : at + sum(parts)]), parts), indexes)
                # Only now, when nothing refers to it any more, may the next job be written into it.
                self._free.append(self._slots_of_jobs.pop(number))
                self._drop_if_done(number)
                self.free()
            case {"unreadable": number, "group": place}:
                fault = VermilionError(Code.INVALID_ARGUMENT, "the documents cannot be read as they were sent")
                self._jobs[number][place].refuse(fault)
            case {"overrun": document_sha256, "binding": binding, "reason": reason, "proven": proven}:
                self.overrun(Overrun(document_sha256, binding, reason, proven))
            case {"reply": query}:
                data = from_descriptor(descriptors[0]) if descriptors else b""
                if not (pending := self._queries.pop(query)).done():
                    pending.set_result(data)
            case {"refused": query, "code": code, "reason": reason}:
                if not (pending := self._queries.pop(query)).done():
                    pending.set_exception(VermilionError(Code(code), reason))
            case {"ready": True}:
                self.alive, self.started_s = True, time.monotonic()
                if not self._ready.done():
                    self._ready.set_result(None)
                self.free()
            case {"failed": code, "reason": reason}:
                self._fail(VermilionError(Code(code), reason))

    def _drop_if_done(self, number: int) -> None:
        if number not in self._slots_of_jobs and not any(group.open_count for group in self._jobs[number]):
            del self._jobs[number]

    def _gone(self) -> None:
        """The process has ended, or is about to: closing the channel is the last thing it does."""
        if self.alive:
            # Read before ``_release`` unmaps it.
            self.documents_at_death, self.died_young = self.in_progress.documents(), time.monotonic() - self.started_s < YOUNG_S
        self._release()
        if not self._ending:  # it was not asked to end
            self.process.kill()
        self._fail(VermilionError(Code.SERVICE_UNAVAILABLE, "a worker of the signer ended at its start"))
        self.ended.set()

    async def reaped(self) -> None:
        """Collects the exit status; not for ever, since a process may hang in the kernel."""
        try:
            status: int | str = await asyncio.to_thread(self.process.wait, END_S)
        except TimeoutError:
            status = "not ended yet"
        get_log("workers").warning("worker ended", worker=self.name, status=status)

    def _fail(self, fault: VermilionError) -> None:
        if not self._ready.done():
            self._ready.set_exception(fault)
            self._ready.exception()  # marks it as seen: nobody may be waiting for it

    def _release(self) -> None:
        self.alive = False
        if self.channel.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.channel.fileno())
            self.channel.close()
            self.in_progress.close()
            for slot in self.slots:
                slot.close()


def _split(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    parts, position = [], 0
    for size in sizes:
        parts.append(data[position : position + size])
        position += size
    return parts
