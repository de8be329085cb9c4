"""A worker process: takes jobs from its channel, has the engine work on them, and answers. It ends when the front is gone."""

from __future__ import annotations

import argparse
import gc
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealcore import compiled
from sealcore.clock import Clock, SystemClock
from sealcore.exhaustion import typed
from sealcore.platform import tracing
from sealcore.platform.log import configure
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import snapshot
from signer.model import ItemRequest, Outcome, unsalted_binding
from signer.settings import SignerSettings
from signer.uses.store import Reached
from signer.worker.app import ProcessContext, WorkerApp
from signer.worker.channel import Channel, Slot, to_descriptor
from signer.worker.in_progress import DocumentsInProgress
from signer.worker.jobs import ReceivedGroup, Reply, read_job
from signer.worker.messages import serialised
from signer.worker.status import encode_keys

_FAILED_START = 1
_FRONT_IS_GONE = 70
_FAILED = 71
_EXHAUSTED = 72
_BULK_NICENESS = 5  # a third of the weight of the front and of the interactive workers, so that these need not wait for a core


@dataclass(frozen=True)
class _Job:
    number: int
    slot: int
    head_bytes: int
    descriptors: Sequence[int]


@contextmanager
def _ending_at_a_fault(what: str) -> Iterator[None]:
    """Ends the process at any fault inside: an answer is lost then, and the front has another worker give it once this one is gone."""
    try:
        yield
    except ConnectionError:
        os._exit(_FRONT_IS_GONE)
    except BaseException as fault:  # noqa: BLE001  (whatever it is)
        try:
            get_log("worker").error(what, exc_info=fault)
        finally:
            os._exit(_FAILED)


class _Group:
    """A group as the engine sees it (``batch.Group``)."""

    def __init__(self, received: ReceivedGroup, requests: Sequence[ItemRequest], place: int, reply: Reply) -> None:
        self._received = received
        self._place = place
        self._reply = reply
        self.call = received.call
        self.requests = requests

    def answer(self, outcomes: Sequence[Outcome]) -> None:
        """With the batch; refusals of invalid items go with the same answer."""
        all_ = [*self._received.malformed, *outcomes]
        if all_:
            self._reply.add(self._place, all_, serialised(all_, packed=self.call.packed))

    def answer_later(self, outcomes: Sequence[Outcome]) -> None:
        """After the batch, from another thread."""
        with _ending_at_a_fault("answer not sent"):
            self._reply.send_apart(self._place, outcomes, serialised(outcomes, packed=self.call.packed))

    def overrun(self, request: ItemRequest, reason: str, *, proven: bool) -> None:
        """Before the answer, so that the front knows when the document is sent again."""
        self._reply.overrun(request.document_sha256, unsalted_binding(request, request.document_sha256), reason, proven=proven)


