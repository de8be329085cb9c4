"""The worker processes: started (never forked from a process that has threads), watched, replaced when they die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.log import get as get_log
from sealcore.platform.sandbox import ForkServer
from signer.front.overruns import Overrun
from signer.front.parcel import Lane, Parcel
from signer.settings import SignerSettings
from signer.worker.channel import Line, Slot, pair, taken
from signer.worker.in_progress import Reading
from signer.worker.jobs import write_job

STANDARD_COMMAND: Final = ("-m", "signer.worker")
START_S: Final = 60.0  # a busy machine imports slowly
END_S: Final = 5.0
YOUNG_S: Final = 5.0


@dataclass
class _Job:
    parcels: list[Parcel]
    slot: int | None


@dataclass(frozen=True)
class Family:
    """What all workers of a front have in common.

    boot              this start of the front
    command           what Python is told to run
    latest_time_file  the latest time of the timestamp unit that they share
    dead              names of those that died under this front: what they left may be taken over at once
    sandbox           where all of them have documents prepared; None where each starts its own when it first needs one
    """

    settings: SignerSettings
    boot: str
    command: Sequence[str]
    latest_time_file: Path
    dead: list[str]
    sandbox: ForkServer | None


@dataclass(frozen=True)
class Left:
    """A parcel that a worker left unanswered when it ended; ``begun`` unless it only lay ready."""

    parcel: Parcel
    begun: bool


@dataclass(eq=False)
class Worker:
    """One process. Used on the event loop only.

    ended  set once it is gone, whatever it went of
    over   SHA-256 of the documents that it was reading then
    """

    name: str
    lane: Lane
    process: subprocess.Popen[bytes]
    line: Line
    slots: list[Slot]
    reading: Reading
    free: Callable[[], None]
    overrun: Callable[[Overrun], None]
    threads: int = 1
    alive: bool = False
    started_s: float = math.inf
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    over: frozenset[bytes] = frozenset()
    died_young: bool = True
    _free: list[int] = field(default_factory=list)
    _jobs: dict[int, _Job] = field(default_factory=dict)
    _number: int = 0
    _ending: bool = False
    _ready: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _asked: dict[str, asyncio.Future[bytes]] = field(default_factory=dict)

    @classmethod
    def start(cls, family: Family, lane: Lane, free: Callable[[], None], overrun: Callable[[Overrun], None]) -> Worker:
        """Starts the process; ``ready`` tells when it serves, ``free`` is called when it can take a job, ``overrun`` with what it reports.

        Raises what keeps it from it.
        """
        settings, name = family.settings, str(uuid7())
        with ExitStack() as opened:
            ours, theirs = pair()
            opened.callback(ours.close)
            slots: list[Slot] = []
            for _ in range(settings.workers.threads + 1):
                slots.append(Slot.create())
                opened.callback(slots[-1].close)
            reading = Reading.create()
            opened.callback(reading.close)
            with theirs:
                command = [sys.executable, *family.command, "--line", str(theirs.fileno())]
                process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
            opened.callback(process.kill)
            sandbox = [] if family.sandbox is None else [family.sandbox.begin()]
            worker = cls(
                name, lane, process, Line(ours), slots, reading, free, overrun, settings.workers.threads, _free=list(range(len(slots)))
            )
            told = {
                "settings": settings.model_dump_json(exclude_unset=True),
                "boot": family.boot,
                "worker": name,
                "latest": str(family.latest_time_file),
                "urgent": lane is Lane.INTERACTIVE,
                "dead": family.dead,
                "sandbox": bool(sandbox),
            }
            with contextlib.suppress(OSError):  # it ended at once; its end is noticed as any other
                worker.line.send(told, [*sandbox, *(slot.descriptor for slot in slots), reading.descriptor])
            asyncio.get_running_loop().add_reader(ours.fileno(), worker._receive)
            opened.pop_all()
        return worker

    async def ready(self) -> None:
        """Waits until it serves; raises what kept it from it."""
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), START_S)
        except TimeoutError:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "a worker of the signer does not start") from None

    @property
    def is_free(self) -> bool:
        """Whether it takes another job: one is worked on, one lies ready beside it."""
        return self.alive and bool(self._free)

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do."""
        return self.alive and len(self._free) == len(self.slots)

    def give(self, parcels: list[Parcel]) -> None:
        """A job for it; raises what keeps these parcels from being one."""
        slot = self._free[-1]
        message, descriptors = write_job(self.slots[slot], self._number + 1, slot, [parcel.sent for parcel in parcels])
        self._free.pop()
        self._number += 1
        self._jobs[self._number] = _Job(parcels, slot)
        try:
            self.line.send(message, descriptors)
        except OSError:  # it cannot be told of its job, which is passed on when it has ended
            self.process.kill()

    def left(self) -> list[Left]:
        """What it did not answer, once it has ended; asked for once. A thread takes one job after the other."""
        undone = [job for job in self._jobs.values() if job.slot is not None]
        waiting = undone[self.threads :]
        left = [Left(parcel, job not in waiting) for job in self._jobs.values() for parcel in job.parcels if parcel.left]
        self._jobs.clear()
        return left

    def tell(self, message: dict[str, Any]) -> None:
        """Anything else; nothing when it is gone."""
        with contextlib.suppress(OSError):
            self.line.send(message)

    async def ask(self, what: str, timeout_s: float, **details: str) -> bytes:
        """What it tells (``process``: alive, metrics, keys, request); SERVICE_UNAVAILABLE when it does not answer in time, or what keeps it.

        Who asks the same while an answer is awaited gets that one.
        """
        question = json.dumps([what, details], sort_keys=True)
        asked = self._asked.get(question)
        if asked is None or asked.done():
            asked = self._asked[question] = asyncio.get_running_loop().create_future()
            self.tell({"ask": what, "question": question, **details})
        try:
            return await asyncio.wait_for(asyncio.shield(asked), timeout_s)
        except TimeoutError:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "a worker of the signer does not answer") from None

    async def require_life(self, timeout_s: float) -> None:
        """Ends the process when it gives no sign of life: frozen, it would keep its documents for ever."""
        try:
            await self.ask("alive", timeout_s)
        except VermilionError:
            if self.alive:
                get_log("workers").error("worker gives no sign of life and is ended", worker=self.name, seconds=timeout_s)
                self.process.kill()  # ``_receive`` will see it

    async def stop(self) -> None:
        """Has it end after what it is doing; ends it when it does not."""
        self._ending = True
        self.tell({"stop": True})
        try:
            await asyncio.to_thread(self.process.wait, END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        self._forget()

    def _receive(self) -> None:
        """Hears what it says. One that cannot be understood is ended: its documents go to another."""
        try:
            received = self.line.receive()
            if received is not None:
                self._hear(*received)
                return
        except Exception as fault:  # noqa: BLE001  (whatever a worker says, the front goes on)
            get_log("workers").error("worker is not understood and is ended", worker=self.name, exc_info=fault)
        self._gone()

    def _hear(self, message: Any, descriptors: list[int]) -> None:
        match message:
            case {"answer": number, "parcel": place, "indexes": indexes, "parts": parts, "at": at}:
                answers = _cut(self._bytes_at(number, at, sum(parts), descriptors), parts)
                self._jobs[number].parcels[place].take(answers, indexes)
                self._forget_job(number)
            case {"done": number}:
                job = self._jobs[number]
                assert job.slot is not None
                self._free.append(job.slot)
                job.slot = None
                self._forget_job(number)
                self.free()
            case {"unread": number, "parcel": place}:
                fault = VermilionError(Code.INVALID_ARGUMENT, "the documents cannot be read as they were sent")
                self._jobs[number].parcels[place].refuse(fault)
            case {"overrun": document_sha256, "binding": binding, "reason": reason, "proven": proven}:
                self.overrun(Overrun(document_sha256, binding, reason, proven))
            case {"told": question}:
                if not (asked := self._asked.pop(question)).done():
                    asked.set_result(taken(descriptors[0]))
            case {"refused": question, "code": code, "reason": reason}:
                if not (asked := self._asked.pop(question)).done():
                    asked.set_exception(VermilionError(Code(code), reason))
            case {"ready": True}:
                self.alive, self.started_s = True, time.monotonic()
                if not self._ready.done():
                    self._ready.set_result(None)
                self.free()
            case {"failed": code, "reason": reason}:
                self._fail(VermilionError(Code(code), reason))

    def _bytes_at(self, number: int, at: int | None, size_bytes: int, descriptors: list[int]) -> bytes:
        if at is None:
            return taken(descriptors[0])
        slot = self._jobs[number].slot
        assert slot is not None
        return bytes(self.slots[slot].answers[at : at + size_bytes])

    def _forget_job(self, number: int) -> None:
        job = self._jobs[number]
        if job.slot is None and not any(parcel.left for parcel in job.parcels):
            del self._jobs[number]

    def _gone(self) -> None:
        """The process has ended, or is about to: it lets go of the line last."""
        if self.alive:
            self.over, self.died_young = self.reading.documents(), time.monotonic() - self.started_s < YOUNG_S
        self._forget()
        if not self._ending:  # as it was told
            self.process.kill()
        self._fail(VermilionError(Code.SERVICE_UNAVAILABLE, "a worker of the signer ended at its start"))
        self.ended.set()

    async def reaped(self) -> None:
        """Waits for the end of a process that is gone; not for ever, since one that hangs in the kernel cannot be waited for."""
        try:
            status: int | str = await asyncio.to_thread(self.process.wait, END_S)
        except subprocess.TimeoutExpired:
            status = "not ended yet"
        get_log("workers").warning("worker ended", worker=self.name, status=status)

    def _fail(self, fault: VermilionError) -> None:
        if not self._ready.done():
            self._ready.set_exception(fault)
            self._ready.exception()  # whether anybody waits for it or not

    def _forget(self) -> None:
        self.alive = False
        if self.line.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.line.fileno())
            self.line.close()
            self.reading.close()
            for slot in self.slots:
                slot.close()


def _cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    parts, position = [], 0
    for size in sizes:
        parts.append(data[position : position + size])
        position += size
    return parts
