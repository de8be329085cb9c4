"""Where parcels meet workers: interactive ones first, each to the first worker that is free, and none lost when a worker dies."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.log import get as get_log
from sealcore.platform.sandbox import ForkServer
from signer.front.fatal import FatalDocuments
from signer.front.overruns import Overrun
from signer.front.parcel import Lane, Parcel
from signer.front.turns import Turns
from signer.front.workers import Family, Left, Worker
from signer.metrics import SignerMetrics
from signer.settings import SignerSettings
from signer.worker.jobs import ROOM_BYTES

MOST_TRIES = 2  # a document whose worker died is tried once more: it may have been the cause
DEAD_REMEMBERED = 1000  # older ones' leases have ended
RESTART_PAUSE_S = 0.5  # after a worker that died young; doubled as long as they do
LONGEST_PAUSES = 16  # of that length together
DRAIN_S = 30.0
NOTE_S = 5.0
_DIED = "the process that worked on the document died; sent again, the same request finishes it"


class Desk:
    """Gives parcels to workers. Used on the event loop only."""

    def __init__(
        self,
        settings: SignerSettings,
        metrics: SignerMetrics,
        command: Sequence[str],
        fatal: FatalDocuments,
        reached: Callable[[str], None] = lambda _step: None,
        *,
        sandbox: ForkServer | None,
    ) -> None:
        self.fatal = fatal
        self._fatal_since_s = 0.0
        self._settings = settings
        self._metrics = metrics
        self._reached = reached
        self._cell = os.memfd_create("vermilion-latest", os.MFD_CLOEXEC)  # the unit's latest time, where no file is configured
        latest = settings.timestamp.latest_time_file or Path(f"/proc/{os.getpid()}/fd/{self._cell}")
        self._family = Family(settings, str(uuid7()), command, latest, [], sandbox)
        self._lanes = {lane: Turns() for lane in Lane}
        self._workers: list[Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._failures: dict[Lane, VermilionError] = {}  # what keeps a worker of that lane from being replaced
        self._settled = asyncio.Event()
        self._documents = 0  # taken in, not yet answered
        self._log = get_log("desk")

    async def start(self) -> None:
        """Starts the workers; raises what keeps one from serving."""
        settings = self._settings.workers
        lanes = [Lane.BULK] * settings.bulk_count + [Lane.INTERACTIVE] * settings.interactive
        for lane in Lane:
            self._metrics.workers_wanted.labels(lane).set(lanes.count(lane))
            self._metrics.workers.labels(lane).set_function(partial(self._serving, lane))
        for lane in lanes:
            self._workers.append(self._worker(lane))
        for worker in self._workers:
            await worker.ready()
        begin = asyncio.get_running_loop().create_task
        self._tasks = [begin(self._watch_over()), *(begin(self._keep(place)) for place in range(len(lanes)))]

    async def drain(self) -> None:
        """Waits until everything that was taken in is answered; what is not by then is refused."""
        self._metrics.draining.set(1)
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._documents:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            self._log.warning("documents left behind", documents=self._documents)
        for lane in Lane:
            self._refuse_waiting(lane, VermilionError(Code.SERVICE_UNAVAILABLE, "the service stops; the document was not begun"))

    async def stop(self) -> None:
        """Ends the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        if self._family.sandbox is not None:
            await asyncio.to_thread(self._family.sandbox.close)
        os.close(self._cell)

    async def _watch_over(self) -> None:
        silent_s = self._settings.workers.silent_s
        while True:
            await asyncio.sleep(silent_s / 4)
            looks = [worker.require_life(silent_s) for worker in self._workers if worker.alive]
            for fault in await asyncio.gather(*looks, return_exceptions=True):
                if fault is not None:
                    self._log.error("worker cannot be watched", exc_info=fault)

    def require_lanes(self) -> None:
        """Raises why, where no worker serves that is kept for one of the lanes."""
        for lane in dict.fromkeys(worker.lane for worker in self._workers):
            if not self._serving(lane):
                why = self._failures.get(lane) or VermilionError(Code.SERVICE_UNAVAILABLE, "it ended and is being replaced")
                raise VermilionError(why.code, f"no worker of the {lane} lane serves: {why.reason}")

    def _hopeless(self, lane: Lane) -> VermilionError | None:
        """What keeps workers from starting, where nobody is left who takes parcels of this lane; None where there is hope."""
        if any(worker.alive and (worker.lane is lane or lane is Lane.INTERACTIVE) for worker in self._workers):
            return None
        return self._failures.get(lane) or (next(iter(self._failures.values()), None) if lane is Lane.INTERACTIVE else None)

    def _serving(self, lane: Lane) -> int:
        return sum(worker.alive and worker.lane is lane for worker in self._workers)

    async def ask_all(self, what: str, timeout_s: float) -> dict[str, bytes]:
        """The answers of those that do answer (``Worker.ask``), by lane and place."""
        named = self._named()
        answers = await asyncio.gather(*(worker.ask(what, timeout_s) for worker in named.values()), return_exceptions=True)
        return {name: answer for name, answer in zip(named, answers, strict=True) if isinstance(answer, bytes)}

    async def ask_one(self, what: str, timeout_s: float, **details: str) -> bytes:
        """The answer of one of them."""
        named = self._named()
        if not named:
            fault = next(iter(self._failures.values()), None)
            raise fault or VermilionError(Code.SERVICE_UNAVAILABLE, "no worker of the signer serves at this moment")
        return await next(iter(named.values())).ask(what, timeout_s, **details)

    def _named(self) -> dict[str, Worker]:
        counts = dict.fromkeys(Lane, 0)
        named: dict[str, Worker] = {}
        for worker in self._workers:
            if worker.alive:
                named[f"{worker.lane}-{counts[worker.lane]}"] = worker
            counts[worker.lane] += 1
        return named

    def submit(self, parcel: Parcel, lane: Lane) -> None:
        """Takes a parcel in; its answers come through ``Parcel.receive``."""
        if parcel.weight_bytes > ROOM_BYTES - 4096:
            self._refuse(parcel, VermilionError(Code.INVALID_ARGUMENT, "token and documents are too large for one message"))
            return
        if (fault := self._hopeless(lane)) is not None:
            self._refuse(parcel, fault)
            return
        self._documents += parcel.left
        parcel.lane, parcel.answered, parcel.came_s = lane, self._answered, time.monotonic()
        self._lanes[lane].add(parcel)
        self._reached("received")
        self._pump()

    def _answered(self, count: int) -> None:
        self._reached("relayed")
        self._documents -= count
        if not self._documents:
            self._settled.set()

    def _pump(self) -> None:
        """Hands out what can be handed out."""
        while (chosen := self._choose()) is not None:
            worker, lane = chosen
            taken = self._lanes[lane].take(self._settings.limits.batch, ROOM_BYTES - 4096)
            batch = [parcel for parcel in taken if self._wanted(parcel) and self._without_fatal(parcel).left]
            if batch:
                self._metrics.batch(lane, sum(parcel.left for parcel in batch))
                now_s = time.monotonic()
                for parcel in batch:
                    self._metrics.wait_seconds.labels(lane).observe(now_s - parcel.came_s)
                try:
                    worker.give(batch)
                except Exception as fault:  # noqa: BLE001  (these parcels are refused; everybody else's go on)
                    self._log.error("job not given", exc_info=fault)
                    for parcel in batch:
                        self._refuse(parcel, VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})"))
                self._reached("dispatched")
        for lane, turns in self._lanes.items():
            self._metrics.waiting_documents.labels(lane).set(turns.documents)

    def _choose(self) -> tuple[Worker, Lane] | None:
        """Interactive parcels go to an interactive worker, else to one that is idle, else, where none is kept for them, to any free one.

        Beside what a worker is at, only a whole bulk batch is laid ready: what comes in meanwhile makes a larger and so a cheaper one.
        """
        if self._lanes[Lane.INTERACTIVE].documents:
            own = [worker for worker in self._workers if worker.lane is Lane.INTERACTIVE and worker.alive]
            for worker in (*own, *self._workers):
                if worker.is_idle or (worker.is_free and (worker in own or not own)):
                    return worker, Lane.INTERACTIVE
        if self._lanes[Lane.BULK].documents:
            free = [worker for worker in self._workers if worker.lane is Lane.BULK and worker.is_free]
            idle = [worker for worker in free if worker.is_idle]
            if idle or (free and self._lanes[Lane.BULK].documents >= self._settings.limits.batch):
                return (idle or free)[0], Lane.BULK
        return None

    def _wanted(self, parcel: Parcel) -> bool:
        if parcel.given_up:
            self._refuse(parcel, VermilionError(Code.CANCELLED, "the caller went away before work began"))
        elif parcel.sent.call.is_late(time.monotonic_ns()):
            self._refuse(parcel, VermilionError(Code.DEADLINE_EXCEEDED, "the caller's time was up before work began"))
        else:
            return True
        return False

    def _without_fatal(self, parcel: Parcel) -> Parcel:
        """A parcel that waited while a document became known as one that ends workers may hold it, too."""
        return parcel.again(self._refusal) if parcel.came_s < self._fatal_since_s else parcel

    def _refusal(self, item: signer_pb2.Item) -> VermilionError | None:
        refusal = self.fatal.refusal(item.document_sha256, item)
        if refusal is not None:
            self._metrics.outcomes({str(refusal.code): 1})
        return refusal

    # --- workers that end ------------------------------------------------------------------------------------------------------

    def _worker(self, lane: Lane) -> Worker:
        return Worker.start(self._family, lane, self._pump, self._overrun)

    def _overrun(self, overrun: Overrun) -> None:
        self.fatal.overruns.note(overrun)

    async def _keep(self, place: int) -> None:
        """As long as the desk is open: whatever ends the worker of this place, and whatever goes wrong then, another takes its place."""
        pause_s = RESTART_PAUSE_S
        while True:
            worker = self._workers[place]
            try:
                await worker.ended.wait()
                await self._learn(worker.over)
                self._hand_on(worker)
                await worker.reaped()
                if worker.died_young:  # whatever it died of may be there still
                    await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSES * RESTART_PAUSE_S) if worker.died_young else RESTART_PAUSE_S
                await self._replace(place)
            except Exception as fault:  # noqa: BLE001  (no memory, no process, no descriptor: there may be again)
                self._not_replaced(worker.lane, fault)
                worker.died_young = True

    async def _replace(self, place: int) -> None:
        """Raises what keeps another worker from serving in that place."""
        worker = self._workers[place] = self._worker(self._workers[place].lane)
        try:
            await worker.ready()
        finally:
            if not worker.alive:  # one that does not start in time is ended, too
                worker.process.kill()
        self._failures.pop(worker.lane, None)

    def _not_replaced(self, lane: Lane, fault: Exception) -> None:
        if isinstance(fault, VermilionError):
            self._log.warning("worker not replaced", code=str(fault.code), reason=fault.reason)
        else:
            self._log.error("worker not replaced", exc_info=fault)
            fault = VermilionError(Code.SERVICE_UNAVAILABLE, f"a worker of the signer cannot be started ({type(fault).__name__})")
        self._failures[lane] = fault
        for each in Lane:
            if (hopeless := self._hopeless(each)) is not None:
                self._refuse_waiting(each, hopeless)

    async def _learn(self, over: frozenset[bytes]) -> None:
        """Notes the documents that it ended over; what cannot be made durable counts in this process."""
        if not over:
            return
        try:
            await asyncio.wait_for(asyncio.to_thread(self.fatal.note, over), NOTE_S)
        except (VermilionError, TimeoutError) as fault:
            self._log.warning("documents that end workers not noted for good", reason=str(fault))
        self._log.warning("worker ended over documents", documents=[each.hex() for each in over])
        self._fatal_since_s = time.monotonic()

    def _hand_on(self, worker: Worker) -> None:
        """What it left goes to the others, which may take its uses over at once. A second time there is nothing to do."""
        if worker.name in self._family.dead:
            return
        self._metrics.worker_deaths.inc()
        self._family.dead.append(worker.name)
        del self._family.dead[:-DEAD_REMEMBERED]
        for other in self._workers:
            other.tell({"dead": worker.name})
        for left in reversed(worker.left()):
            self._try_again(left, explained=bool(worker.over))
        self._pump()

    def _try_again(self, left: Left, *, explained: bool) -> None:
        """By another worker, by itself if it may have been the cause; not for ever where no document is known that was it."""
        parcel = left.parcel
        parcel.tries += left.begun and not explained
        parcel.alone |= left.begun
        if parcel.tries >= MOST_TRIES:
            self._refuse(parcel, VermilionError(Code.SERVICE_UNAVAILABLE, _DIED))
            return
        try:
            if parcel.again(self._refusal).left:
                self._lanes[parcel.lane].put_back(parcel)
        except Exception as fault:  # noqa: BLE001  (it ends its own call, nobody else's)
            self._log.error("documents cannot be handed on", exc_info=fault)
            self._refuse(parcel, VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})"))

    def _refuse(self, parcel: Parcel, fault: VermilionError) -> None:
        self._metrics.outcomes({str(fault.code): parcel.left})
        try:
            parcel.refuse(fault)
        except Exception as unforeseen:  # noqa: BLE001  (whoever cannot be told has gone)
            self._log.error("refusal not passed on", exc_info=unforeseen)

    def _refuse_waiting(self, lane: Lane, fault: VermilionError) -> None:
        for parcel in self._lanes[lane].drain():
            self._refuse(parcel, fault)