class WorkerProcess:
    """The main thread receives messages; other threads work on batches."""

    def __init__(self, channel: Channel, slots: Sequence[Slot], app: WorkerApp, threads: int, reached: Reached) -> None:
        self._channel = channel
        self._slots = slots
        self._app = app
        self._reached = reached
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"batch-{number}") for number in range(threads)]
        self._log = get_log("worker")

    def serve(self) -> None:
        """Works until the front says stop. When the front is gone there is nobody to answer: the process exits at once."""
        self._log.info("documents are prepared", by=compiled.WHY_NOT or "the compiled core")
        for thread in self._threads:
            thread.start()
        with _ending_at_a_fault("messages are not received any more"):
            while (received := self._channel.receive()) is not None:
                message, descriptors = received
                if not self._take(message, descriptors):
                    break
            else:
                os._exit(_FRONT_IS_GONE)
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _take(self, message: Any, descriptors: Sequence[int]) -> bool:
        match message:
            case {"job": number, "slot": slot, "head": head_bytes}:
                self._jobs.put(_Job(number, slot, head_bytes, descriptors))
            case {"dead": worker}:
                self._app.uses.declare_dead(worker)
            case {"ask": "alive", "query": query}:
                self._reply(query, b"")
            case {"ask": "metrics", "query": query}:
                self._reply(query, snapshot(self._app.metrics.registry))
            case {"ask": "keys", "query": query}:
                self._reply_later(query, lambda: encode_keys(self._app.key_facts()))
            case {"ask": "request", "query": query, "label": label, "common_name": name, "organization": organization}:
                self._reply_later(query, lambda: self._app.keys.certificate_request(label, name, organization or None))
            case {"stop": _}:
                return False
        return True

    def _reply(self, query: str, data: bytes) -> None:
        if not data:  # no descriptor: a process that may open none still shows signs of life
            self._channel.send({"reply": query})
            return
        descriptor = to_descriptor(data)
        try:
            self._channel.send({"reply": query}, [descriptor])
        finally:
            os.close(descriptor)

    def _reply_later(self, query: str, answer: Callable[[], bytes]) -> None:
        """From a thread of its own: the token may be slow."""

        def work() -> None:
            try:
                self._reply(query, answer())
            except Exception as fault:  # noqa: BLE001  (the front waits for one answer, whatever happens)
                self._refuse(query, fault)

        try:
            threading.Thread(target=work, name="answer", daemon=True).start()
        except RuntimeError as fault:  # no further thread
            self._refuse(query, fault)

    def _refuse(self, query: str, fault: Exception) -> None:
        refusal = typed(fault)
        if refusal is not fault:
            self._log.error("query failed", exc_info=fault)
        self._channel.send({"refused": query, "code": str(refusal.code), "reason": refusal.reason})

    def _work(self) -> None:
        with _ending_at_a_fault("job failed"):
            while (job := self._jobs.get()) is not None:
                self._work_on(job)
                if self._app.engine.is_exhausted:  # what it answered stands; another process begins with all that there is
                    self._log.error("to be replaced: memory, threads or descriptors have run out")
                    self._app.in_progress.clear()  # no document is to blame
                    os._exit(_EXHAUSTED)

    def _work_on(self, job: _Job) -> None:
        slot = self._slots[job.slot]
        reply = Reply(self._channel, slot, job.number)
        with self._app.metrics.stage("wire"):
            received = read_job(slot, job.head_bytes, job.descriptors)
        groups: list[_Group] = []
        for place, one in enumerate(received):
            if one.requests is None:
                reply.unreadable(place)
            else:
                groups.append(_Group(one, one.requests, place, reply))
        if groups:
            self._app.engine.run(groups)
        reply.done()
        self._reached("answered")


def main(arguments: Sequence[str] | None = None, *, reached: Reached = lambda _step: None, clock: Clock | None = None) -> int:
    """Runs the process. ``reached`` is called with each step of a document, for tests that stop or hold the process there."""
    parser = argparse.ArgumentParser(prog="python -m signer.worker")
    parser.add_argument("--channel", type=int, required=True, metavar="FD", help="the channel to the front that started this process")
    chosen = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole process group; the front decides when to stop
    channel = Channel(socket.socket(fileno=chosen.channel))
    received = channel.receive()
    if received is None:
        return _FAILED_START
    start, descriptors = received
    settings = SignerSettings.model_validate_json(start["settings"])
    configure("signer", worker=start["worker"])
    if not start["urgent"]:
        os.nice(_BULK_NICENESS)
    try:
        *slots, in_progress = descriptors
        context = ProcessContext(start["boot"], start["worker"], Path(start["latest"]), start["urgent"], DocumentsInProgress(in_progress))
        dead: Sequence[str] = start["dead"]
        tracing.start("signer", settings.tracing, worker=context.worker)
        app = WorkerApp.open(settings, context, clock=clock or SystemClock(), reached=reached)
    except Exception as fault:  # noqa: BLE001  (the front passes the reason on)
        failure = typed(fault)
        if failure is not fault:
            get_log("worker").error("start failed", exc_info=fault)
        channel.send({"failed": str(failure.code), "reason": failure.reason})
        return _FAILED_START
    for worker in dead:
        app.uses.declare_dead(worker)
    gc.collect()
    gc.freeze()  # everything loaded so far stays: the collector need not visit it again
    try:
        channel.send({"ready": True})
        WorkerProcess(channel, [Slot(descriptor) for descriptor in slots], app, settings.workers.threads, reached).serve()
    except ConnectionError:
        return _FRONT_IS_GONE
    finally:
        app.close()
        tracing.stop()
    return 0
