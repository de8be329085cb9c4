"""Hands groups of documents to workers: interactive ones first, each to the first worker that is free, and none lost when a worker dies."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import exhausted, typed
from sealcore.ids import uuid7
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import AsyncPeriodic, Backoff
from sealcore.platform.prefork import Prefork
from signer.front.fair_queue import FairQueue
from signer.front.fatal import FatalDocuments
from signer.front.group import Group, Lane
from signer.front.overruns import Overrun
from signer.front.workers import PoolContext, Unanswered, Worker
from signer.metrics import SignerMetrics
from signer.settings import SignerSettings
from signer.worker.jobs import ROOM_BYTES

MOST_TRIES = 2  # a document whose worker died gets one more try, since it may have been the cause
DEAD_REMEMBERED = 1000  # the leases of older ones have ended
RESTART_PAUSE_S = 0.5  # after a worker that died soon after its start; doubled each time in a row
LONGEST_PAUSES = 8  # times that, at most: whatever was short, the service is whole again within seconds
DRAIN_S = 30.0
NOTE_S = 5.0
_DIED = "the process that worked on the document died; sent again, the same request finishes it"


class Dispatcher:
    """Gives groups to workers. Used on the event loop only."""

    def __init__(
        self,
        settings: SignerSettings,
        metrics: SignerMetrics,
        command: Sequence[str],
        fatal: FatalDocuments,
        reached: Callable[[str], None] = lambda _step: None,
        *,
        prefork: Prefork | None = None,
    ) -> None:
        self.fatal = fatal
        self._fatal_since_s = 0.0
        self._settings = settings
        self._metrics = metrics
        self._reached = reached
        self._cell = os.memfd_create(
            "vermilion-latest", os.MFD_CLOEXEC
        )  # holds the timestamp unit's latest time when no file is configured
        latest = settings.timestamp.latest_time_file or Path(f"/proc/{os.getpid()}/fd/{self._cell}")
        self._context = PoolContext(settings, str(uuid7()), command, prefork, latest, [])
        self._lanes = {lane: FairQueue() for lane in Lane}
        self._workers: list[Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._failures: dict[Lane, VermilionError] = {}  # why a worker of that lane could not be replaced
        self._settled = asyncio.Event()
        self._documents = 0  # submitted and not yet answered
        self._log = get_log("dispatcher")

    async def start(self) -> None:
        """Starts the workers; raises the reason when one cannot serve."""
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
        watching = AsyncPeriodic("workers", self._check_liveness, self._settings.workers.silent_s / 4)
        self._tasks = [begin(watching.run()), *(begin(self._supervise(place)) for place in range(len(lanes)))]

    async def drain(self) -> None:
        """Waits until everything that was submitted is answered. After ``DRAIN_S`` what still waits is refused."""
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
        if self._context.prefork is not None:
            await asyncio.to_thread(self._context.prefork.close)
        os.close(self._cell)

    async def _check_liveness(self) -> None:
        """One look whether the workers show signs of life."""
        looks = [worker.require_alive(self._settings.workers.silent_s) for worker in self._workers if worker.alive]
        for fault in await asyncio.gather(*looks, return_exceptions=True):
            if fault is not None:
                self._log.error("worker cannot be watched", exc_info=fault)

    def require_lanes(self) -> None:
        """Raises the reason when a lane that has workers of its own has none that serves."""
        for lane in dict.fromkeys(worker.lane for worker in self._workers):
            if not self._serving(lane):
                why = self._failures.get(lane) or VermilionError(Code.SERVICE_UNAVAILABLE, "it ended and is being replaced")
                raise VermilionError(why.code, f"no worker of the {lane} lane serves: {why.reason}")

    def _unservable(self, lane: Lane) -> VermilionError | None:
        """Why no worker can be started for this lane when none is left that serves it; None as long as one is or may come."""
        if any(worker.alive and (worker.lane is lane or lane is Lane.INTERACTIVE) for worker in self._workers):
            return None
        return self._failures.get(lane) or (next(iter(self._failures.values()), None) if lane is Lane.INTERACTIVE else None)

    def _serving(self, lane: Lane) -> int:
        return sum(worker.alive and worker.lane is lane for worker in self._workers)

    async def ask_all(self, what: str, timeout_s: float) -> dict[str, bytes]:
        """The answers (``Worker.ask``) of those workers that answer in time, by lane and number."""
        named = self._named()
        answers = await asyncio.gather(*(worker.ask(what, timeout_s) for worker in named.values()), return_exceptions=True)
        return {name: answer for name, answer in zip(named, answers, strict=True) if isinstance(answer, bytes)}

    async def ask_one(self, what: str, timeout_s: float, **details: str) -> bytes:
        """The answer of any one worker."""
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

    def submit(self, group: Group, lane: Lane) -> None:
        """Queues a group; its answers go to the group's ``receive``."""
        if group.weight_bytes > ROOM_BYTES - 4096:
            self._refuse(group, VermilionError(Code.INVALID_ARGUMENT, "token and documents are too large for one message"))
            return
        if (fault := self._unservable(lane)) is not None:
            self._refuse(group, fault)
            return
        # Counted before anything can answer: the answer subtracts, and ``drain`` waits for zero.
        self._documents += group.open_count
        group.lane, group.answered, group.submitted_s = lane, self._answered, time.monotonic()
        self._lanes[lane].add(group)
        self._reached("received")
        self._dispatch()

    def _answered(self, count: int) -> None:
        self._reached("relayed")
        self._documents -= count
        if not self._documents:
            self._settled.set()

    def _dispatch(self) -> None:
        """Gives waiting groups to workers as long as there are both."""
        while (chosen := self._choose()) is not None:
            worker, lane = chosen
            taken = self._lanes[lane].take(self._settings.limits.batch, ROOM_BYTES - 4096)
            # Looked at once more before work begins: a caller that has left, or a document that proved
            # fatal meanwhile, costs no HSM call.
            batch = [group for group in taken if self._is_wanted(group) and self._without_fatal(group).open_count]
            if batch:
                self._metrics.batch(lane, sum(group.open_count for group in batch))
                now_s = time.monotonic()
                for group in batch:
                    self._metrics.wait_seconds.labels(lane).observe(now_s - group.submitted_s)
                try:
                    worker.give(batch)
                except Exception as fault:  # noqa: BLE001  (these groups are refused; all others go on)
                    self._log.error("job not given", exc_info=fault)
                    for group in batch:
                        self._refuse(group, typed(fault))
                self._reached("dispatched")
        for lane, queue in self._lanes.items():
            self._metrics.waiting_documents.labels(lane).set(queue.documents)

    def _choose(self) -> tuple[Worker, Lane] | None:
        """The worker to get the next job, and the lane to take it from; None when nothing can be given out now.

        An interactive group goes to an interactive worker, else to an idle bulk worker, else, when there are no interactive workers, to any
        free one. A bulk worker that is busy gets its next job early only if that is a full batch: waiting makes batches larger and cheaper.
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

    def _is_wanted(self, group: Group) -> bool:
        if group.given_up:
            self._refuse(group, VermilionError(Code.CANCELLED, "the caller went away before work began"))
        elif group.sent.call.is_late(time.monotonic_ns()):
            self._refuse(group, VermilionError(Code.DEADLINE_EXCEEDED, "the caller's time was up before work began"))
        else:
            return True
        return False

    def _without_fatal(self, group: Group) -> Group:
        """Without the documents that were found to be fatal while the group was waiting."""
        return group.again(self._refusal) if group.submitted_s < self._fatal_since_s else group

    def _refusal(self, item: signer_pb2.Item) -> VermilionError | None:
        refusal = self.fatal.refusal(item.document_sha256, item)
        if refusal is not None:
            self._metrics.outcomes({str(refusal.code): 1})
        return refusal

    # --- workers that die ------------------------------------------------------------------------------------------------------

    def _worker(self, lane: Lane) -> Worker:
        return Worker.start(self._context, lane, self._dispatch, self._overrun)

    def _overrun(self, overrun: Overrun) -> None:
        self.fatal.overruns.note(overrun)

    async def _supervise(self, place: int) -> None:
        """Replaces the worker of this place whenever it has ended, whatever ended it and whatever goes wrong then."""
        backoff = Backoff(RESTART_PAUSE_S, LONGEST_PAUSES * RESTART_PAUSE_S)
        while True:
            worker = self._workers[place]
            try:
                await worker.ended.wait()
                # Noted before anything is queued again: otherwise the next worker might get the
                # same document at once.
                await self._note_fatal(worker.documents_at_death)
                self._redistribute(worker)
                # After the documents went to others: a process that hangs in the kernel must not
                # hold them back.
                await worker.reaped()
                if worker.died_young:  # the cause may persist
                    await asyncio.sleep(backoff.next().seconds)
                else:
                    backoff.reset()
                await self._replace(place)
            except Exception as fault:  # noqa: BLE001  (out of memory, processes or descriptors: for now)
                self._not_replaced(worker.lane, fault)
                # Whatever went wrong, pause before the next try instead of spinning.
                worker.died_young = True
                await asyncio.sleep(RESTART_PAUSE_S)  # what failed above may have failed at once: the loop must go on serving

    async def _replace(self, place: int) -> None:
        """Starts another worker in that place; raises the reason when it does not serve."""
        worker = self._workers[place] = self._worker(self._workers[place].lane)
        try:
            await worker.ready()
        finally:
            if not worker.alive:  # also one that did not start in time
                worker.process.kill()
        self._failures.pop(worker.lane, None)

    def _not_replaced(self, lane: Lane, fault: Exception) -> None:
        if isinstance(fault, VermilionError):
            self._log.warning("worker not replaced", code=str(fault.code), reason=fault.reason)
        else:
            self._log.error("worker not replaced", exc_info=fault)
            fault = exhausted(fault) or VermilionError(
                Code.SERVICE_UNAVAILABLE, f"a worker of the signer cannot be started ({type(fault).__name__})"
            )
        self._failures[lane] = fault
        for each in Lane:
            if (unservable := self._unservable(each)) is not None:
                self._refuse_waiting(each, unservable)

    async def _note_fatal(self, documents: frozenset[bytes]) -> None:
        """Notes the documents that a worker was reading when it died. When the database is unavailable, only this process knows."""
        if not documents:
            return
        try:
            await asyncio.wait_for(asyncio.to_thread(self.fatal.note, documents), NOTE_S)
        except Exception as fault:  # noqa: BLE001  (the worker is replaced whatever happens here)
            self._log.warning("documents that end workers not noted for good", reason=str(fault) or type(fault).__name__)
        self._log.warning("worker ended over documents", documents=[each.hex() for each in documents])
        self._fatal_since_s = time.monotonic()

    def _redistribute(self, worker: Worker) -> None:
        """Queues again what a dead worker left unanswered, and tells the others, so that they may take its uses over at once. Idempotent."""
        # The supervisor may come here twice, when the start of the successor fails.
        if worker.name in self._context.dead:
            return
        self._metrics.worker_deaths.inc()
        self._context.dead.append(worker.name)
        del self._context.dead[:-DEAD_REMEMBERED]
        # Before the groups are queued again: a worker that gets one must know already that its use
        # is free, or it answers USE_IN_PROGRESS.
        for other in self._workers:
            other.send({"dead": worker.name})
        # Reversed, because each is put back at the front: so the old order comes out.
        for unanswered in reversed(worker.unanswered()):
            self._retry(unanswered, explained=bool(worker.documents_at_death))
        self._dispatch()

    def _retry(self, unanswered: Unanswered, *, explained: bool) -> None:
        """Queues a group again: by itself if it may have been the cause of death, and only ``MOST_TRIES`` times when the cause is unknown.

        explained  whether the documents that the worker died over are known
        """
        group = unanswered.group
        group.tries += unanswered.begun and not explained
        # By itself from now on: if it is the cause, it ends one worker and no other client's
        # documents with it.
        group.alone |= unanswered.begun
        if group.tries >= MOST_TRIES:
            self._refuse(group, VermilionError(Code.SERVICE_UNAVAILABLE, _DIED))
            return
        try:
            if group.again(self._refusal).open_count:
                self._lanes[group.lane].put_back(group)
        except Exception as fault:  # noqa: BLE001  (it fails its own call and no other)
            self._log.error("documents cannot be handed on", exc_info=fault)
            self._refuse(group, typed(fault))

    def _refuse(self, group: Group, fault: VermilionError) -> None:
        self._metrics.outcomes({str(fault.code): group.open_count})
        try:
            group.refuse(fault)
        except Exception as unforeseen:  # noqa: BLE001  (the caller is gone)
            self._log.error("refusal not passed on", exc_info=unforeseen)

    def _refuse_waiting(self, lane: Lane, fault: VermilionError) -> None:
        for group in self._lanes[lane].drain():
            self._refuse(group, fault)
