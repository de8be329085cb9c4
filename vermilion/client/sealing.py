"""A run: every document of a form to its end, over as many calls as it takes, each sealed once and written durably.

Uses are idempotent at the signer: what a broken call leaves open is sent again, and what was sealed comes back as the same bytes.
Memory is bounded by the stream's window: a document is held from its reading until its sealed file is on disk.
"""

from __future__ import annotations

import queue
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.config import TlsSettings
from sealcore.platform.log import get as get_log
from vermilion.client.jobs import Job
from vermilion.client.journal import Entry, Journal
from vermilion.client.outcomes import Outcome, Progress, refused
from vermilion.client.sink import Folder
from vermilion.client.stream import SealCall, Window, requests

WRITERS = 4  # a durable write waits for the disk, not for a processor
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
PATIENCE_S = 120.0  # without any document coming to its end
TRIES = 6  # for one document that the signer does not take while it takes others
AWAY_ITEMS = 128  # so many put off in a row: it is not the documents; the call ends, and a pause is due
RECENT_S = 10.0  # the rate that people see is that of the last seconds
RECENT_STEP_S = 0.1

RETRYABLE: Final = frozenset(
    {
        *(Code.SERVICE_UNAVAILABLE, Code.OVERLOADED, Code.USE_IN_PROGRESS, Code.DATABASE_UNAVAILABLE),
        *(Code.STORAGE_FULL, Code.RESOURCES_EXHAUSTED),
        *(Code.HSM_UNAVAILABLE, Code.HSM_TIMEOUT, Code.TIMESTAMP_UNAVAILABLE, Code.REVOCATION_UNAVAILABLE),
        *(Code.DEADLINE_EXCEEDED, Code.CANCELLED),
    }
)
"""What the signer may take a moment later. A wrong PIN, a missing key or a broken register need a person."""


_ENDING_HERE: Final = frozenset({Code.STORAGE_FULL, Code.RESOURCES_EXHAUSTED})  # on this machine: the next document fares no better


class _HereError(VermilionError):
    """What ends the run on this machine, as opposed to a call that broke off: the signer keeps what was not written, for a repeat."""


@dataclass(frozen=True)
class _End:
    """What became of a job in a call; ``here``: on this machine, not at the signer."""

    job: Job
    result: Outcome | VermilionError
    here: bool = False


