"""A run: every document of a form to its end, over as many calls as it takes, each sealed once and written durably.

Uses are idempotent at the signer: what a broken call leaves open is sent again, and what was sealed comes back as the same bytes.
Memory is bounded by the stream's window: a document is held from its reading until its sealed file is on disk.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from protos.vermilion.v1 import signer_pb2
from sealcore.config import TlsSettings
from sealcore.errors import Code, Kind, VermilionError
from sealcore.log import get as get_log
from vermilion.client.jobs import Job
from vermilion.client.journal import Entry, Journal
from vermilion.client.outcomes import Outcome, Progress, refused
from vermilion.client.sink import Folder
from vermilion.client.stream import SealCall, Window, requests

WRITERS = 4  # a durable write waits for the disk, not for a processor
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
PATIENCE_S = 120.0  # without any document coming to its end
TRIES = 6  # for one document that the signer cannot take now
_LATER = frozenset({Kind.BUSY, Kind.UNAVAILABLE})


class Run:
    """One run over the jobs of a token."""

    def __init__(
        self,
        target: str,
        tls: TlsSettings,
        token: str,
        *,
        folder: Folder,
        journal: Journal,
        progress: Callable[[Progress], None] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._target, self._tls, self._token = target, tls, token
        self._folder, self._journal = folder, journal
        self._report, self._patience_s = progress, patience_s
        self._open: dict[int, Job] = {}
        self._tries: dict[int, int] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._total = 0
        self._began_s = self._moved_s = time.monotonic()
        self._log = get_log("client")

    def complete(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Every job's outcome, in order. Raises SERVICE_UNAVAILABLE when the signer stays away, STORAGE_FULL when files cannot be written.

        After such an error the same call goes on where this one stood.
        """
        self._total = len(jobs)
        self._take_journal(jobs)
        self._tell()
        pause_s, breaks = FIRST_PAUSE_S, 0
        while self._open:
            before = len(self._outcomes)
            fault = self._attempt()
            if not self._open:
                break
            if fault is not None and fault.kind not in _LATER and (fault.code is not Code.INTERNAL or breaks >= TRIES):
                self._refuse_rest(fault)
                break
            breaks += 1  # a connection that is torn in the middle also shows as INTERNAL
            if len(self._outcomes) > before:
                breaks, pause_s, self._moved_s = 0, FIRST_PAUSE_S, time.monotonic()
            elif time.monotonic() - self._moved_s > self._patience_s:
                raise fault or VermilionError(Code.SERVICE_UNAVAILABLE, "the signer takes no more documents")
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  (only spreads the repeats of many clients)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._folder.flush()
        return [self._outcomes[job.position] for job in jobs]

    def _take_journal(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            entry = self._journal.done.get(job.position)
            same = entry is not None and entry.index == job.index and entry.document_sha256 == job.sha256
            if entry is not None and same and self._folder.holds(job.position, entry.sealed_sha256):
                self._outcomes[job.position] = entry.outcome(job.document.name, self._folder.file(job.position))
            else:
                self._open[job.index] = job

    def _attempt(self) -> VermilionError | None:
        """One call over all that is open; returns what ended it early, if anything did."""
        window = Window()
        ended: queue.SimpleQueue[tuple[Job, Outcome | VermilionError]] = queue.SimpleQueue()
        messages = requests(self._token, list(self._open.values()), window, lambda job, fault: ended.put((job, fault)))
        call = SealCall(self._target, self._tls, messages)
        writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="seal-writer")
        fault: VermilionError | None = None

        def write(job: Job, sealed: signer_pb2.Sealed) -> None:
            try:
                ended.put((job, self._write(job, sealed)))
            except VermilionError as failed:
                ended.put((job, failed))
            finally:
                window.give_back(job.index)

        try:
            for result in call.results():
                index = result[0] if isinstance(result, tuple) else result.index
                job = self._open.get(index)
                if job is None:
                    window.give_back(index)  # a second word on a document that has its end
                elif isinstance(result, tuple):
                    window.give_back(index)
                    ended.put((job, result[1]))
                else:
                    writers.submit(write, job, result)
                self._settle(ended)
        except VermilionError as broken:
            fault = broken
            self._log.info("the stream ended early", code=str(broken.code), reason=broken.reason)
        finally:
            window.close()
            call.close()
            writers.shutdown(wait=True)
        self._settle(ended)
        return fault

    def _write(self, job: Job, sealed: signer_pb2.Sealed) -> Outcome:
        path = self._folder.write(job.position, job.document, sealed.suffix, sealed.sealed_sha256)
        warnings = tuple(sealed.warnings)
        entry = Entry(job.position, job.index, job.sha256, sealed.sealed_sha256, sealed.ledger_index, warnings)
        self._journal.add(entry)
        return Outcome(job.index, job.document.name, "sealed", None, None, warnings, sealed.ledger_index, path, sealed.repeated)

    def _settle(self, ended: queue.SimpleQueue[tuple[Job, Outcome | VermilionError]]) -> None:
        """Takes what has come to its end meanwhile; only this thread changes the outcomes."""
        moved = False
        while not ended.empty():
            job, end = ended.get()
            if job.index not in self._open:
                continue
            if isinstance(end, VermilionError):
                if end.code is Code.STORAGE_FULL:
                    raise end
                self._tries[job.index] = self._tries.get(job.index, 0) + 1
                if end.kind in _LATER and self._tries[job.index] < TRIES:
                    continue  # stays open, for the next call
                end = refused(job.index, job.document.name, end)
            del self._open[job.index]
            self._outcomes[job.position] = end
            moved = True
        if moved:
            self._tell()

    def _refuse_rest(self, fault: VermilionError) -> None:
        """The call itself was refused (token expired, another's, …): so is every document that is still open."""
        for job in self._open.values():
            self._outcomes[job.position] = refused(job.index, job.document.name, fault)
        self._open.clear()
        self._tell()

    def _tell(self) -> None:
        if self._report is not None:
            sealed = sum(outcome.outcome == "sealed" for outcome in self._outcomes.values())
            self._report(Progress(self._total, sealed, len(self._outcomes) - sealed, time.monotonic() - self._began_s))
