"""A worker process: takes jobs from the line, works on them with the engine, answers; ends when the front is gone."""

from __future__ import annotations

import argparse
import gc
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealcore.clock import Clock, SystemClock
from sealcore.errors import VermilionError
from sealcore.platform import tracing
from sealcore.platform.log import configure
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import snapshot
from signer.model import ItemRequest, Outcome, unsalted_binding
from signer.settings import SignerSettings
from signer.uses.store import Reached
from signer.worker.app import Bench, Place
from signer.worker.channel import Line, Slot, stored
from signer.worker.in_progress import Reading
from signer.worker.jobs import Received, Reply, read_job
from signer.worker.messages import serialised
from signer.worker.status import encode_keys

_FAILED_START = 1
_FRONT_IS_GONE = 70


@dataclass(frozen=True)
class _Job:
    number: int
    slot: int
    head_bytes: int
    descriptors: Sequence[int]


class _Group:
    """A parcel as the engine sees it (``batch.Group``)."""

    def __init__(self, received: Received, requests: Sequence[ItemRequest], place: int, reply: Reply) -> None:
        self._received = received
        self._place = place
        self._reply = reply
        self.call = received.call
        self.requests = requests

    def answer(self, outcomes: Sequence[Outcome]) -> None:
        """With the batch; what could not even be asked is answered here too."""
        all_ = [*self._received.malformed, *outcomes]
        if all_:
            self._reply.send(self._place, all_, serialised(all_))

    def answer_later(self, outcomes: Sequence[Outcome]) -> None:
        """After the batch, by another thread."""
        self._reply.send_apart(self._place, outcomes, serialised(outcomes))

    def overrun(self, request: ItemRequest, reason: str, *, proven: bool) -> None:
        """Before the answer, so that the front knows when the document is sent again."""
        self._reply.overrun(request.document_sha256, unsalted_binding(request, request.document_sha256), reason, proven=proven)


class WorkerProcess:
    """The main thread listens; threads work on batches."""

    def __init__(self, line: Line, slots: Sequence[Slot], bench: Bench, threads: int, reached: Reached) -> None:
        self._line = line
        self._slots = slots
        self._bench = bench
        self._reached = reached
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"batch-{number}") for number in range(threads)]
        self._log = get_log("worker")

    def serve(self) -> None:
        """Until the front says stop. Without a front there is nobody to answer: the process ends at once."""
        for thread in self._threads:
            thread.start()
        while (received := self._line.receive()) is not None:
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
                self._bench.uses.declare_dead(worker)
            case {"ask": "alive", "question": question}:
                self._tell(question, b"")
            case {"ask": "metrics", "question": question}:
                self._tell(question, snapshot(self._bench.metrics.registry))
            case {"ask": "keys", "question": question}:
                self._tell_later(question, lambda: encode_keys(self._bench.key_facts()))
            case {"ask": "request", "question": question, "label": label, "common_name": name, "organization": organization}:
                self._tell_later(question, lambda: self._bench.keys.certificate_request(label, name, organization or None))
            case {"stop": _}:
                return False
        return True

    def _tell(self, question: str, data: bytes) -> None:
        descriptor = stored(data)
        try:
            self._line.send({"told": question}, [descriptor])
        finally:
            os.close(descriptor)

    def _tell_later(self, question: str, answer: Callable[[], bytes]) -> None:
        """By a thread of its own: the token may take its time."""

        def work() -> None:
            try:
                self._tell(question, answer())
            except VermilionError as fault:
                self._line.send({"refused": question, "code": str(fault.code), "reason": fault.reason})

        threading.Thread(target=work, name="answer", daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._work_on(job)
            except ConnectionError:
                os._exit(_FRONT_IS_GONE)
            except Exception as fault:  # noqa: BLE001  (answers are lost: the front hands the job to another worker)
                self._log.error("job failed", exc_info=fault)
                os._exit(_FRONT_IS_GONE)

    def _work_on(self, job: _Job) -> None:
        slot = self._slots[job.slot]
        reply = Reply(self._line, slot, job.number)
        with self._bench.metrics.stage("wire"):
            received = read_job(slot, job.head_bytes, job.descriptors)
        groups: list[_Group] = []
        for place, one in enumerate(received):
            if one.requests is None:
                reply.unread(place)
            else:
                groups.append(_Group(one, one.requests, place, reply))
        if groups:
            self._bench.engine.run(groups)
        reply.done()
        self._reached("answered")


def main(arguments: Sequence[str] | None = None, *, reached: Reached = lambda _step: None, clock: Clock | None = None) -> int:
    """The whole process. ``reached`` is told each step of a document's way, for tests that end or hold the process there."""
    parser = argparse.ArgumentParser(prog="python -m signer.worker")
    parser.add_argument("--line", type=int, required=True, metavar="FD", help="the line to the front that starts this process")
    chosen = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # they reach the whole group; the front says when it is time to stop
    line = Line(socket.socket(fileno=chosen.line))
    received = line.receive()
    if received is None:
        return _FAILED_START
    told, descriptors = received
    settings = SignerSettings.model_validate_json(told["settings"])
    configure("signer", worker=told["worker"])
    try:
        sandbox = socket.socket(fileno=descriptors[0]) if told["sandbox"] else None
        *slots, reading = descriptors if sandbox is None else descriptors[1:]
        place = Place(told["boot"], told["worker"], Path(told["latest"]), told["urgent"], Reading(reading), sandbox)
        dead: Sequence[str] = told["dead"]
        tracing.start("signer", settings.tracing, worker=place.worker)
        bench = Bench.open(settings, place, clock=clock or SystemClock(), reached=reached)
    except VermilionError as fault:
        line.send({"failed": str(fault.code), "reason": fault.reason})
        return _FAILED_START
    for worker in dead:
        bench.uses.declare_dead(worker)
    gc.collect()
    gc.freeze()  # what is here now stays: the collector need not look at it again
    try:
        line.send({"ready": True})
        WorkerProcess(line, [Slot(descriptor) for descriptor in slots], bench, settings.workers.threads, reached).serve()
    except ConnectionError:
        return _FRONT_IS_GONE
    finally:
        bench.close()
        tracing.stop()
    return 0