class Run:
    """One run over the jobs of a token."""

    def __init__(
        self,
        target: str,
        tls: TlsSettings,
        token: Callable[[], str],
        *,
        folder: Folder,
        journal: Journal,
        progress: Callable[[Progress], None] | None = None,
        ended: Callable[[Outcome], None] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._target, self._tls, self._fetch_token = target, tls, token
        self._token = ""
        self._folder, self._journal = folder, journal
        self._report, self._ended, self._patience_s = progress, ended, patience_s
        self._open: dict[int, Job] = {}
        self._tries: dict[int, int] = {}
        self._put_off: dict[int, VermilionError] = {}  # why an open document was not taken when it was last sent
        self._outcomes: dict[int, Outcome] = {}
        self._total = self._sealed = self._resumed = 0
        self._began_s = self._moved_s = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque()
        self._log = get_log("client")

    def complete(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Every job's outcome, in order. Raises SERVICE_UNAVAILABLE when the signer stays away, STORAGE_FULL when files cannot be written.

        After such an error the same call goes on where this one stood.
        """
        self._total = len(jobs)
        self._take_journal(jobs)
        self._tell()
        if self._open:
            self._token = self._fetch_token()
        pause_s, breaks = FIRST_PAUSE_S, 0
        while self._open:
            before, self._put_off = len(self._outcomes), {}
            fault = self._attempt()
            moved = len(self._outcomes) > before
            self._count_tries(moved=moved)
            if not self._open:
                break
            if fault is not None and fault.code not in RETRYABLE and (fault.code is not Code.INTERNAL or breaks >= TRIES):
                self._refuse_rest(fault)
                break
            breaks += 1  # a connection that is torn in the middle also shows as INTERNAL
            if moved:
                breaks, pause_s, self._moved_s = 0, FIRST_PAUSE_S, time.monotonic()
            elif time.monotonic() - self._moved_s > self._patience_s:
                self._lose_patience(fault)
                break
            self._tell(waiting=fault or next(iter(self._put_off.values()), None))
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  (only spreads the repeats of many clients)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._folder.flush()
        return [self._outcomes[job.position] for job in jobs]

    def _take_journal(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            entry = self._journal.done.get(job.index)
            if entry is not None and entry.document_sha256 == job.sha256 and self._folder.holds(job.position, entry.sealed_sha256):
                self._outcomes[job.position] = entry.outcome(job.document.name, self._folder.file(job.position))
            else:
                self._open[job.index] = job
        self._sealed = self._resumed = len(self._outcomes)

    def _attempt(self) -> VermilionError | None:
        """One call over all that is open; returns what ended it early, if anything did."""
        window = Window()
        ended: queue.SimpleQueue[_End] = queue.SimpleQueue()
        messages = requests(self._token, list(self._open.values()), window, lambda job, fault: ended.put(_End(job, fault, here=True)))
        call = SealCall(self._target, self._tls, messages)
        writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="seal-writer")
        fault: VermilionError | None = None
        put_off = 0

        def write(job: Job, sealed: signer_pb2.Sealed) -> None:
            try:
                ended.put(_End(job, self._write(job, sealed)))
            except Exception as failed:  # noqa: BLE001  (each document has an end, whatever happens)
                ended.put(_End(job, typed(failed), here=True))
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
                    ended.put(_End(job, result[1]))
                    put_off = put_off + 1 if result[1].code in RETRYABLE else 0
                else:
                    writers.submit(write, job, result)
                    put_off = 0
                self._settle(ended)
                if put_off >= AWAY_ITEMS:
                    assert isinstance(result, tuple)
                    fault = result[1]
                    break
        except VermilionError as broken:
            if isinstance(broken, _HereError):
                raise
            fault = broken
            self._log.info("the stream ended early", code=str(broken.code), reason=broken.reason)
        finally:
            window.close()
            call.close()
            writers.shutdown(wait=True)
        self._settle(ended)
        return fault

    def _write(self, job: Job, sealed: signer_pb2.Sealed) -> Outcome:
        known = self._journal.done.get(job.index)
        ours = known is not None and known.document_sha256 == job.sha256
        path = self._folder.write(job.position, job.document, sealed.suffix, sealed.sealed_sha256, ours=ours)
        warnings = tuple(sealed.warnings)
        entry = Entry(job.index, job.document.name, path.name, job.sha256, sealed.sealed_sha256, sealed.ledger_index, warnings)
        self._journal.add(entry)
        return Outcome(job.index, job.document.name, "sealed", None, None, warnings, sealed.ledger_index, path, sealed.repeated)

    def _settle(self, ended: queue.SimpleQueue[_End]) -> None:
        """Takes what has come to its end meanwhile; only this thread changes the outcomes."""
        moved = False
        while not ended.empty():
            end = ended.get()
            job, result = end.job, end.result
            if job.index not in self._open:
                continue
            if isinstance(result, VermilionError):
                if end.here and result.code in _ENDING_HERE:
                    raise _HereError(result.code, result.reason, document=result.document)
                if not end.here and result.code in RETRYABLE:
                    self._put_off[job.index] = result  # stays open, for the next call
                    continue
                result = refused(job.index, job.document.name, result)
            self._finish(job, result)
            moved = True
        if moved:
            self._tell()

    def _finish(self, job: Job, outcome: Outcome) -> None:
        del self._open[job.index]
        self._put_off.pop(job.index, None)
        self._outcomes[job.position] = outcome
        self._sealed += outcome.outcome == "sealed"
        if self._ended is not None:
            self._ended(outcome)

    def _count_tries(self, *, moved: bool) -> None:
        """A document that is put off again and again while others are sealed is refused; when none moves, it is not the document."""
        if not moved:
            return
        for index, fault in list(self._put_off.items()):
            self._tries[index] = self._tries.get(index, 0) + 1
            if self._tries[index] >= TRIES:
                job = self._open[index]
                self._finish(job, refused(index, job.document.name, fault))
        self._tell()

    def _lose_patience(self, fault: VermilionError | None) -> None:
        """Documents that the signer itself put off are refused with its reason; a signer that does not answer ends the run."""
        if fault is not None or any(index not in self._put_off for index in self._open):
            raise fault or VermilionError(Code.SERVICE_UNAVAILABLE, "the signer takes no more documents")
        for index, job in list(self._open.items()):
            self._finish(job, refused(index, job.document.name, self._put_off[index]))
        self._tell()

    def _refuse_rest(self, fault: VermilionError) -> None:
        """The call itself was refused (token expired, another's, …): so is every document that is still open."""
        for job in list(self._open.values()):
            self._finish(job, refused(job.index, job.document.name, fault))
        self._tell()

    def _tell(self, *, waiting: VermilionError | None = None) -> None:
        if self._report is None:
            return
        now_s, done = time.monotonic(), len(self._outcomes)
        if not self._recent or now_s - self._recent[-1][0] >= RECENT_STEP_S:
            self._recent.append((now_s, done))
        while now_s - self._recent[0][0] > RECENT_S and len(self._recent) > 1:
            self._recent.popleft()
        (since_s, before), rate = self._recent[0], None
        if done > before and now_s > since_s:
            rate = (done - before) / (now_s - since_s)
        self._report(Progress(self._total, self._sealed, done - self._sealed, now_s - self._began_s, self._resumed, rate, waiting))
